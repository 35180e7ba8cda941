"""A change to a project, as a freelancer would make it, and the edits that changes are made of."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

Base = Literal["keyless", "hosted", "recorded", "chance"]
Edit = Callable[[Path], None]
Draw = random.Random
FEATURES = ("answer", "summarize")
YAML = [f"features/{feature}/{kind}.yaml" for feature in FEATURES for kind in ("golden", "adversarial")]


@dataclass(frozen=True)
class Change:
    """One change to the project `base`: `kind` groups it in the table, `why` says what it does."""

    name: str
    kind: str
    why: str
    edit: Edit
    base: Base = "keyless"
    environment: dict[str, str] = field(default_factory=dict)


def all_of(*edits: Edit) -> Edit:
    """Several edits as one."""

    def edit(project: Path) -> None:
        for one in edits:
            one(project)

    return edit


def swap(name: str, old: str, new: str) -> Edit:
    """Put a text in the place of another; one that is not there is a defect of this benchmark."""

    def edit(project: Path) -> None:
        path = project / name
        content = path.read_text(encoding="utf-8")
        if old not in content:
            raise ValueError(f"{name} holds no {old!r}")
        path.write_text(content.replace(old, new), encoding="utf-8")

    return edit


def sub(name: str, pattern: str, new: str) -> Edit:
    """The same by a regular expression, once."""

    def edit(project: Path) -> None:
        path = project / name
        content, count = re.subn(pattern, new, path.read_text(encoding="utf-8"), count=1, flags=re.S | re.M)
        if not count:
            raise ValueError(f"{name} matches no {pattern!r}")
        path.write_text(content, encoding="utf-8")

    return edit


def append(name: str, more: str) -> Edit:
    """Add text at the end of a file, which need not exist."""

    def edit(project: Path) -> None:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(before + more, encoding="utf-8")

    return edit


def remove(pattern: str) -> Edit:
    """Delete the files that match."""

    def edit(project: Path) -> None:
        found = list(project.glob(pattern))
        if not found:
            raise ValueError(f"no file matches {pattern}")
        for path in found:
            path.unlink()

    return edit


def rename(name: str, new: str) -> Edit:
    """Give a file another name."""

    def edit(project: Path) -> None:
        (project / name).rename(project / new)

    return edit


Case = dict[str, Any]


def cases(name: str, change: Callable[[list[Case]], list[Case] | None]) -> Edit:
    """Rewrite a file of cases; `change` gives the new list, or changes the one it has."""

    def edit(project: Path) -> None:
        path = project / name
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["cases"] = change(content["cases"]) or content["cases"]
        path.write_text(
            yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=1000), encoding="utf-8"
        )

    return edit
