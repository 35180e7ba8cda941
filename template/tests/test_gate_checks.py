"""The checks of other tools: what they look at, and what it means when one cannot be started."""

import subprocess

import pytest

from gate import checks
from gate.errors import GateError
from tests import kit

FOUND = "AKIA" + "Q3EGRIXP7VZ2LMNT"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["docs/plain.md", "docs/Größe.md", "docs/two\nlines.md"])
def test_a_secret_is_found_in_a_file_of_any_name(project, path):
    subprocess.run(["git", "init", "--quiet"], check=True)
    for name in (".secrets.baseline", "gate/leaks.py"):
        kit.write(name, (kit.ROOT / name).read_text(encoding="utf-8"))
    kit.write(path, f"id = '{FOUND}'\n")
    assert "docs/" in "".join(checks.failed(checks.STEPS["secrets"]))


def test_a_tool_that_is_not_installed_is_no_verdict():
    with pytest.raises(GateError, match=r"^no-such-tool: no module named no-such-tool, .*: uv sync$"):
        checks.failed([["no-such-tool", "check"]])


def test_words_that_are_no_utf8_do_not_hide_what_a_tool_found():
    words = r"import sys; sys.stdout.buffer.write(b'M\xfcll'); sys.exit(1)"
    assert "M\ufffdll" in checks.failed([["timeit", "-s", words]])[0]
