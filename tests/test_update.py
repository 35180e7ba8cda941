"""A project of any released version updates without a conflict and without losing an edit."""

from dataclasses import dataclass
from pathlib import Path

import copier
import pytest
from filelock import FileLock

from tests import client, frontends
from tests.conftest import ROOT
from tests.rendered import Project
from tools import checkout, git, releases

HEAD = "HEAD"
NEW_PAGE = "docs/written-for-the-update-test.md"


@dataclass(frozen=True)
class Newer:
    """A template in which the present state has a successor; both are tags."""

    root: Path
    head: str
    next: str


@pytest.fixture(scope="session")
def newer(template: Path, shared: Path) -> Newer:
    """Return the template with a synthetic newer version: the update from HEAD is proved today."""
    root = shared / "newer"
    with FileLock(shared / "newer.lock"):
        if not root.exists():
            git.run(shared, "clone", "--quiet", str(template), str(root))
            change(root / "template")
            git.run(root, "add", "--all")
            checkout.commit(root, "newer state", 2)
    return Newer(root, git.run(template, "describe", "--tags"), git.run(root, "describe", "--tags"))


def change(template: Path) -> None:
    """Change the template where the client made edits, in our files and in theirs."""
    append(template / client.PATCHED, "# Newer.\n")
    append(template / "features/answer/prompts/v2.md", "Newer.\n")
    append(template / f"data/seed/handbook/{client.DELETED_PAGE}.md", "Newer.\n")
    append(template / "config/policy.toml", "# Newer.\n")
    append(template / NEW_PAGE, "Newer.\n")


def append(file: Path, text: str) -> None:
    """Append to a file, new or not."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def start(front_end: str, newer: Newer, version: str, folder: Path) -> Path:
    """Return a new project of a version, committed."""
    ref = newer.head if version == HEAD else f"v{version}"
    if front_end == "copier":
        project = frontends.copy(newer.root, folder / "project", ref=ref)
    else:
        project = frontends.bake(f"git+{newer.root.as_uri()}", folder / "baked", ref=ref)
    frontends.start_history(project)
    return project


def update(root: Path, ref: str) -> None:
    """Update without trust and without a question."""
    copier.run_update(root, vcs_ref=ref, defaults=True, overwrite=True, quiet=True)


@pytest.mark.parametrize("front_end", ["copier", "cookiecutter"])
@pytest.mark.parametrize("version", [HEAD, *releases.read(ROOT)])
def test_update_keeps_every_edit(
    newer: Newer, cache: Path, tmp_path: Path, version: str, front_end: str
) -> None:
    project = Project(start(front_end, newer, version, tmp_path), cache)
    client.edit(project)
    own, answers = client.own_files(project.root), client.answers(project.root)

    update(project.root, newer.next if version == HEAD else newer.head)

    assert client.conflicts(project.root) == []
    assert client.own_files(project.root) == own
    assert client.answers(project.root) == answers
    assert (project.root / client.PATCHED).read_text(encoding="utf-8").startswith(client.PATCH)
    project.check("gate", "evals")


@pytest.mark.parametrize("front_end", ["copier", "cookiecutter"])
def test_update_brings_what_is_new_and_leaves_the_clients_folders(
    newer: Newer, tmp_path: Path, front_end: str
) -> None:
    root = start(front_end, newer, HEAD, tmp_path)
    client.delete_page(root)
    client.patch_module(root)
    append(root / "features/ours/feature.toml", "# ours\n")
    frontends.save(root, "Make it ours")
    own = client.own_files(root)

    update(root, newer.next)

    assert client.conflicts(root) == []
    assert client.own_files(root) == own
    assert (root / NEW_PAGE).exists()
    patched = (root / client.PATCHED).read_text(encoding="utf-8")
    assert patched.startswith(client.PATCH)
    assert patched.endswith("# Newer.\n")
    assert newer.next in (root / ".copier-answers.yml").read_text(encoding="utf-8")


def test_a_conflict_is_seen(newer: Newer, tmp_path: Path) -> None:
    root = start("copier", newer, HEAD, tmp_path)
    append(root / client.PATCHED, "# The same place.\n")
    frontends.save(root, "Make it ours")
    update(root, newer.next)
    assert client.conflicts(root) != []
