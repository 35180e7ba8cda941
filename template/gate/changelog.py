"""Why the cases of a feature are as they are: CHANGELOG.md beside them, a line a version, the newest last."""

import re

from app import db, files
from app.errors import Fault
from app.features import Feature
from gate.cases import CaseSet, Kind

LINE = re.compile(r"(?m)^- \S+ (golden|adversarial) (\w{12}): \S")


def note(feature: Feature, found: CaseSet, why: str) -> None:
    """Add the line that says why the cases have changed."""
    line = f"- {db.now():%Y-%m-%d} {found.kind} {found.digest}: {' '.join(why.split())}"
    files.write_atomic(feature.folder / "CHANGELOG.md", "\n".join([*read(feature).splitlines(), line, ""]))


def read(feature: Feature) -> str:
    """The changelog; empty where there is none yet."""
    place = feature.folder / "CHANGELOG.md"
    return place.read_text(encoding="utf-8") if place.exists() else ""


def last(feature: Feature, kind: Kind) -> str:
    """The version of the cases that the changelog explains last; empty where it explains none."""
    found: dict[str, str] = dict(LINE.findall(read(feature)))
    return found.get(kind, "")


def unexplained(feature: Feature, found: CaseSet) -> list[Fault]:
    """Whether the cases have changed since their last line, where there is one, and what mends that."""
    if last(feature, found.kind) in ("", found.digest):
        return []
    what = f"no last line says why it is {found.digest}: uv run gate case note {feature.name} 'why'"
    return [Fault(feature.folder / "CHANGELOG.md", found.kind, what)]
