"""A rendered project passes its own gate, as it is and with an own feature; what breaks it turns it red."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import frontends, services
from tests.conftest import slow
from tests.rendered import PYTEST, Project
from tools import git

Render = Callable[..., Project]
Change = Callable[[str], str]

ANSWERS = {
    "default": {},
    "all on": {"features": ["answer", "summarize"], "ci": "gitlab", "cloud": "aws", "license": "Apache-2.0"},
    "all off": {"features": [], "ci": "github", "cloud": "none", "license": "Proprietary"},
}


def change(file: Path, edit: Change) -> None:
    """Edit a file; an edit that changes nothing is a mistake of the test."""
    before = file.read_text(encoding="utf-8")
    after = edit(before)
    assert after != before
    file.write_text(after, encoding="utf-8")


@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_new_project_passes_its_whole_gate(
    project: Callable[..., Project], answers: dict[str, frontends.Answer]
) -> None:
    made = project(**answers)
    made.check("app", "setup")
    assert "gate: yes" in made.check("gate", "all")


def test_a_new_feature_is_five_files_and_passes(project: Callable[..., Project]) -> None:
    made = project(features=[])
    made.check("app", "feature", "new", "refunds")
    status = git.run(made.root, "status", "--porcelain", "--untracked-files=all").splitlines()
    changed = sorted(line[3:] for line in status if "uv.lock" not in line)
    names = ("adversarial.yaml", "feature.toml", "golden.yaml", "prompts/v1.md", "schema.py")
    assert changed == [f"features/refunds/{name}" for name in names]
    said = made.check("gate", "evals")
    assert "NO BASELINE" in said
    made.check("gate", "accept", "refunds", "--reason", "first")
    assert "NO BASELINE" not in made.check("gate", "evals")


BREAKS: dict[str, tuple[str, str, Change, str]] = {
    "a prompt that loses its citations": (
        "answer",
        "prompts/v2.md",
        lambda text: text.replace("cite its passage by number, like [1].", "be brief."),
        "invariants",
    ),
    "a prompt that loses its refusal line": (
        "answer",
        "prompts/v2.md",
        lambda text: text.replace('reply with exactly "The handbook does not say."', "say so."),
        "invariants",
    ),
    "a schema field that the prompt does not fill": (
        "summarize",
        "schema.py",
        lambda text: text.replace("key_points", "highlights"),
        "invariants",
    ),
    "a dearer prompt": (
        "summarize",
        "prompts/v2.md",
        lambda text: "Work with the greatest care. " * 20 + text,
        "cost",
    ),
    "a larger token budget for passages": (
        "answer",
        "feature.toml",
        lambda text: text.replace("k = 5", "k = 9"),
        "cost",
    ),
    "an answer cut to one sentence": (
        "answer",
        "prompts/v2.md",
        lambda text: text.replace("at most two sentences", "at most one sentence"),
        "score",
    ),
}


@pytest.mark.parametrize(("feature", "file", "edit", "part"), BREAKS.values(), ids=BREAKS.keys())
def test_the_gate_turns_red(
    project: Callable[..., Project], feature: str, file: str, edit: Change, part: str
) -> None:
    made = project()
    change(made.root / "features" / feature / file, edit)
    done = made.run("gate", "evals", feature)
    assert done.returncode == 1, done.stdout
    assert f"{feature:<12} {part:<11} BLOCK" in done.stdout


def test_a_loss_of_five_points_is_blocked(project: Callable[..., Project]) -> None:
    made = project()
    steps = made.root / "features/answer/steps.py"
    spoil = '    if zlib.crc32(said.encode()) % 13 == 0:\n        said = "It depends. [1]"\n'
    change(steps, lambda text: text.replace("from app import", "import zlib\n\nfrom app import", 1))
    change(steps, lambda text: text.replace("    cited =", f"{spoil}    cited =", 1))
    done = made.run("gate", "evals", "answer")
    lost = re.search(r"answer +score +BLOCK +[\d.]+, (-[\d.]+)", done.stdout)
    assert done.returncode == 1
    assert lost, done.stdout
    assert -0.055 < float(lost[1]) < -0.045


def test_a_comment_and_another_order_of_cases_change_nothing(project: Callable[..., Project]) -> None:
    made = project()
    golden = made.root / "features/answer/golden.yaml"
    head, *cases = golden.read_text(encoding="utf-8").split("\n  - name: ")
    golden.write_text("\n  - name: ".join([head, *reversed(cases)]) + "\n# a comment\n", encoding="utf-8")
    assert "gate: yes" in made.check("gate", "evals", "answer")


def test_a_broken_project_refuses_to_start_and_names_every_fault(project: Callable[..., Project]) -> None:
    made = project()
    toml = made.root / "features/summarize/feature.toml"
    change(toml, lambda text: text.replace("max_tokens", "max_token").replace('"v2"', '"v9"'))
    (made.root / "config/policy.toml").unlink()
    done = made.run("app", "serve")
    assert done.returncode == 2
    assert "feature.toml: max_token: unknown key 'max_token'; did you mean 'max_tokens'?" in done.stdout
    assert "Traceback" not in done.stdout


def interpreter(version: str) -> str:
    """Return a Python of this version, on PATH or among pyenv's; skip without one."""
    pyenv = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
    for found in [shutil.which(f"python{version}"), *map(str, pyenv)]:
        if found and not subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
            return found
    pytest.skip(f"Python {version} is not on this machine")


@slow
@pytest.mark.parametrize(("version", "more"), [("3.12", ["-o", "addopts="]), ("3.13", [])])
def test_tests_and_scores_are_the_same_on_every_python(
    project: Callable[..., Project],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    more: list[str],
) -> None:
    made, python = Project(project().root, tmp_path), ("--python", interpreter(version))
    with services.postgres_server(services.with_pgvector()) as server:
        monkeypatch.setenv("TEST_INDEX_URL", server.url)
        said = made.check(*python, *PYTEST, *more, "-rs")
    assert "skipped" not in said.lower(), said[-2000:]
    said = made.check(*python, "gate", "evals")
    assert said.count("+0.000 [+0.000, +0.000]") == 2
