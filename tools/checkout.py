"""A clean, tagged clone of the working tree.

Copier renders the newest tag of a repository. A project made from uncommitted files names a commit
that exists nowhere and can never be updated, so tests and the demo render from such a clone.
"""

import shutil
from pathlib import Path

from tools import git, releases


def clone(source: Path, target: Path) -> str:
    """Clone a working tree, tag every release and then its present state; return that tag."""
    git.run(source, "clone", "--quiet", "--no-tags", str(source), str(target))
    releases.tag_all(target, source)
    mirror(source, target)
    git.run(target, "add", "--all", "--force")
    return commit(target, "present state", 1)


def mirror(source: Path, target: Path) -> None:
    """Replace the files of a clone by those of the working tree that git knows or would add."""
    for entry in target.iterdir():
        if entry.name != ".git":
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    listed = git.run(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name, follow_symlinks=False)


def commit(target: Path, message: str, number: int) -> str:
    """Commit what is staged and tag it as newer than every release; return the tag.

    A post-release sorts above its release, and unlike a pre-release Copier takes it.
    """
    newest = next(reversed(releases.read(target)), "0.0.0")
    tag = f"v{newest}.post{number}"
    git.run(target, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", message)
    git.run(target, "tag", "--annotate", "--message", message, tag)
    return tag
