"""make demo, word for word: from a clone to three answers."""

import shutil
import subprocess
from pathlib import Path

from tests import frontends
from tests.conftest import slow


@slow
def test_the_demo_renders_gates_and_answers(template: Path, tmp_path: Path) -> None:
    shutil.copytree(template, tmp_path / "slipway")
    done = subprocess.run(
        ["make", "demo"],
        cwd=tmp_path / "slipway",
        env=frontends.environment() | {"DEMO_EXIT": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "gate: yes" in done.stdout
    assert "An error budget is" in done.stdout
    assert "[1] data/seed/handbook/error-budgets.md" in done.stdout
    assert "The handbook does not say." in done.stdout
