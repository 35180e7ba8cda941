"""Prometheus rules for what feature.toml promises, with tests that promtool runs on them."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from prometheus_client.utils import floatToGoString

from app import files, slo
from app.features import Feature
from app.row import OURS, SERVED
from gate.checks import Done

COMMANDS = {"rules.yml": ["check", "rules", "--lint-fatal"], "tests.yml": ["test", "rules"]}


def write(features: Iterable[Feature], folder: Path) -> Done:
    """Write both files and let promtool judge them, where it is installed."""
    loader = FileSystemLoader(Path(__file__).parent / "pages")
    pages = Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)  # noqa: S701  # YAML
    given = {
        "features": {f.name: slo.promises(f) for f in features},
        # The edges of the histogram's buckets, as /metrics writes them.
        "edges": {f.name: floatToGoString(f.spec.slo.p95_ms / 1000) for f in features},  # type: ignore[no-untyped-call]
        "spans": slo.SPANS, "least": slo.LEAST, "served": "|".join(SERVED), "ours": "|".join(OURS),
    }  # fmt: skip
    for name in COMMANDS:
        text = pages.get_template(f"{name}.j2").render(given)
        files.write_atomic(folder / name, text)
    return lint(folder)


def lint(folder: Path) -> Done:
    """What promtool says of the rules, and of how they behave in the tests."""
    if not shutil.which("promtool"):
        return Done("slo", True, "not linted: promtool is not installed (Debian: apt-get install prometheus)")
    for name, words in COMMANDS.items():
        command = ["promtool", *words, name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            return Done("slo", False, f"$ {' '.join(command)}\n{done.stdout}{done.stderr}".strip())
    return Done("slo", True)
