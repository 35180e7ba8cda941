"""The checks that other tools make: what `gate all` runs before the evals, as a person would by hand."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from gate.errors import GateError

STEPS = {
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["lint-imports"]],
    "types": [["mypy"]],
    "secrets": [["detect-secrets-hook", "--baseline", ".secrets.baseline"], ["gate.leaks"]],
    "tests": [["pytest", "-n", "auto", "--maxprocesses", "4"]],
}


def together() -> Iterator[tuple[str, list[str]]]:
    """What each step says that failed, in order; they run beside each other."""
    with ThreadPoolExecutor(len(STEPS)) as pool:
        yield from zip(STEPS, pool.map(failed, STEPS.values()), strict=True)


def failed(commands: Iterable[list[str]], folder: Path | None = None) -> list[str]:
    """What the first command that fails says in its own words; those after it are not run."""
    for command in commands:
        done = subprocess.run(
            program(*command), cwd=folder, capture_output=True, encoding="utf-8", errors="replace"
        )
        if done.returncode:
            return [f"$ {' '.join(command)}\n{done.stdout}{done.stderr}".strip()]
    return []


def program(name: str, *words: str) -> list[str]:
    """The command as a module of this Python, so that no PATH is needed; promtool is no module.

    Raises GateError for a tool that is not installed: a check that cannot run says neither yes nor no.
    """
    modules = {"lint-imports": "importlinter.cli", "detect-secrets-hook": "detect_secrets.pre_commit_hook"}
    if name == "promtool":
        return [name, *words]
    module = modules.get(name, name)
    if not find_spec(module.partition(".")[0]):
        raise GateError(f"{name}: no module named {module}, so its check cannot run: uv sync")
    more = project_files() if name in ("detect-secrets-hook", "gate.leaks") else []
    return [sys.executable, "-m", module, *words, *more]


def project_files() -> list[str]:
    """The files that git tracks or would, but for the lock file, whose hashes look like secrets."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise GateError("the secrets check needs git and a repository: git init && git add -A") from error
    names = os.fsdecode(listed.stdout).split("\0")
    return [name for name in names if name != "uv.lock" and Path(name).is_file()]
