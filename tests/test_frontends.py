"""Both front ends ask the same questions and write the same project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import frontends
from tests.conftest import ROOT
from tools import git

HOSTILE_NAMES = [
    "3D Shop",
    "日本",
    "con",
    "Nul",
    "🚀",
    "x",
    "{{ 7*7 }}",
    "-",
    "İstanbul",
    "a" * 60,
    "LPT1",
    "%s & <b>",
]
CONTROLS = ["a\nb", "a\tb", "a\x7fb", "a\x85b", "a\u2028b", "a\u2029b", "a\n"]

COPIER: dict[str, Any] = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
COOKIECUTTER: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
QUESTIONS = {name: body for name, body in COPIER.items() if not name.startswith("_") and "when" not in body}

SAME = [
    {},
    {"features": "none", "ci": "gitlab", "cloud": "aws", "license": "Proprietary"},
    {
        "project_name": 'Ünï 🚀 "x" $(y)',
        "author": "yes",
        "features": "summarize",
        "license": "Apache-2.0",
    },
    {
        "project_slug": "from-slug",
        "description": "null: # ' \\ `z`",
        "email": "a.b+c@mail.example.org",
    },
]

REFUSED = [
    *(
        {"project_slug": slug}
        for slug in ("../x", "/abs", "a/b", "con", "A", "a--b", "-a", "a", "a\n", "{{7*7}}")
    ),
    *(
        {name: text}
        for name in ("project_name", "description", "author")
        for text in ("a" * 300, "a\x85b", " a")
    ),
    {"email": "not an address"},
    {"email": "a@b\n.example"},
    {"features": "nope"},
]


def typed(answers: dict[str, str]) -> dict[str, frontends.Answer]:
    """Return what was typed into Cookiecutter in Copier's types."""
    features = answers.get("features")
    return answers | (
        {} if features is None else {"features": [] if features == "none" else features.split(",")}
    )


def test_asks_at_most_ten_questions_in_full_sentences() -> None:
    assert len(QUESTIONS) <= 10
    assert all(re.fullmatch(r"[A-Z].{20,}\?", body["help"]) for body in QUESTIONS.values())
    assert all("default" in body for body in QUESTIONS.values())


def test_asks_the_same_questions_in_both() -> None:
    prompts = COOKIECUTTER["__prompts__"]
    asked = [name for name in COOKIECUTTER if not name.startswith("_")]
    assert asked == list(QUESTIONS) == list(prompts)
    for name in ("project_name", "description", "author", "email"):
        assert COOKIECUTTER[name] == QUESTIONS[name]["default"]
        assert prompts[name] == QUESTIONS[name]["help"]
    assert COOKIECUTTER["features"].split(", ") == QUESTIONS["features"]["default"]


@pytest.mark.parametrize("name", ["ci", "cloud", "license"])
def test_offers_the_same_choices_in_both(name: str) -> None:
    question, prompt = QUESTIONS[name], COOKIECUTTER["__prompts__"][name]
    labels = question["choices"]
    if isinstance(labels, list):
        labels = {choice: choice for choice in labels}
    assert COOKIECUTTER[name][0] == question["default"]
    assert COOKIECUTTER[name] == list(labels.values())
    assert prompt == {"__prompt__": question["help"]} | {value: label for label, value in labels.items()}


def test_needs_no_trust() -> None:
    assert not {"_tasks", "_migrations", "_jinja_extensions"} & COPIER.keys()


@pytest.mark.parametrize("answers", SAME, ids=lambda answers: "+".join(answers) or "defaults")
def test_writes_the_same_project(template: Path, tmp_path: Path, answers: dict[str, str]) -> None:
    baked = frontends.bake(template, tmp_path / "baked", **answers)
    copied = frontends.copy(template, tmp_path / "copied", typed(answers))
    left, right = frontends.tree(baked), frontends.tree(copied)
    assert left.keys() == right.keys()
    assert [path for path in left if left[path] != right[path]] == []
    assert ".copier-answers.yml" in left


@pytest.mark.parametrize("answers", REFUSED, ids=lambda answers: ascii(answers)[:50])
def test_copier_leaves_nothing_behind_a_refusal(
    template: Path, tmp_path: Path, answers: dict[str, str]
) -> None:
    with pytest.raises((ValueError, TypeError)):
        frontends.copy(template, tmp_path / "copied", typed(answers))
    assert not (tmp_path / "copied").exists()


@pytest.mark.parametrize("text", CONTROLS, ids=ascii)
def test_copier_refuses_text_of_more_than_one_plain_line(template: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="one line without control"):
        frontends.copy(template, tmp_path / "copied", {"project_name": f"x{text}y"})


@pytest.mark.parametrize(
    "answers",
    [
        {"project_slug": "../x"},
        {"project_name": "a" * 300},
        {"author": "a\x85b"},
        {"features": "nope"},
    ],
    ids=lambda answers: next(iter(answers)),
)
def test_cookiecutter_leaves_nothing_behind_a_refusal(
    template: Path, tmp_path: Path, answers: dict[str, str]
) -> None:
    with pytest.raises(frontends.CookiecutterFailed, match="slipway: "):
        frontends.bake(template, tmp_path / "baked", **answers)
    assert list((tmp_path / "baked").iterdir()) == []


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_derives_a_valid_slug_from_any_name(template: Path, tmp_path: Path, name: str) -> None:
    frontends.copy(template, tmp_path / "copied", {"project_name": name})
    answers = yaml.safe_load((tmp_path / "copied/.copier-answers.yml").read_text(encoding="utf-8"))
    assert answers["project_name"] == name
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", answers["project_slug"])
    assert 2 <= len(answers["project_slug"]) <= 40


def test_stores_exactly_what_was_asked(template: Path, tmp_path: Path) -> None:
    frontends.copy(template, tmp_path / "copied")
    answers = yaml.safe_load((tmp_path / "copied/.copier-answers.yml").read_text(encoding="utf-8"))
    assert answers.keys() == QUESTIONS.keys() | {"_commit", "_src_path"}
    assert answers["_src_path"] == str(template)


def test_ends_with_the_next_three_commands(template: Path, tmp_path: Path) -> None:
    target = tmp_path / "it's here"
    command = [sys.executable, "-m", "copier", "copy", "--defaults", str(template), str(target)]
    done = subprocess.run(command, env=frontends.environment(), capture_output=True, text=True, check=True)
    commands = [line.strip() for line in done.stderr.splitlines() if line.startswith("  ")]
    assert len(commands) == 3
    assert commands[0].startswith("cd ")
    assert "git init" in commands[1]
    assert commands[2] == "uv run app dev"
    script = f"{commands[0]} && pwd"
    assert subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip() == str(target)


def test_hook_finds_copier_with_uv(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_copier(tmp_path, monkeypatch)
    baked = frontends.bake(template, tmp_path / "baked")
    monkeypatch.undo()
    assert frontends.tree(baked) == frontends.tree(frontends.copy(template, tmp_path / "copied"))


def test_hook_says_what_to_install_without_any_tool(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_copier(tmp_path, monkeypatch)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(shutil.which("git") or "git")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(frontends.CookiecutterFailed, match="slipway: Copier is needed too: uvx --with"):
        frontends.bake(template, tmp_path / "baked")
    assert list((tmp_path / "baked").iterdir()) == []


def hide_copier(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import copier` fail where Cookiecutter and its hook run, as without Copier."""
    prefix = "import sys; sys.prefix == " + repr(sys.prefix)
    site = folder / "site"
    site.mkdir()
    hidden = f"{prefix} and sys.modules.__setitem__('copier', None)\n"
    (site / "sitecustomize.py").write_text(hidden, encoding="utf-8")
    monkeypatch.setattr(frontends, "environment", lambda: dict(os.environ) | {"PYTHONPATH": str(site)})


def test_project_from_an_address_remembers_it(template: Path, tmp_path: Path) -> None:
    project = frontends.bake(f"git+{template.as_uri()}", tmp_path / "baked")
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert answers["_src_path"] == f"git+{template.as_uri()}"
    assert answers["_commit"] == git.run(template, "describe", "--tags")
