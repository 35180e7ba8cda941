"""The Terraform files of a project: their own tests, and both stages made and unmade on a mock of AWS."""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.conftest import slow
from tests.rendered import Project

STAGES = ("staging", "production")
# A folder with the provider, for a machine that cannot ask the registry.
PLUGINS = Path(os.environ.get("SLIPWAY_TF_PLUGINS", "/opt/tf-plugins"))
MOTO = "moto[server]==5.2.5"
SIZES = {"instance_type", "volume_size"}

MOCKED = """
provider "aws" {{
  access_key                  = "nobody"
  secret_key                  = "nothing"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  max_retries                 = 2
  endpoints {{
    ec2 = "{url}"
    iam = "{url}"
    s3  = "{url}"
    sts = "{url}"
  }}
}}
"""
ACCESS = """
region            = "eu-central-1"
ssh_public_key    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIhz2GK/XCUj4i6Q5yQJNL1MKMGLEMLDRSZCyvGkN1c"
ssh_from          = ["203.0.113.7/32"]
github_repository = "someone/client-desk"
"""
IMAGE = {
    "ami_id": "ami-0debian13",
    "name": "debian-13-amd64-20251117-2299",
    "owner_id": "136693071363",
    "public": True,
    "virtualization_type": "hvm",
    "architecture": "x86_64",
    "root_device_name": "/dev/xvda",
    "root_device_type": "ebs",
}


@pytest.fixture(scope="module")
def folder(render: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Terraform files of a project of our own, each root ready to run."""
    infra = tmp_path_factory.mktemp("terraform") / "infra"
    shutil.copytree(render(cloud="aws").root / "infra", infra)
    return infra / "terraform"


def terraform(root: Path, *words: str) -> str:
    """Run a command in a root; return what it prints, and fail with it."""
    command = [services.program("terraform", "terraform, from HashiCorp's packages"), *words]
    env = {
        **os.environ,
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if PLUGINS.is_dir():
        env["TF_CLI_ARGS_init"] = f"-plugin-dir={PLUGINS}"
    done = subprocess.run(
        command, cwd=root, env=env, capture_output=True, text=True, timeout=240, check=False
    )
    said = done.stdout[-3000:] + done.stderr[-3000:]
    assert done.returncode == 0, f"terraform {' '.join(words)}: exit {done.returncode}\n{said}"
    return done.stdout


def test_the_files_are_formatted(folder: Path) -> None:
    assert terraform(folder, "fmt", "-check", "-recursive") == ""


def test_a_machine_is_encrypted_closed_and_deletes_no_backup(folder: Path) -> None:
    module = folder / "modules/server"
    terraform(module, "init", "-input=false")
    assert "0 failed" in terraform(module, "test", "-no-color")


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_is_valid(folder: Path, stage: str) -> None:
    terraform(folder / "envs" / stage, "init", "-input=false")
    assert "valid" in terraform(folder / "envs" / stage, "validate", "-no-color")


def test_the_stages_share_every_line_but_their_sizes(folder: Path) -> None:
    first, second = ((folder / "envs" / stage) for stage in STAGES)
    assert sorted(path.name for path in first.glob("*.tf*")) == sorted(
        path.name for path in second.glob("*.tf*")
    )
    assert (first / "main.tf").read_text("utf-8") == (second / "main.tf").read_text("utf-8")
    lines = [set((each / "terraform.tfvars").read_text("utf-8").splitlines()) for each in (first, second)]
    differs = {line.split()[0] for line in lines[0] ^ lines[1]}
    assert differs == {"stage", "instance_type", "disk_gb"}


def test_the_bill_is_the_sum_of_its_lines_and_of_the_sizes_that_are_made(
    folder: Path, render: Callable[..., Project]
) -> None:
    page = (render(cloud="aws").root / "docs/infrastructure.md").read_text(encoding="utf-8")
    lines = page.partition("| what | price |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = {
        cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    }
    total = rows.pop("together")
    for column, stage in ((1, "staging"), (3, "production")):
        costs = {what: float(cells[0]) * float(cells[column]) for what, cells in rows.items()}
        assert {what: f"{cost:.2f}" for what, cost in costs.items()} == {
            what: cells[column + 1] for what, cells in rows.items()
        }
        assert f"{sum(costs.values()):.2f}" == total[column + 1]
        sizes = (folder / "envs" / stage / "terraform.tfvars").read_text(encoding="utf-8")
        assert f"disk_gb       = {rows['disk gp3, GB'][column]}\n" in sizes
        (machine,) = [
            what for what, cells in rows.items() if what.startswith("t3") and cells[column] == "730"
        ]
        assert f'"{machine.partition(",")[0]}"' in sizes


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a mock of AWS that knows Debian's image and trusts GitHub; return its URL."""
    (tmp_path / "images.json").write_text(json.dumps([IMAGE]), encoding="utf-8")
    monkeypatch.setenv("MOTO_AMIS_PATH", str(tmp_path / "images.json"))
    port = services.free_port()
    command = ["uv", "run", "--no-project", "--quiet", "--with", MOTO, "moto_server"]
    server = services.Server(
        f"http://127.0.0.1:{port}", [*command, "-H", "127.0.0.1", "-p", str(port)], port, tmp_path, None
    )
    trust_github(server.url)
    yield server.url
    server.stop()


def trust_github(url: str) -> None:
    """Do what docs/deploy-from-ci.md asks for once per account."""
    scope = "Credential=nobody/20261128/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"
    words = "Action=CreateOpenIDConnectProvider&Version=2010-05-08&ClientIDList.member.1=sts.amazonaws.com"
    words += "&Url=https://token.actions.githubusercontent.com"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}"}
    request = urllib.request.Request(url, words.encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        assert reply.status == 200


def made(root: Path) -> dict[str, dict[str, Any]]:
    """Return what a saved plan makes: address -> values."""
    plan = json.loads(terraform(root, "show", "-json", "saved.tfplan"))
    module = plan["planned_values"]["root_module"]["child_modules"][0]
    return {each["address"]: each["values"] for each in module["resources"]}


def differences(one: Any, other: Any, name: str = "") -> set[str]:
    """Return the names of the innermost values that differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return {fault for key in keys for fault in differences(one.get(key), other.get(key), key)}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return {fault for pair in zip(one, other, strict=True) for fault in differences(*pair, name)}
    return set() if one == other else {name}


@slow
def test_both_stages_are_made_stay_as_they_are_and_go(folder: Path, aws: str, tmp_path: Path) -> None:
    shutil.copytree(folder.parent, tmp_path / "infra", symlinks=True)
    roots = [tmp_path / "infra/terraform/envs" / stage for stage in STAGES]
    for root in roots:
        (root / "mocked_override.tf").write_text(MOCKED.format(url=aws), encoding="utf-8")
        (root / "access.auto.tfvars").write_text(ACCESS, encoding="utf-8")
    with ThreadPoolExecutor() as pool:  # AWS makes a new lifecycle rule wait for most of a minute
        kept = list(pool.map(lifetime, roots))
    staging, production = kept
    assert staging.keys() == production.keys()
    assert len(staging) == 18
    as_staging = json.loads(json.dumps(production).replace("production", "staging"))
    assert differences(staging, as_staging) == SIZES


def lifetime(root: Path) -> dict[str, dict[str, Any]]:
    """Make a stage, see that a second plan finds nothing to do, unmake it; return what was planned."""
    terraform(root, "init", "-input=false")
    terraform(root, "plan", "-input=false", "-out", "saved.tfplan")
    planned = made(root)
    terraform(root, "apply", "-input=false", "-no-color", "saved.tfplan")
    terraform(root, "plan", "-input=false", "-detailed-exitcode", "-no-color")
    outputs = json.loads(terraform(root, "output", "-json"))
    assert outputs["host"]["value"] == f"ssh://deploy@{outputs['address']['value']}"
    assert outputs["backups"]["value"].startswith("s3:https://s3.eu-central-1.amazonaws.com/")
    terraform(root, "destroy", "-input=false", "-auto-approve")
    assert json.loads((root / "terraform.tfstate").read_text("utf-8"))["resources"] == []
    return planned
