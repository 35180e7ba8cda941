"""A rendered project whose commands run in a virtual environment that many projects share."""

import os
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests import frontends

COMMAND_TIMEOUT_S = 1_800
# All tests of a project by two processes; those of one file share what a variable names.
PYTEST = ("--all-extras", "--group", "load", "pytest", "-n", "2", "--dist", "loadfile")


@dataclass(frozen=True)
class Project:
    """A rendered project; venv and caches lie outside it, one set for each test worker."""

    root: Path
    cache: Path

    @property
    def venv(self) -> Path:
        """Its environment: two packages in one would overwrite each other's commands."""
        said = (self.root / "pyproject.toml").read_text(encoding="utf-8")
        return self.cache / f"venv-{tomllib.loads(said)['project']['name']}"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command with uv in the project, without raising; stdout holds stderr too."""
        return subprocess.run(
            [os.environ.get("UV", "uv"), "run", "--quiet", *command],
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    def check(self, *command: str) -> str:
        """Run a command with uv and return its output; a failure fails the test with it."""
        done = self.run(*command)
        assert done.returncode == 0, (
            f"uv run {' '.join(command)}: exit {done.returncode}\n{done.stdout[-8000:]}"
        )
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Return an environment that keeps everything but var/ and uv.lock out of the project."""
        own = {
            "UV_PROJECT_ENVIRONMENT": str(self.venv),
            "MYPY_CACHE_DIR": str(self.cache / "mypy"),
            "RUFF_CACHE_DIR": str(self.cache / "ruff"),
            "PYTHONPYCACHEPREFIX": str(self.cache / "pyc"),
        }
        return frontends.environment() | own

    def files(self, *patterns: str) -> list[Path]:
        """Return the project's own files that match, sorted; not those that its commands made."""
        found = {path for pattern in patterns for path in self.root.rglob(pattern) if path.is_file()}
        made = {self.root / "uv.lock", self.root / "var", self.root / ".git"}
        return sorted(path for path in found if not made & {path, *path.parents})
