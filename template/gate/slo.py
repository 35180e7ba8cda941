"""Prometheus rules for what feature.toml promises, with tests that promtool runs on them."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.utils import floatToGoString

from app import slo
from app.features import Feature
from app.row import OURS, SERVED
from gate import checks, paper

COMMANDS = {"rules.yml": ["check", "rules", "--lint-fatal"], "tests.yml": ["test", "rules"]}


def write(features: Iterable[Feature], folder: Path) -> tuple[list[str], str]:
    """Write both files and let promtool judge them; gives its complaint, and a note where it is missing."""
    given = {
        "features": {f.name: slo.promises(f) for f in features},
        # The edges of the histogram's buckets, as /metrics writes them.
        "edges": {f.name: floatToGoString(f.spec.slo.p95_ms / 1000) for f in features},  # type: ignore[no-untyped-call]
        "spans": slo.SPANS, "least": slo.LEAST, "served": "|".join(SERVED), "ours": "|".join(OURS),
    }  # fmt: skip
    for name in COMMANDS:
        paper.write(folder / name, given, strict=True)
    if not shutil.which("promtool"):
        return [], "not linted: promtool is not installed (Debian: apt-get install prometheus)"
    return checks.failed([["promtool", *words, name] for name, words in COMMANDS.items()], folder), ""
