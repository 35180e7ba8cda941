"""Processes with their secrets in files: whatever breaks, no value comes out."""

import os
import subprocess
import sys

import httpx2
import pytest

from app import settings
from tests import kit

pytestmark = pytest.mark.slow

PROGRAM = (
    "import sys; from pathlib import Path; from app import cli, settings; "
    "settings.SECRETS = Path('secrets.d'); sys.argv[0] = 'app'; cli.main()"
)
PASSWORD = "Zx4Vb6Np" + "q7Rt2Lw9"
SECRETS = {
    "app_pepper": "q7Rt2Lw9Zx4Vb6Np" + "0f3a9c5e7b1d2846",
    "app_metrics_key": "metrics-" + "Lw9Zx4Vb6Npq7Rt2",
    "app_keys__openai": "provider-" + "Vb6Npq7Rt2Lw9Zx4",
    "app_smtp_url": f"smtp://user:{PASSWORD}@127.0.0.1:1",
}
LEAK = """\
from pathlib import Path


def finish(said, found):
    raise RuntimeError(" ".join(place.read_text() for place in Path("secrets.d").iterdir()))
"""
URL = f"redis://:{PASSWORD}@127.0.0.1:no-port/0"


@pytest.fixture(autouse=True)
def files(project):
    """A project whose secrets are files."""
    for name, value in SECRETS.items():
        kit.write(f"secrets.d/{name}", value)


def app(*words: str, **variables: str) -> subprocess.Popen[str]:
    """A command of the app as a process; its output is kept."""
    env = {**os.environ, "PYTHONPATH": str(kit.ROOT), "APP_LOG_LEVEL": "debug", **variables}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True
    )


def seen(text: str) -> list[str]:
    """The secrets that stand in a text."""
    return [value for value in [*SECRETS.values(), PASSWORD] if value in text]


@pytest.mark.parametrize("word", ["serve", "worker"])
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("features/note/schema.py", "raise RuntimeError('broken')\n"),
        ("secrets.d/app_keys", SECRETS["app_keys__openai"]),
        ("secrets.d/app_database_url", f"postgresql+psycopg://app:{PASSWORD}@127.0.0.1:1/app"),
        ("secrets.d/app_database_url", f"no url {PASSWORD}"),
        ("secrets.d/app_cache_url", URL),
        ("secrets.d/app_limits_url", URL),
        ("secrets.d/app_index_url", f"postgresql://app:{PASSWORD}@127.0.0.1:no-port/app"),
        ("var", "a file where a folder should be"),
    ],
)
def test_a_start_that_fails_shows_no_secret(word, path, text):
    if path != "var":
        app("setup").communicate(timeout=60)
    kit.write(path, text)
    said, _ = (
        app(word, "--port", str(kit.free_port())).communicate(timeout=60)
        if word == "serve"
        else app(word).communicate(timeout=60)
    )
    assert said
    assert seen(said) == []
