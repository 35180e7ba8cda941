"""What the generated workflow runs, run here: a null change is green, a seeded regression is red."""

import re
import subprocess
from collections.abc import Callable
from typing import Any

import yaml

from tests import frontends
from tests.conftest import slow
from tests.rendered import Project
from tests.test_pipeline import change

PYTHON = "3.12"


def workflow(made: Project, name: str) -> dict[str, Any]:
    """Return a workflow of the project as data."""
    found: dict[str, Any] = yaml.safe_load(
        (made.root / ".github/workflows" / name).read_text(encoding="utf-8")
    )
    return found


def commands(made: Project) -> list[str]:
    """Return the commands of the job that runs the whole gate, in order, without reports and uploads."""
    job = workflow(made, "ci.yml")["jobs"]["checks"]
    row = next(row for row in job["strategy"]["matrix"]["include"] if row["python"] == PYTHON)
    steps = [step["run"] for step in job["steps"] if "run" in step and "if" not in step]
    return [row["run"] if step == "$RUN" else step for step in steps]


def merge_is_allowed(made: Project) -> tuple[bool, str]:
    """Run the job as the runner does, to the first failure; returns whether there was none, and all words."""
    said = ""
    for command in commands(made):
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command], cwd=made.root, env=made.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False,
        )  # fmt: skip
        said += f"$ {command}\n{done.stdout}"
        if done.returncode:
            return False, said
    return True, said


@slow
def test_a_null_change_is_green_and_a_seeded_regression_is_red(
    project: Callable[..., Project],
) -> None:
    made = project()
    made.check("python", "-c", "")  # the workflow wants the lock file that the first `uv run` writes
    change(made.root / "features/answer/golden.yaml", lambda text: f"{text}# a comment\n")
    green, said = merge_is_allowed(made)
    assert green, said
    assert "gate: yes" in said
    change(made.root / "features/answer/feature.toml", lambda text: text.replace("k = 5", "k = 9"))
    green, said = merge_is_allowed(made)
    assert not green
    assert re.search(r"gate: no \(.*answer cost\)", said), said[-2000:]


@slow
def test_gitlab_runs_the_same_commands_and_ends_as_they_do(
    project: Callable[..., Project],
    render: Callable[..., Project],
) -> None:
    made = project(ci="gitlab")
    made.check("python", "-c", "")
    jobs = yaml.safe_load((made.root / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    rows = workflow(render(), "ci.yml")["jobs"]["checks"]["strategy"]["matrix"]["include"]
    assert {row["RUN"] for row in jobs["gate"]["parallel"]["matrix"]} == {row["run"] for row in rows}
    assert script(made, jobs["gate"], {"RUN": "true"}) == 0
    assert script(made, jobs["gate"], {"RUN": "false"}) == 1
    load, *others = jobs["nightly"]["parallel"]["matrix"]
    assert "gate load" in load["RUN"]  # it takes two minutes: tests of the project run it shorter
    assert [row["RUN"] for row in others if script(made, jobs["nightly"], row)] == []


def script(made: Project, job: dict[str, Any], variables: dict[str, str]) -> int:
    """Run a job of GitLab as its runner does, in one shell, with our uv; returns its exit code."""
    lines = [line for line in job["before_script"] + job["script"] if not line.startswith("pip install")]
    command = ["bash", "-e", "-o", "pipefail", "-c", "\n".join(lines)]
    env = made.environment() | variables
    return subprocess.run(command, cwd=made.root, env=env, timeout=600, check=False).returncode


def test_one_check_stands_for_all_and_is_the_one_that_is_required(render: Callable[..., Project]) -> None:
    made = render()
    jobs = workflow(made, "ci.yml")["jobs"]
    rules = yaml.safe_load((made.root / ".github/rulesets/main.json").read_text(encoding="utf-8"))["rules"]
    required = next(rule for rule in rules if rule["type"] == "required_status_checks")
    assert [check["context"] for check in required["parameters"]["required_status_checks"]] == [
        jobs["gate"]["name"]
    ]
    assert jobs["gate"]["needs"] == ["checks"]
    assert jobs["gate"]["if"] == "${{ always() }}"  # a job that is skipped would count as passed
    for result, code in {"success": 0, "failure": 1, "cancelled": 1, "skipped": 1}.items():
        step = jobs["gate"]["steps"][0]["run"]
        env = {**frontends.environment(), "RESULT": result}
        assert subprocess.run(["bash", "-e", "-c", step], env=env, check=False).returncode == code


def test_every_command_of_the_nightly_job_exists(render: Callable[..., Project]) -> None:
    made = render()
    rows = workflow(made, "nightly.yml")["jobs"]["measure"]["strategy"]["matrix"]["include"]
    assert [row["what"] for row in rows] == ["load", "retrieval", "live"]
    for row in rows:
        words = row["run"].removeprefix("uv run ").split()
        options = [word for word in words if word.startswith("--")]
        shown = made.check(*words[:2], "--help")
        assert [option for option in options if option not in shown] == []


def test_both_front_doors_of_ci_run_the_same_nightly_commands(render: Callable[..., Project]) -> None:
    rows = workflow(render(), "nightly.yml")["jobs"]["measure"]["strategy"]["matrix"]["include"]
    gitlab = (render(ci="gitlab").root / ".gitlab-ci.yml").read_text(encoding="utf-8")
    assert [row["run"] for row in rows if row["run"] not in gitlab] == []
    assert [row["sync"] for row in rows if row["sync"] not in gitlab] == []
