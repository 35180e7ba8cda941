"""`make release VERSION=x.y.z` and `make release-tags`."""

import argparse
import re
import sys
import tomllib
from pathlib import Path

from tools import git, releases
from tools.errors import GitFailed, ReleaseRefused, ToolError

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Read the command line and do what it says; a mistake is one line, never a traceback."""
    parser = argparse.ArgumentParser(prog="release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("cut", help="release HEAD").add_argument("version")
    commands.add_parser("tags", help="create the tags that releases.toml names")
    given = parser.parse_args()
    try:
        print(cut(ROOT, given.version) if given.command == "cut" else restore_tags(ROOT))
    except ToolError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def cut(root: Path, version: str) -> str:
    """Tag HEAD as a version and record it in the next commit.

    Raises ToolError before anything is written.
    """
    known = releases.read(root)
    refuse_dirty(root)
    refuse_old(version, known)
    refuse_tagged(root, version)
    refuse_unannounced(root, version)
    commit = git.run(root, "rev-parse", "HEAD")
    record(root, version, commit)
    releases.ensure_tag(root, f"v{version}", commit)
    return f"v{version} is {commit[:12]}; publish it: git push --follow-tags"


def restore_tags(root: Path) -> str:
    """Create the tags that a clone came without, and say which."""
    created = releases.tag_all(root)
    return f"created {', '.join(created)}" if created else "every tag is there"


def refuse_dirty(root: Path) -> None:
    """Raise ReleaseRefused when a file differs from HEAD: the tag would not hold it."""
    changed = git.run(root, "status", "--porcelain").splitlines()
    if changed:
        raise ReleaseRefused(
            f"{len(changed)} uncommitted change(s), first {changed[0][3:]}; commit or remove them"
        )


def refuse_old(version: str, known: dict[str, str]) -> None:
    """Raise ReleaseRefused when a version is malformed or not newer than every release."""
    wanted = releases.parse(version)
    newest = max(known, key=releases.parse, default=None)
    if newest and wanted <= releases.parse(newest):
        raise ReleaseRefused(f"{version} is not newer than {newest}, the newest in {releases.FILE}")


def refuse_tagged(root: Path, version: str) -> None:
    """Raise ReleaseRefused when the tag exists without an entry in releases.toml."""
    if git.succeeds(root, "rev-parse", "--verify", "--quiet", f"refs/tags/v{version}"):
        raise ReleaseRefused(
            f"the tag v{version} exists, but {releases.FILE} has no entry: git tag -d v{version}"
        )


def refuse_unannounced(root: Path, version: str) -> None:
    """Raise ReleaseRefused when CHANGELOG.md or pyproject.toml do not know the version."""
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[?{re.escape(version)}\]?(\s|$)", changelog, re.MULTILINE):
        raise ReleaseRefused(
            f"CHANGELOG.md: no section for {version}; add the heading '## {version}' and its lines"
        )
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if project["version"] != version:
        raise ReleaseRefused(
            f"pyproject.toml: version is {project['version']!r}; set it to {version!r} and commit"
        )


def record(root: Path, version: str, commit: str) -> None:
    """Commit the release in releases.toml; a refused commit leaves the file as it was."""
    file = root / releases.FILE
    before = file.read_text(encoding="utf-8")
    file.write_text(f'{before}"{version}" = "{commit}"\n', encoding="utf-8", newline="\n")
    try:
        git.run(root, "commit", "--quiet", "--message", f"Record release {version}", "--", releases.FILE)
    except GitFailed:
        file.write_text(before, encoding="utf-8", newline="\n")
        raise


if __name__ == "__main__":
    sys.exit(main())
