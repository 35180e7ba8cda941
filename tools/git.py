"""Git, as one function."""

import subprocess
from pathlib import Path

from tools.errors import GitFailed


def run(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it printed, without the last line end.

    Raises GitFailed.
    """
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GitFailed(f"{folder}: git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def succeeds(folder: Path, *arguments: str) -> bool:
    """Tell whether a git command ends well; what it prints is dropped."""
    try:
        run(folder, *arguments)
    except GitFailed:
        return False
    return True
