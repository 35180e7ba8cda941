"""What a client does to a project between two updates, and what an update must leave alone."""

import re
from pathlib import Path

import yaml

from tests import frontends
from tests.rendered import Project
from tools import git

OWN_FOLDERS = ("features", "data", "config", "secrets")
PATCHED = "app/pipeline.py"
PATCH = "# Patched by the client.\n"
DELETED_PAGE = "batching"

Content = dict[str, tuple[int, bytes]]


def edit(project: Project) -> None:
    """Make every kind of edit, accept the new scores and commit."""
    add_feature(project)
    change_prompt(project.root)
    change_golden_cases(project.root)
    delete_page(project.root)
    patch_module(project.root)
    project.check("gate", "accept", "--reason", "our prompt and our cases")
    frontends.save(project.root, "Make it ours")


def add_feature(project: Project) -> None:
    """Add a feature folder."""
    project.check("app", "feature", "new", "refunds")


def change_prompt(root: Path) -> None:
    """Add a rule to a prompt."""
    prompt = root / "features/answer/prompts/v2.md"
    text = prompt.read_text(encoding="utf-8")
    prompt.write_text(text.replace("\n", "\nUse plain words.\n", 1), encoding="utf-8")


def change_golden_cases(root: Path) -> None:
    """Drop the cases on the deleted page; give the first case another origin."""
    for file in sorted(root.glob("features/*/*.yaml")):
        text = file.read_text(encoding="utf-8")
        head, *cases = re.split(r"(?m)^(?=  - name: )", text)
        kept = [case for case in cases if not re.search(rf"\b{DELETED_PAGE}\b", case)]
        kept[0] = re.sub(r"origin: [^,}\n]+", "origin: a ticket of the client", kept[0])
        file.write_text(head + "".join(kept), encoding="utf-8")
        yaml.safe_load(file.read_text(encoding="utf-8"))


def delete_page(root: Path) -> None:
    """Delete a page of the corpus."""
    (root / f"data/seed/handbook/{DELETED_PAGE}.md").unlink()


def patch_module(root: Path) -> None:
    """Patch a module that belongs to the template."""
    module = root / PATCHED
    module.write_text(PATCH + module.read_text(encoding="utf-8"), encoding="utf-8")


def own_files(root: Path) -> Content:
    """Return every file in the client's own folders."""
    own = (path for path in frontends.tree(root).items() if path[0].split("/")[0] in OWN_FOLDERS)
    return dict(own)


def answers(root: Path) -> dict[str, object]:
    """Return the stored answers, without the version."""
    text = (root / ".copier-answers.yml").read_text(encoding="utf-8")
    stored: dict[str, object] = yaml.safe_load(text)
    return {name: value for name, value in stored.items() if name != "_commit"}


def conflicts(root: Path) -> list[str]:
    """Return what an update could not merge; Copier itself ends well then."""
    unmerged = git.run(root, "ls-files", "--unmerged").splitlines()
    rejected = [str(path) for path in root.rglob("*.rej")]
    marked = [name for name, (_, text) in frontends.tree(root).items() if b"\n<<<<<<< " in text]
    return unmerged + rejected + marked
