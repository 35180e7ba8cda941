"""Every pair of options renders a project that is whole, clean and free of what is off."""

import ast
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from allpairspy import AllPairs

from tests.conftest import ROOT
from tests.frontends import Answer
from tests.rendered import Project

Render = Callable[..., Project]
Row = dict[str, Answer]

OPTIONS: dict[str, list[Answer]] = {
    "features": [["answer", "summarize"], ["answer"], ["summarize"], []],
    "ci": ["github", "gitlab"],
    "cloud": ["none", "aws"],
    "license": ["MIT", "Apache-2.0", "Proprietary"],
}
ROWS: list[Row] = [dict(zip(OPTIONS, row, strict=True)) for row in AllPairs(list(OPTIONS.values()))]

# What stays out of a project, as a path and as a word in its files, when the option is off.
LEFTOVERS = {
    ("ci", "github"): r"\.github\b(?!\.)",
    ("ci", "gitlab"): r"\.gitlab\b(?!\.)",
    ("cloud", "aws"): r"infra/terraform",
    ("features", "answer"): r"features/answer\b|/v1/answer\b",
    ("features", "summarize"): r"features/summarize\b|/v1/summarize\b",
}

# A pattern for what is not there does no harm, and holds once it is.
IGNORE_FILES = {".gitignore", ".dockerignore"}

# What the commands of other tests make in a rendered project.
MADE = {"uv.lock", "var", ".git"}

UNSAFE_ON_WINDOWS = re.compile(r'(?i)[<>:"|?*\\\x00-\x1f]|[. ]\Z|\A(con|prn|aux|nul|(com|lpt)[0-9])(\.|\Z)')

# Dependencies that no module imports: a plug-in or a driver that another one loads by name.
LOADED_BY_NAME = {"aiosqlite": "sqlalchemy", "httpx2": "fastapi"}
IMPORT_NAMES = {
    "openfeature-flagd-core": "openfeature",
    "openfeature-sdk": "openfeature",
    "pydantic-ai-slim": "pydantic_ai",
}


def name(row: Row) -> str:
    """Return a readable id for a set of answers."""
    return "-".join("+".join(value) or "none" if isinstance(value, list) else value for value in row.values())


every_row = pytest.mark.parametrize("row", ROWS, ids=name)


def test_rows_hold_every_pair() -> None:
    assert len(ROWS) < 20
    assert {(row["ci"], row["cloud"]) for row in ROWS} == {
        (ci, cloud) for ci in OPTIONS["ci"] for cloud in OPTIONS["cloud"]
    }


@every_row
def test_every_file_parses(render: Render, row: Row) -> None:
    parsers: dict[str, Callable[[str], object]] = {
        ".toml": tomllib.loads,
        ".json": json.loads,
        ".py": ast.parse,
        ".yml": parse_yaml,
        ".yaml": parse_yaml,
    }
    files = [path for path in render(**row).files("*") if path.suffix in parsers]
    assert len(files) > 10
    for path in files:
        parsers[path.suffix](path.read_text(encoding="utf-8"))


def parse_yaml(text: str) -> object:
    """Read every document of a YAML file."""
    return list(yaml.safe_load_all(text))


@every_row
def test_no_jinja_is_left(render: Render, row: Row) -> None:
    project = render(**row)
    forgotten = re.compile(r"\{[{%][^}\n]*\b(project_name|project_slug|_copier_\w+)\b")
    assert project.files("*.jinja", "*{{*", "*{%*") == []
    for path in project.files("*"):
        text = content(path)
        assert not forgotten.search(text), path
        if was_rendered(project, path):
            assert not re.search(r"(?<!\$)\{\{|\{%|\{#", text), path


def was_rendered(project: Project, path: Path) -> bool:
    """Tell whether a file was a Jinja template; others may show braces of their own."""
    relative = path.relative_to(project.root)
    return (ROOT / "template" / relative.with_name(f"{relative.name}.jinja")).exists()


@every_row
def test_nothing_of_a_switched_off_option_is_left(render: Render, row: Row) -> None:
    project = render(**row)
    off = [word for (option, value), word in LEFTOVERS.items() if value not in row[option]]
    found = []
    for path in (path for path in project.files("*") if path.name not in IGNORE_FILES):
        relative = str(path.relative_to(project.root))
        text = f"{relative}\n{content(path)}"
        found += [f"{relative}: {word}" for word in off if re.search(word, text)]
    assert found == []


@every_row
def test_file_names_are_safe_on_windows(render: Render, row: Row) -> None:
    root = render(**row).root
    paths = [path for path in root.rglob("*") if path.relative_to(root).parts[0] not in MADE]
    assert [path for path in paths if path.is_symlink()] == []
    assert [path for path in paths if UNSAFE_ON_WINDOWS.search(path.name)] == []
    assert len({str(path).lower() for path in paths}) == len(paths) > 100


def content(path: Path) -> str:
    """Return the text of a file, whatever bytes it holds."""
    return path.read_text(encoding="utf-8", errors="replace")


@every_row
def test_ruff_and_mypy_find_nothing(render: Render, row: Row) -> None:
    project = render(**row)
    project.check("ruff", "check", "--quiet", "--output-format=concise", ".")
    project.check("ruff", "format", "--check", "--quiet", ".")
    project.check("mypy", "--no-error-summary")


def test_every_runtime_dependency_is_imported(render: Render) -> None:
    project = render()
    table = tomllib.loads((project.root / "pyproject.toml").read_text(encoding="utf-8"))
    dependencies = {
        re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() for line in table["project"]["dependencies"]
    }
    imported = imports(project.root / "app")
    unused = {
        dependency
        for dependency in dependencies - LOADED_BY_NAME.keys()
        if IMPORT_NAMES.get(dependency, dependency.replace("-", "_")) not in imported
    }
    assert unused == set()
    assert LOADED_BY_NAME.keys() <= dependencies
    assert {loader for package, loader in LOADED_BY_NAME.items() if package in dependencies} <= dependencies


def imports(folder: Path) -> set[str]:
    """Return the top-level names that the modules of a folder import."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found


def test_workflows_are_pinned_and_safe(render: Render) -> None:
    github = render(ci="github").root / ".github"
    text = "".join(path.read_text(encoding="utf-8") for path in github.rglob("*.yml"))
    uses: list[Any] = re.findall(r"uses: (\S+)(.*)", text)
    assert uses
    assert all(re.search(r"@[0-9a-f]{40}$", action) and "# v" in comment for action, comment in uses)
