"""The released versions in releases.toml, and their git tags."""

import re
import tomllib
from pathlib import Path

from tools import git
from tools.errors import ReleaseRefused

FILE = "releases.toml"


def read(root: Path) -> dict[str, str]:
    """Return version -> commit, oldest version first."""
    table = tomllib.loads((root / FILE).read_text(encoding="utf-8"))
    return dict(sorted(table.items(), key=lambda item: parse(item[0])))


def parse(version: str) -> tuple[int, int, int]:
    """Return the three numbers of a version; Copier never offers a pre-release.

    Raises ReleaseRefused.
    """
    if not re.fullmatch(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}", version):
        raise ReleaseRefused(f"{version!r} is not a version; write three numbers: VERSION=1.2.3")
    major, minor, patch = (int(number) for number in version.split("."))
    return major, minor, patch


def tag_all(root: Path, source: Path | None = None) -> list[str]:
    """Create the tags that are missing in root and return them.

    The releases are read from source, or from root without one. Raises ReleaseRefused.
    """
    created = []
    for version, commit in read(source or root).items():
        refuse_missing(root, version, commit)
        if ensure_tag(root, f"v{version}", commit):
            created.append(f"v{version}")
    return created


def refuse_missing(root: Path, version: str, commit: str) -> None:
    """Raise ReleaseRefused when this clone does not hold the commit of a release."""
    if not git.succeeds(root, "cat-file", "-e", f"{commit}^{{commit}}"):
        raise ReleaseRefused(
            f"{FILE}: {version}: commit {commit[:12]} is not in this clone; "
            "fetch the full history: git fetch --unshallow (or clone without --depth)"
        )


def ensure_tag(root: Path, tag: str, commit: str) -> bool:
    """Create an annotated tag and return True, or False where it exists.

    Raises ReleaseRefused when it is at another commit.
    """
    if not git.succeeds(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}"):
        git.run(root, "tag", "--annotate", "--message", tag, tag, commit)
        return True
    found = git.run(root, "rev-list", "-n", "1", tag)
    if found != commit:
        raise ReleaseRefused(
            f"{FILE}: {tag[1:]}: the tag {tag} is at {found[:12]}, the file says {commit[:12]}; "
            f"remove the wrong one: git tag -d {tag}"
        )
    return False
