"""The deploy workflow: nobody who asked for none gets one, and its own commands do what they say."""

import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rendered import Project
from tests.test_workflow import workflow

Render = Callable[..., Project]
COMMANDS = ['uv run ops doctor "$STAGE"', 'uv run ops deploy "$STAGE" --json']


def job(project: Project) -> dict[str, Any]:
    """Return the one job of the deploy workflow."""
    found: dict[str, Any] = workflow(project, "deploy.yml")["jobs"]["deploy"]
    return found


def gitlab(render: Render) -> dict[str, Any]:
    """Return the jobs of GitLab."""
    found: dict[str, Any] = yaml.safe_load((render(ci="gitlab").root / ".gitlab-ci.yml").read_text("utf-8"))
    return found


def step(project: Project, name: str) -> str:
    """Return the script of a step."""
    return str(next(each["run"] for each in job(project)["steps"] if each.get("name") == name))


@pytest.fixture
def runner(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a step as the runner does, with programs of ours first on PATH."""

    def run(script: str, programs: dict[str, str], **variables: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "bin").mkdir()
        for name, words in programs.items():
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{words}\n", encoding="utf-8")
            (tmp_path / "bin" / name).chmod(0o755)
        env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "HOME": str(tmp_path), **variables}
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], cwd=tmp_path, env=env,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def test_nothing_is_deployed_before_somebody_says_so(render: Render) -> None:
    condition = job(render())["if"].removeprefix("${{ ").removesuffix(" }}")
    assert condition.startswith("vars.DEPLOY == 'on' && (")
    rules = [rule["if"] for name in ("staging", "production") for rule in gitlab(render)[name]["rules"]]
    assert [rule for rule in rules if not rule.startswith('$DEPLOY == "on" && ')] == []


def test_only_a_green_push_to_main_reaches_staging(render: Render) -> None:
    on = {str(key): value for key, value in workflow(render(), "deploy.yml").items()}[
        "True"
    ]  # YAML reads `on` so
    assert on["workflow_run"] == {"workflows": ["ci"], "types": ["completed"], "branches": ["main"]}
    assert on["push"] == {"tags": ["v*"]}
    condition = job(render())["if"]
    for wanted in ("conclusion == 'success'", "event == 'push'"):  # a fork's branch may be called main too
        assert f"github.event.workflow_run.{wanted}" in condition


def test_both_stages_wait_for_the_deploy_that_runs(render: Render) -> None:
    assert workflow(render(), "deploy.yml")["concurrency"]["cancel-in-progress"] is False
    assert gitlab(render)[".deploy"]["resource_group"] == "$STAGE"
    assert "interruptible" not in gitlab(render)[".deploy"]


def test_production_waits_for_a_person(render: Render) -> None:
    assert "production" in job(render())["environment"]  # its reviewers are set in the repository
    assert [rule["when"] for rule in gitlab(render)["production"]["rules"]] == ["manual"]


def test_both_front_doors_run_what_a_person_runs(render: Render) -> None:
    steps = [each["run"] for each in job(render())["steps"] if "run" in each]
    assert [line for line in steps if " ops " in line] == COMMANDS
    assert [line for line in gitlab(render)[".deploy"]["script"] if " ops " in line] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_exists_with_its_options(render: Render, command: str) -> None:
    words = command.split()[2:]
    shown = render().check(words[0], words[1], "--help")
    assert [word for word in words if word.startswith("--") and word not in shown] == []


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_every_secret_and_variable_is_explained(render: Render, ci: str) -> None:
    made = render(ci=ci, cloud="aws")
    page = (made.root / "docs/deploy-from-ci.md").read_text(encoding="utf-8")
    if ci == "github":
        text = (made.root / ".github/workflows/deploy.yml").read_text(encoding="utf-8")
        named = set(re.findall(r"(?:vars|secrets)\.([A-Z_]+)", text))
        assert len(named) == 7
    else:
        named = set(re.findall(r"\$(DEPLOY\w*)", (made.root / ".gitlab-ci.yml").read_text(encoding="utf-8")))
        assert len(named) == 3
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_the_key_is_for_its_owner_alone(render: Render, runner: Any, tmp_path: Path) -> None:
    script = step(render(), "Take the ssh key")
    done = runner(script, {}, DEPLOY_SSH_KEY="the key\nof two lines", DEPLOY_KNOWN_HOSTS="one\ntwo")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".ssh/id_ed25519").read_text(encoding="utf-8") == "the key\nof two lines\n"
    assert (tmp_path / ".ssh/known_hosts").read_text(encoding="utf-8") == "one\ntwo\n"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / ".ssh").iterdir()}
    assert modes == {0o600}
    assert done.stdout == done.stderr == ""


@pytest.mark.parametrize(("found", "code"), [("42", 0), ("", 1)])
def test_a_commit_that_no_gate_passed_is_refused(
    render: Render, runner: Any, tmp_path: Path, found: str, code: int
) -> None:
    gh = f'echo "$@" >> {tmp_path}/asked; [ "$2" = list ] && echo "{found}" || true'
    done = runner(step(render(), "Fetch the gate's report on this commit"), {"gh": gh}, COMMIT="c0ffee")
    assert done.returncode == code
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert "--commit c0ffee" in asked[0]
    assert "--status success" in asked[0]
    if code:
        assert "ci is not green on this commit" in done.stdout
    assert [line for line in asked if "download" in line] == (
        [] if code else ["run download 42 --name reports-3.12 --dir var/reports"]
    )


@pytest.mark.parametrize(
    ("name", "verb"), [("Open port 22 to this runner", "authorize"), ("Close port 22", "revoke")]
)
def test_port_22_opens_to_one_address_and_closes_again(
    render: Render, runner: Any, tmp_path: Path, name: str, verb: str
) -> None:
    curl = 'case "$*" in *checkip*) echo 203.0.113.9;; *audience=sts*) echo \'{"value": "proof"}\';; esac'
    aws = f'echo "$@" $(cat "$AWS_WEB_IDENTITY_TOKEN_FILE") >> {tmp_path}/asked'
    given = {
        "GROUP": "sg-1",
        "FROM": "203.0.113.9/32",
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token/?a=b",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    done = runner(step(render(cloud="aws"), name), {"curl": curl, "aws": aws}, **given)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text(encoding="utf-8").split() == [
        "ec2", f"{verb}-security-group-ingress", "--group-id", "sg-1", "--protocol", "tcp", "--port", "22",
        "--cidr", "203.0.113.9/32", "proof",
    ]  # fmt: skip
    if verb == "authorize":
        assert (tmp_path / "output").read_text(encoding="utf-8") == "from=203.0.113.9/32\n"


def test_port_22_closes_whatever_became_of_the_deploy(render: Render) -> None:
    steps = job(render())["steps"]
    assert steps[-1]["name"] == "Close port 22"
    assert steps[-1]["if"].startswith("${{ always() && ")
