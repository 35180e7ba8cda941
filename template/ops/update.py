"""Bring the template's news into this repository, and never report a conflict as success."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from ops.errors import Conflicts, NotReady

ANSWERS = Path(".copier-answers.yml")
COPIER = "copier>=9.19,<10"


def update(version: str, tell: Callable[[str], None]) -> None:
    """Update to a version (empty: the newest); raise NotReady before, or Conflicts after the merge."""
    check_ready()
    before = template_version()
    tell(f"updating from {before}")
    command = [*copier(), "update", "--defaults", "--skip-answered", "--quiet"]
    run([*command, f"--vcs-ref={version}"] if version else command)
    if files := conflicts():
        listed = "\n".join(f"  {name}" for name in files)
        raise Conflicts(f"both sides changed these files; settle the marked lines, then commit:\n{listed}")
    tell(f"now at {template_version()}; look at `git diff`, run `uv sync` and `uv run gate all`, then commit")


def check_ready() -> None:
    """The update merges into a clean git tree that knows its template."""
    if not ANSWERS.exists():
        raise NotReady(f"{ANSWERS} is missing: run this in the project's root")
    done = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True)
    if done.returncode:
        raise NotReady("this is no git repository: git init && git add -A && git commit -m 'Start'")
    if done.stdout.strip():
        raise NotReady("there are uncommitted changes: commit or stash them first")


def template_version() -> str:
    """The template's version that this project was last rendered from."""
    try:
        answers = yaml.safe_load(ANSWERS.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        answers = None
    if not isinstance(answers, dict):
        raise NotReady(f"{ANSWERS} is damaged: restore it with: git checkout HEAD~ -- {ANSWERS}")
    return str(answers.get("_commit", "an unknown version"))


def copier() -> list[str]:
    """Copier as a command: through uv, or as it is installed."""
    if uvx := shutil.which("uvx"):
        return [uvx, "--from", COPIER, "copier"]
    if found := shutil.which("copier"):
        return [found]
    raise NotReady("Copier is needed: install uv, or run 'pipx install copier'")


def run(command: list[str]) -> None:
    """Run Copier; its last line is the reason where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise NotReady(f"copier: {reason}")


def conflicts() -> list[str]:
    """The files that git holds as unmerged: Copier itself ends with 0 in that case."""
    done = subprocess.run(["git", "ls-files", "-u"], capture_output=True, text=True, check=True)
    return sorted({line.partition("\t")[2] for line in done.stdout.splitlines()})
