"""The two front ends, as functions."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import copier

from tools import git

Answer = str | list[str]


class CookiecutterFailed(Exception):
    """Cookiecutter ended with an error; the message is what it printed."""


def copy(
    template: Path,
    target: Path,
    answers: Mapping[str, Answer] | None = None,
    ref: str | None = None,
) -> Path:
    """Render with Copier, never unsafe: a template that needs trust fails here."""
    copier.run_copy(str(template), target, data=dict(answers or {}), vcs_ref=ref, defaults=True, quiet=True)
    return target


def bake(template: str | Path, folder: Path, ref: str | None = None, **answers: str) -> Path:
    """Render with Cookiecutter into a folder and return the project. Raises CookiecutterFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder.parent / f"{folder.name}-cookiecutter.yml"
    state = {
        "cookiecutters_dir": str(folder.parent / "clones"),
        "replay_dir": str(folder.parent / "replay"),
    }
    config.write_text(json.dumps(state), encoding="utf-8")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", str(config)]
    command += ["--output-dir", str(folder), *(["--checkout", ref] if ref else []), str(template)]
    command += [f"{name}={answer}" for name, answer in answers.items()]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise CookiecutterFailed(done.stderr)
    (project,) = folder.iterdir()
    return project


def environment() -> dict[str, str]:
    """Return the environment without this test run's own; compiled modules are kept, as a person's are."""
    ours = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    return {name: text for name, text in os.environ.items() if name not in ours}


def tree(project: Path) -> dict[str, tuple[int, bytes]]:
    """Return path -> file mode and content."""
    files = (path for path in project.rglob("*") if path.is_file())
    return {str(path.relative_to(project)): (path.stat().st_mode, path.read_bytes()) for path in files}


def start_history(project: Path) -> None:
    """Make the first commit of a project: `copier update` needs one."""
    git.run(project, "init", "--quiet")
    save(project, "Start from Slipway")


def save(project: Path, message: str) -> None:
    """Commit everything."""
    git.run(project, "add", "--all")
    git.run(project, "commit", "--quiet", "--no-verify", "--message", message)
