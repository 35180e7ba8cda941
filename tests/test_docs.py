"""Every path, link and command that a document names exists, here and in the generated project."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.rendered import Project
from tests.test_render import Render

NAMES = ("README.md", "AGENTS.md", "SECURITY.md", "docs/**/*.md")
SUFFIX = re.compile(r"\.(md|py|toml|ya?ml|json|html|sh|tf|txt|lock|jinja|age|css|js)$")
PATH = re.compile(r"(\./)?[\w.<>*{}_-]+(/[\w.<>*{}_-]+)*/?")
SPANS = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
LINKS = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")

# What a command, a person or a later step of the document makes.
MADE_LATER = re.compile(
    r"(var|demo|secrets|\.venv|data/safety)(/.*)?|.*/candidates/.*|\.env|(.*/)?(uv|models)\.lock|.*baseline\.json|.*\.jsonl|labels\.yaml"
)


@pytest.fixture(scope="module")
def project(render: Render) -> Project:
    return render(cloud="aws")


def documents(root: Path) -> list[Path]:
    """Return the documents of a repository."""
    return sorted(path for name in NAMES for path in root.glob(name))


def code(document: Path) -> Iterator[str]:
    """Return every line of code in a document: fenced blocks and code spans."""
    for match in SPANS.finditer(document.read_text(encoding="utf-8")):
        yield from (match[1] or match[2]).splitlines()


def paths(document: Path, tops: set[str]) -> set[str]:
    """Return the words in code with a file ending, a last slash or a known first folder."""
    words = {word for line in code(document) for word in line.split()}
    bare = {word.lstrip("([\"'").rstrip(".,;:)]\"'") for word in words}
    known = {word for word in bare if PATH.fullmatch(word) and not word.startswith("-")}
    return {
        word.removeprefix("./")
        for word in known
        if SUFFIX.search(word) or word.endswith("/") or word.removeprefix("./").split("/")[0] in tops
    }


def exists(path: str, roots: list[Path]) -> bool:
    """Tell whether a path is there, in any folder; <name> and NAME are any name."""
    pattern = re.sub(r"<[^>]*>|\{[^}]*\}|\b[A-Z]{3,}\b(?!\.md)", "*", path).rstrip("/")
    return any(any(root.glob(each)) for root in roots for each in (pattern, f"**/{pattern}"))


def missing(document: Path, roots: list[Path]) -> set[str]:
    """Return the paths that a document names and no root has."""
    tops = {entry.name for root in roots for entry in root.iterdir()}
    named = {path for path in paths(document, tops) if not MADE_LATER.fullmatch(path.rstrip("/"))}
    return {path for path in named if not exists(path, [*roots, document.parent])}


def test_paths_of_the_project_exist(project: Project) -> None:
    found = {path.name: missing(path, [project.root]) for path in documents(project.root)}
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_paths_of_the_template_exist(project: Project) -> None:
    roots = [ROOT, ROOT / "template", project.root]
    found = {path.name: missing(path, roots) for path in documents(ROOT)}
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_links_lead_somewhere(project: Project) -> None:
    dead = [
        f"{document}: {link}"
        for document in documents(ROOT) + documents(project.root)
        for link in LINKS.findall(document.read_text(encoding="utf-8"))
        if not (document.parent / link).exists()
    ]
    assert dead == []


def test_commands_of_the_project_exist(project: Project) -> None:
    named = {command for document in all_documents(project) for command in commands(document)}
    assert {command for command in named if project.run(*command).returncode} == set()


def commands(document: Path) -> Iterator[tuple[str, ...]]:
    """Return what proves each `uv run` command: its help page, or a tool's version."""
    for line in code(document):
        for door, rest in re.findall(r"\buv run ([a-z][\w-]*)([^#|&;]*)", line):
            if door not in {"app", "gate", "ops"}:
                yield (door, "--version")
                continue
            words = re.match(r"(?: [a-z][a-z-]*(?=\s|$))*", rest)
            yield (door, *(words[0].split() if words else ()), "--help")


def test_targets_of_make_exist(project: Project) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {target for document in all_documents(project) for target in make_targets(document)}
    assert named - targets == set()


def make_targets(document: Path) -> set[str]:
    """Return the targets that a document runs with make."""
    lines = "\n".join(code(document))
    return set(re.findall(r"(?m)^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", lines))


def all_documents(project: Project) -> list[Path]:
    """Return the documents of both repositories."""
    return documents(ROOT) + documents(project.root)


def test_the_project_has_its_documents(project: Project) -> None:
    names = {path.name for path in documents(project.root)}
    assert {"README.md", "AGENTS.md", "SECURITY.md"} <= names


def test_the_model_card_shows_the_scores_that_the_gate_prints(project: Project) -> None:
    project.check("gate", "evals")
    summary = (project.root / "var/reports/summary.md").read_text(encoding="utf-8").splitlines()
    card = (project.root / "docs/model-card.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in card if line.startswith("|")]
    assert len(rows) > 30
    assert [row for row in rows if row not in summary] == []
