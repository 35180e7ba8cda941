"""Model servers in containers, asked by the app: llama.cpp with pinned weights, and the keyless model."""

import json
import shutil
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import engine, gguf, llama, services
from tests.engine import docker
from tests.rendered import Project
from tests.test_render import Render

MODEL = """\
[models.own]
provider = "openai-compatible"
name = "tiny"
base_url = "http://127.0.0.1:{port}/v1"
region = "local"
retention_days = 0
sha256 = "{sha256}"
context = 2048
max_running = 1
json_mode = "object"
price = {{ input_usd = 1, output_usd = 1 }}

"""
SCHEMA = '''\
"""What the feature takes and gives."""

from typing import Literal

from pydantic import BaseModel


class Input(BaseModel):
    """What the caller sends."""

    text: str


class Output(BaseModel):
    """What the caller gets."""

    label: Literal["refund", "bug", "other"]
    urgent: bool
'''
TEXT = {"text": "The invoice is wrong. Please pay back the double amount."}


@pytest.fixture(scope="module")
def image(render: Render, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build llama.cpp's server as the generated project has it."""
    engine.start()
    return llama.build(render().root / "infra" / "inference", tmp_path_factory.mktemp("build") / "inference")


@pytest.fixture(scope="module")
def project(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project whose first model is a llama.cpp server; `label` is a feature of two small fields."""
    root = tmp_path_factory.mktemp("own") / "project"
    shutil.copytree(render().root, root)
    found = Project(root, render().cache)
    (root / "var" / "models").mkdir(parents=True)
    sha256 = gguf.write(root / "var" / "models" / "model.gguf")
    models, policy = root / "config" / "models.toml", root / "config" / "policy.toml"
    models.write_text(MODEL.format(port=services.free_port(), sha256=sha256) + models.read_text())
    policy.write_text(policy.read_text().replace('["keyless", "onnx"]', '["keyless", "openai-compatible"]'))
    (root / ".env").write_text("APP_AUTH=open\n")
    for name in ("label", "note"):
        found.check("app", "feature", "new", name)
    (root / "features" / "label" / "schema.py").write_text(SCHEMA)
    found.check("app", "setup")
    return found


def port_of(project: Project) -> int:
    """Return the port where the project expects its model."""
    return int((project.root / "config" / "models.toml").read_text().split("127.0.0.1:")[1].split("/")[0])


@pytest.fixture(scope="module")
def server(project: Project, image: str) -> Iterator[str]:
    """Run llama.cpp's server with the project's weights; give its container."""
    with llama.running(port_of(project), *llama.mounts(project.root), image) as name:
        yield name


@pytest.fixture(scope="module")
def app(project: Project, server: str) -> Iterator[str]:
    """Run the project's app beside its model; give the address of its features."""
    assert server
    port = services.free_port()
    with services.serving(project, port, "serve"):
        yield f"http://127.0.0.1:{port}/v1"


def post(url: str, body: object, accept: str = "application/json") -> str:
    """Send JSON; return what is answered."""
    headers = {"Content-Type": "application/json", "Accept": accept}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
        return str(reply.read().decode())


def usage(project: Project, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the usage row of an answer, which is written within a few seconds."""
    for _ in range(50):
        with sqlite3.connect(project.root / "var" / "app.db") as database:
            database.row_factory = sqlite3.Row
            found = database.execute("select * from usage where id = ?", [answer["meta"]["id"]]).fetchone()
        if found:
            return dict(found)
        time.sleep(0.2)
    raise TimeoutError(answer["meta"]["id"])


def test_the_tiny_model_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    assert gguf.write(tmp_path / "one") == gguf.write(tmp_path / "two")


def test_llama_cpp_answers_in_the_form_that_the_feature_asks_for(app: str, project: Project) -> None:
    answer = json.loads(post(f"{app}/label", TEXT))
    assert answer["output"]["label"] in ("refund", "bug", "other")
    assert answer["meta"]["model"] == "own"
    row = usage(project, answer)
    assert (row["model"], row["outcome"], row["estimated"], row["failed_models"]) == ("own", "ok", 0, 0)
    assert row["input_tokens"] > len(TEXT["text"])  # a token is a letter
    assert row["output_tokens"] > len('{"label":"bug","urgent":true}')


def test_its_words_are_streamed(app: str) -> None:
    said = post(f"{app}/label", {"text": "Another text."}, "text/event-stream")
    assert said.count("event: delta") > 2
    result = said.rpartition("event: result")[2].partition("data: ")[2].splitlines()[0]
    assert json.loads(result)["meta"]["model"] == "own"


def test_an_answer_that_does_not_fit_is_asked_again_and_then_comes_from_the_next_model(
    app: str, project: Project, server: str
) -> None:
    before = docker("logs", server).count("POST /v1/chat/completions")
    answer = json.loads(post(f"{app}/note", TEXT))
    assert answer["meta"]["model"] == "keyless"
    assert docker("logs", server).count("POST /v1/chat/completions") == before + 2
    row = usage(project, answer)
    assert (row["model"], row["outcome"], row["failed_models"]) == ("keyless", "ok", 1)
    assert row["output_tokens"] > 500  # two tries of 300 tokens are paid for


@pytest.mark.usefixtures("server")
def test_a_second_request_does_not_cut_a_stream(project: Project) -> None:
    asked = {
        "stream": True,
        "temperature": 0,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "a"}],
    }
    url = f"http://127.0.0.1:{port_of(project)}/v1/chat/completions"
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda _: post(url, asked), range(3)))
    assert ['"finish_reason": "length"' in one for one in said] == [True] * 3


@pytest.mark.usefixtures("server")
def test_what_is_locked_verifies_against_the_running_server(project: Project) -> None:
    project.check("ops", "models", "lock")
    assert "ok" in project.check("ops", "models", "verify", "--live")


@pytest.mark.usefixtures("server")
def test_a_model_that_the_server_does_not_list_fails_the_check(project: Project) -> None:
    models = project.root / "config" / "models.toml"
    content = models.read_text()
    models.write_text(content.replace('name = "tiny"', 'name = "huge"'))
    try:
        done = project.run("ops", "models", "verify", "--live")
    finally:
        models.write_text(content)
    assert done.returncode == 1
    assert "'huge' is not served" in done.stdout


def test_other_weights_are_refused(project: Project, image: str, tmp_path: Path) -> None:
    for folder in ("var/models", "config"):
        shutil.copytree(project.root / folder, tmp_path / folder)
    weights = tmp_path / "var" / "models" / "model.gguf"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with engine.container(*engine.LOCKED_DOWN, *llama.mounts(tmp_path), image) as name:
        engine.until(lambda: docker("inspect", "--format", "{{.State.Running}}", name) == "false")
        assert docker("inspect", "--format", "{{.State.ExitCode}}", name) == "3"
        logs = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=True)
    assert logs.stderr.startswith("refused to start: /models/model.gguf: its sha256 is ")
    assert len(logs.stderr.splitlines()) == 1


def test_the_keyless_model_answers_in_a_container(app_image: str) -> None:
    port = services.free_port()
    command = ("model", "--host=0.0.0.0", "--port=8080")
    with llama.running(port, app_image, *command):
        asked = {"messages": [{"role": "user", "content": "Cats purr. Dogs bark. Cats sleep all day."}]}
        answer = json.loads(post(f"http://127.0.0.1:{port}/v1/chat/completions", asked))
    assert answer["model"].startswith("keyless-")
    assert answer["choices"][0]["message"]["content"]
