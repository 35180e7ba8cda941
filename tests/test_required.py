"""A test that cannot run skips with its reason; where every test is required, that is a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

IN_A_TEST = 'import pytest\ndef test_it(): pytest.skip("no engine")\n'
IN_A_MODULE = 'import pytest\npytest.skip("no engine", allow_module_level=True)\n'


@pytest.mark.parametrize("source", [IN_A_TEST, IN_A_MODULE], ids=["test", "module"])
@pytest.mark.parametrize("required", [True, False])
def test_a_skip_fails_only_where_every_test_is_required(tmp_path: Path, source: str, required: bool) -> None:
    (tmp_path / "test_it.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-rs", str(tmp_path)]
    environment = {"PYTHONPATH": str(ROOT), "SLIPWAY_REQUIRE_ALL": "1" if required else "0"}
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert "no engine" in done.stdout
    assert ("forbids this skip" in done.stdout) is required
    assert (done.returncode in {1, 2}) is required
