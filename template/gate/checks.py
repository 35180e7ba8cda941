"""The checks that other tools make: what `gate all` runs before the evals, as a person would by hand."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gate.errors import GateError

STEPS = {
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["lint-imports"]],
    "types": [["mypy"]],
    "secrets": [["detect-secrets-hook", "--baseline", ".secrets.baseline"]],
    "tests": [["pytest", "-n", "auto", "--maxprocesses", "4"]],
}


@dataclass(frozen=True)
class Done:
    """One step: `said` holds the tool's own words where it failed."""

    name: str
    ok: bool
    said: str = ""


def run(name: str) -> Done:
    """Run the commands of one step; the first that fails ends it."""
    for command in STEPS[name]:
        more = project_files() if command[0] == "detect-secrets-hook" else []
        done = subprocess.run([sys.executable, "-m", *module(command), *more], capture_output=True, text=True)
        if done.returncode:
            return Done(name, False, f"$ {' '.join(command)}\n{done.stdout}{done.stderr}".strip())
    return Done(name, True)


def module(command: list[str]) -> list[str]:
    """The command as a module of this Python, so that no PATH is needed."""
    modules = {"lint-imports": "importlinter.cli", "detect-secrets-hook": "detect_secrets.pre_commit_hook"}
    return [modules.get(command[0], command[0]), *command[1:]]


def project_files() -> list[str]:
    """The files that git tracks or would, but for the lock file, whose hashes look like secrets."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:
        raise GateError("the secrets check needs a git repository: git init && git add -A")
    return [name for name in listed.stdout.splitlines() if name != "uv.lock" and Path(name).is_file()]
