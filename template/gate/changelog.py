"""Why cases and baselines of a feature are as they are: CHANGELOG.md, a line a version, the newest last."""

import re

from app import db, files
from app.errors import Fault
from app.features import Feature
from gate.cases import CaseSet

LINE = re.compile(r"(?m)^- \S+ (\S+) (\w{12}): \S")


def add(feature: Feature, what: str, version: str, why: str) -> None:
    """Add a line: what has which version now, and why."""
    line = f"- {db.now():%Y-%m-%d} {what} {version}: {' '.join(why.split())}"
    files.write_atomic(feature.folder / "CHANGELOG.md", "\n".join([*read(feature).splitlines(), line, ""]))


def read(feature: Feature) -> str:
    """The changelog; empty where there is none yet."""
    place = feature.folder / "CHANGELOG.md"
    return place.read_text(encoding="utf-8") if place.exists() else ""


def last(feature: Feature, what: str) -> str:
    """The version of cases, or of a baseline, that the changelog names last; empty where it names none."""
    found: dict[str, str] = dict(LINE.findall(read(feature)))
    return found.get(what, "")


def unexplained(feature: Feature, found: CaseSet) -> list[Fault]:
    """Whether the cases have changed since their last line, where there is one, and what mends that."""
    if last(feature, found.kind) in ("", found.digest):
        return []
    what = f"no last line says why it is {found.digest}: uv run gate case note {feature.name} 'why'"
    return [Fault(feature.folder / "CHANGELOG.md", found.kind, what)]
