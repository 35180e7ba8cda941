"""Processes with their secrets in files: whatever breaks, no value comes out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import cli
from tests import kit, processes

pytestmark = pytest.mark.slow

PROGRAM = (
    "import sys; from pathlib import Path; from app import cli, settings; "
    "settings.SECRETS = Path('secrets.d'); sys.argv[0] = 'app'; cli.main()"
)
WORD = "Zx4Vb6Np" + "q7Rt2Lw9"
SECRETS = {
    "app_pepper": "q7Rt2Lw9Zx4Vb6Np" + "0f3a" * 4,
    "app_metrics_key": "metrics-" + "Lw9Zx4Vb6Npq7Rt2",
    "app_keys__openai": "provider-" + "Vb6Npq7Rt2Lw9Zx4",
    "app_smtp_url": f"smtp://user:{WORD}@127.0.0.1:1",
}
LEAK = """\
from pathlib import Path


def finish(said, found):
    raise RuntimeError(" ".join(place.read_text() for place in Path("secrets.d").iterdir()))
"""
URL = f"redis://:{WORD}@127.0.0.1:no-port/0"


@pytest.fixture(autouse=True)
def files(project):
    """A project that is set up and whose secrets are files."""
    kit.command(cli.main, "setup")
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
    return [value for value in [*SECRETS.values(), WORD] if value in text]


@pytest.mark.parametrize(
    ("word", "path", "text"),
    [
        ("serve", "features/note/schema.py", "raise RuntimeError('broken')\n"),
        ("serve", "secrets.d/app_keys", SECRETS["app_keys__openai"]),
        ("serve", "secrets.d/app_database_url", f"no url {WORD}"),
        ("serve", "secrets.d/app_limits_url", URL),
        ("serve", "secrets.d/app_index_url", f"postgresql://app:{WORD}@127.0.0.1:no-port/app"),
        ("serve", "secrets.d/app_metrics_key", "change" + "me"),
        ("worker", "secrets.d/app_metrics_key", "change" + "me"),
        ("worker", "secrets.d/app_database_url", f"postgresql+psycopg://app:{WORD}@127.0.0.1:1/app"),
    ],
)
def test_what_the_app_cannot_start_with_ends_it_and_shows_no_secret(word, path, text, monkeypatch):
    kit.write(path, text)
    monkeypatch.delenv(Path(path).name.upper(), raising=False)  # it would win over the file
    running = app(word)
    try:
        said, _ = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode
    assert said
    assert seen(said) == []


@pytest.mark.parametrize("form", ["json", "console"])
async def test_a_request_that_fails_with_the_secrets_in_its_error_shows_none(form):
    kit.write("features/note/steps.py", LEAK)
    port = kit.free_port()
    running = app("serve", "--port", str(port), APP_AUTH="open", APP_LOG_FORMAT=form, APP_CACHE_URL=URL)
    try:
        async with processes.client(port) as http:
            http.headers["Connection"] = "close"  # the server ends it after a fault
            answer = await http.post("/v1/note", json=kit.TEXT)
            stream = await http.post("/v1/note", json=kit.TEXT, headers={"Accept": "text/event-stream"})
    finally:
        running.terminate()
    said, _ = running.communicate(timeout=60)
    assert answer.status_code == 500
    assert "RuntimeError: " in said
    assert "[hidden]" in said
    assert seen(said + answer.text + stream.text) == []
