"""`ops models`: what it locks, what it finds changed, and what a server does not list."""

from pathlib import Path

import pytest
from fastapi import FastAPI

from ops import cli
from tests import kit

LOCK = Path("config/models.lock")
ENCODER = (
    '[models.e]\nprovider = "onnx"\nkind = "embedding"\npath = "weights"\n[models.a]\nprovider = "keyless"\n'
)


@pytest.fixture
def weights(project: Path) -> Path:
    """A project with a local encoder, a folder of two files."""
    kit.write("config/models.toml", ENCODER)
    kit.write("weights/tokenizer.json", "{}")
    return kit.write("weights/model.onnx", "weights")


def ops(*words: str) -> int:
    """The exit code of `ops models ...`."""
    return kit.command(cli.main, "models", *words)


@pytest.fixture
def server() -> FastAPI:
    """A server that lists one model."""
    api = FastAPI()
    api.get("/v1/models")(lambda: {"data": [{"id": "far"}]})
    return api


def test_the_lock_holds_pin_hash_and_size_in_the_order_of_names(weights):
    assert ops("lock") == 0
    said = LOCK.read_text()
    assert said.index('[models."a"]') < said.index('[models."e"]')
    assert 'pin = "keyless-3"' in said
    assert "size = 9\n" in said


def test_the_lock_is_stable(weights):
    ops("lock")
    before = LOCK.read_bytes()
    ops("lock")
    assert LOCK.read_bytes() == before


def test_what_is_locked_verifies(weights, capsys):
    ops("lock")
    assert ops("verify") == 0
    assert "ok: the models are those of config/models.lock" in capsys.readouterr().out


def test_weights_that_changed_are_named_with_exit_code_1(weights, capsys):
    ops("lock")
    kit.write("weights/model.onnx", "Weights")
    assert ops("verify") == 1
    assert "models.e.path: weights holds " in capsys.readouterr().err


def test_weights_that_changed_on_purpose_can_be_locked_again(weights):
    ops("lock")
    kit.write("weights/model.onnx", "Weights")
    assert (ops("lock"), ops("verify")) == (0, 0)


def test_a_model_that_changed_is_named_with_what_it_was(weights, capsys):
    ops("lock")
    kit.edit("config/models.toml", '[models.a]\nprovider = "keyless"', '[models.b]\nprovider = "keyless"')
    assert ops("verify") == 1
    said = capsys.readouterr().err
    assert (
        "config/models.lock: models.a: is gone, locked is keyless-3: if that is right: uv run ops models lock"
        in said
    )
    assert "models.b: is keyless-3, locked is nothing" in said


def test_weights_are_not_locked_against_the_hash_of_the_file(weights, capsys):
    kit.edit("config/models.toml", 'path = "weights"', f'path = "weights"\nsha256 = "{"a" * 64}"')
    assert ops("lock") == 2
    assert "models.e: weights holds " in capsys.readouterr().err
    assert not LOCK.exists()


def test_weights_that_are_not_there_cannot_be_locked(weights, capsys):
    kit.edit("config/models.toml", 'path = "weights"', 'path = "elsewhere"')
    assert ops("lock") == 2
    assert "elsewhere holds nothing" in capsys.readouterr().err


def test_a_wrong_registry_is_a_message_and_no_traceback(project, capsys):
    kit.write("config/models.toml", '[models.a]\nprovider = "telepathy"\n')
    assert ops("verify") == 2
    assert "models.a.provider" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "code"), [("far", 0), ("farther", 1)])
def test_live_asks_the_server_for_the_model(project, server, capsys, name, code):
    with kit.serve(server) as url:
        kit.models(**{name: url})
        ops("lock")
        assert ops("verify", "--live") == code
    said = capsys.readouterr().err
    assert ("'farther' is not served at " in said) == bool(code)
    assert ("(listed: far)" in said) == bool(code)


def test_live_says_when_a_server_does_not_answer(project, capsys):
    kit.models(far="http://127.0.0.1:9")
    ops("lock")
    assert ops("verify", "--live") == 1
    assert "GET http://127.0.0.1:9/v1/models gives no list (ConnectError)" in capsys.readouterr().err
