"""The generated project stays small enough to be read by the person who owns it."""

import ast
import io
import tokenize
import tomllib
from pathlib import Path

from tests.conftest import ROOT
from tests.test_render import Render

TEMPLATE = ROOT / "template"
PACKAGES = ("app", "gate", "ops", "features", "infra")
MODULES = sorted(
    path for folder in (*PACKAGES, "tests", "load") for path in (TEMPLATE / folder).rglob("*.py")
)
OWN_MODULES = sorted(path for folder in ("tools", "tests", "hooks") for path in (ROOT / folder).rglob("*.py"))

MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 50
MAX_PYTHON_LINES = 12_700
MAX_RUNTIME_DEPENDENCIES = 30
HOLDERS = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
NO_CODE = (
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
)  # fmt: skip


def name(path: Path) -> str:
    """Return the path as a person writes it."""
    return str(path.relative_to(ROOT))


def lines(path: Path) -> int:
    """Count the lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def test_the_template_holds_its_packages() -> None:
    assert [folder for folder in PACKAGES if not any((TEMPLATE / folder).rglob("*.py"))] == []


def test_every_module_fits_its_budget() -> None:
    assert [name(path) for path in MODULES + OWN_MODULES if lines(path) > MAX_FILE_LINES] == []


def test_every_function_fits_its_budget() -> None:
    assert [fault for path in MODULES + OWN_MODULES for fault in long_functions(path)] == []


def long_functions(path: Path) -> list[str]:
    """Return the functions of a module that are over the budget, with their place."""
    return [
        f"{name(path)}:{node.lineno}: {node.name}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]


def test_python_fits_its_budget() -> None:
    packages = [path for path in MODULES if path.relative_to(TEMPLATE).parts[0] in PACKAGES]
    assert sum(written(path) for path in packages) < MAX_PYTHON_LINES


def written(path: Path) -> int:
    """Count the lines of code: docs/decisions/lines-that-count.md says which."""
    text = path.read_text(encoding="utf-8")
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, HOLDERS) and ast.get_docstring(node, clean=False) is not None:
            held.difference_update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(held)


def test_lines_of_code_are_counted_without_blanks_comments_and_docstrings(tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    path.write_text(
        '"""One\n\ntwo."""\n\n# 3\ndef four() -> str:\n    """Five."""\n    return """\n7"""  # 8\n'
    )
    assert written(path) == 3


def test_runtime_dependencies_fit_their_budget(render: Render) -> None:
    project = tomllib.loads((render().root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert len(project["dependencies"]) < MAX_RUNTIME_DEPENDENCIES


def test_imports_go_one_way(render: Render) -> None:
    assert "0 broken" in render().check("lint-imports", "--no-cache")
