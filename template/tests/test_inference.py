"""The entry point of infra/inference: which weights it refuses, and how it serves the others."""

import hashlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import kit

FOLDER = kit.ROOT / "infra" / "inference"
WEIGHTS = b"weights"
PINNED = f'[models.own]\nname = "tiny"\ncontext = 512\nsha256 = "{hashlib.sha256(WEIGHTS).hexdigest()}"\n'


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of weights; the registry that pins it lies beside it."""
    kit.write(tmp_path / "models.toml", PINNED)
    path = tmp_path / "model.gguf"
    path.write_bytes(WEIGHTS)
    return path


def refusal(weights: Path) -> str:
    """What the entry point says when it refuses, in one line and with exit code 3."""
    command = [sys.executable, FOLDER / "serve.py", weights, weights.with_name("models.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    return done.stderr


def test_other_weights_are_refused(weights):
    weights.write_bytes(b"weightz")
    said = refusal(weights)
    assert f"pinned is {hashlib.sha256(WEIGHTS).hexdigest()}" in said
    assert hashlib.sha256(b"weightz").hexdigest() in said


def test_missing_weights_are_refused(weights):
    weights.unlink()
    assert "cannot be read (No such file or directory); MODEL_FILE in .env" in refusal(weights)


@pytest.mark.parametrize("registry", ["", '[models.own]\nname = "tiny"\n', PINNED.replace("own", "other")])
def test_a_model_without_a_hash_is_refused(weights, registry):
    kit.write(weights.with_name("models.toml"), registry)
    assert "models.own needs name and sha256" in refusal(weights)


def test_a_registry_that_is_no_toml_is_refused(weights):
    kit.write(weights.with_name("models.toml"), "[models")
    assert "models.toml: cannot be read" in refusal(weights)


def test_pinned_weights_become_the_server(weights, monkeypatch):
    started = []
    monkeypatch.setattr("os.execv", lambda _, words: started.append(" ".join(words[1:])))
    monkeypatch.setattr("sys.argv", ["serve.py", str(weights), str(weights.with_name("models.toml"))])
    runpy.run_path(str(FOLDER / "serve.py"), run_name="__main__")
    assert started[0].startswith(f"-m llama_cpp.server --model {weights} --model_alias tiny --n_ctx 512 ")


def test_every_model_server_listens_on_this_machine_alone():
    found = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    assert set(found) == {"keyless", "llama", "vllm", "ollama"}
    assert {port for service in found.values() for port in service["ports"]} == {
        "127.0.0.1:${INFERENCE_PORT:-8080}:8080"
    }
