"""The registry, its prices and pins, and the weights that it holds local models to."""

import hashlib
from decimal import Decimal
from pathlib import Path

import pytest

from app import models, services, settings
from app.errors import ConfigError
from app.models import Model, Price
from tests import kit

CONFIG = Path("config")
FREE = "price = { input_usd = 0, output_usd = 0 }\n"
URL = 'base_url = "http://127.0.0.1:1/v1"\n'
PLACE = 'region = "eu"\nretention_days = 0\n'


def far(**more: object) -> Model:
    """A model behind an API."""
    given = {"base_url": "http://127.0.0.1:1/v1", "name": "unheard-of", "region": "eu", "retention_days": 0}
    return Model(
        **{"provider": "openai-compatible", "price": Price(input_usd=2, output_usd=10), **given, **more}
    )


def listed(*lines: str) -> None:
    """Write a registry of one model, `m`."""
    kit.write(CONFIG / "models.toml", "[models.m]\n" + "".join(lines))


def faults(*lines: str) -> str:
    """What is said of a registry of one model."""
    listed(*lines)
    with pytest.raises(ConfigError) as raised:
        models.load(CONFIG)
    return str(raised.value)


def encoder(**more: str) -> None:
    """Write a registry of one local encoder, and its weights."""
    kit.write("weights/e.onnx", "weights")
    pins = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    listed('provider = "onnx"\nkind = "embedding"\npath = "weights/e.onnx"\n', pins)


def unlike() -> list[str]:
    """What is wrong with the weights of the registry."""
    return [str(fault) for fault in models.verify(models.load(CONFIG), CONFIG)]


def test_without_a_file_the_keyless_model_stands_alone(project):
    assert list(models.load(CONFIG).models) == ["keyless"]


def test_tiers_are_asked_in_the_features_order(project):
    tables = '[models.a]\nprovider = "keyless"\ntier = "large"\n[models.b]\nprovider = "keyless"\n'
    kit.write(CONFIG / "models.toml", tables)
    assert list(models.load(CONFIG).in_tiers(["standard", "large"])) == ["b", "a"]


def test_an_embedding_model_is_never_asked_for_an_answer(project):
    encoder()
    assert models.load(CONFIG).in_tiers(["standard"]) == {}


def test_all_faults_of_the_file_are_reported_at_once(project):
    said = faults('provider = "openai-compatible"\nname = "x"\nmax_runing = 3\ncontext = 0\n')
    for key in ("max_runing: unknown key", "region: is required", "retention_days: is required"):
        assert f"models.m.{key}" in said
    for key in ("base_url: base_url is required", "context", "price: is not known"):
        assert f"models.m.{key}" in said


@pytest.mark.parametrize("provider", ["openai-compatible", "anthropic", "google"])
def test_where_a_hosted_model_is_must_be_said_even_of_this_machine(project, provider):
    said = faults(f'provider = "{provider}"\nname = "x"\nkey = "k"\n', URL, FREE)
    assert "models.m.region: is required" in said
    assert "models.m.retention_days: is required" in said


def test_what_runs_in_this_process_is_local_and_keeps_nothing(project):
    encoder()
    found = models.load(CONFIG).models["m"]
    assert (found.region, found.retention_days, found.context, found.max_running) == ("local", 0, 8192, 32)


@pytest.mark.parametrize("url", ["", "api.example.com/v1", "ftp://x"])
def test_a_model_behind_an_api_needs_its_address(project, url):
    lines = f'provider = "openai-compatible"\nname = "x"\nbase_url = "{url}"\n'
    assert "models.m.base_url: base_url" in faults(lines, PLACE, FREE)


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_a_vendor_needs_a_key(project, provider):
    said = faults(f'provider = "{provider}"\nname = "x"\n', PLACE, FREE)
    assert f'models.m.key: is required: key = "{provider}", and APP_KEYS__{provider.upper()}' in said


def test_an_onnx_model_is_an_encoder_with_weights(project):
    said = faults('provider = "onnx"\n')
    assert "models.m.kind: an onnx model only embeds" in said
    assert "models.m.path: is required" in said


def test_a_provider_that_is_misspelt_names_the_right_one(project):
    assert "did you mean 'anthropic'?" in faults('provider = "antropic"\nname = "x"\n', PLACE)


def test_a_hosted_chat_model_of_unknown_price_is_refused_with_the_remedy(project):
    said = faults('provider = "openai-compatible"\nname = "unheard-of"\n', URL, PLACE)
    assert "models.m.price: is not known and would escape every budget: add price = {" in said


@pytest.mark.parametrize(
    ("provider", "name", "url"),
    [
        ("openai-compatible", "gpt-5-mini", "https://api.openai.com/v1"),
        ("anthropic", "claude-sonnet-4-5", ""),
        ("google", "gemini-2.5-flash", ""),
    ],
)
def test_a_price_on_the_public_list_need_not_be_given(project, provider, name, url):
    listed(f'provider = "{provider}"\nname = "{name}"\nkey = "k"\nbase_url = "{url}"\n', PLACE)
    assert models.load(CONFIG).models["m"].cost_usd(1_000, 1_000) > 0


def test_a_hosted_embedding_model_needs_no_price(project):
    listed('provider = "openai-compatible"\nkind = "embedding"\nname = "unheard-of"\n', URL, PLACE)
    assert models.load(CONFIG).models["m"].cost_usd(1_000, 0) is None


def test_a_price_in_the_file_is_dollars_per_million_tokens():
    assert far().cost_usd(500_000, 100_000) == Decimal(2)


def test_the_keyless_model_is_free():
    assert Model(provider="keyless").cost_usd(10, 10) == 0


@pytest.mark.parametrize(
    "other",
    [
        {"base_url": "http://127.0.0.1:2/v1"},
        {"name": "other"},
        {"revision": "abc"},
        {"sha256": "a" * 64},
        {"provider": "google", "key": "k"},
    ],
)
def test_answers_of_another_endpoint_are_of_another_model(other):
    assert far(**other).pin != far().pin


def test_the_keyless_models_pin_is_its_version():
    assert Model(provider="keyless").pin == models.VERSION


def test_weights_that_nothing_pins_are_refused(project):
    encoder()
    assert (
        "pinned is nothing; fetch the weights again, or, if they are right: uv run ops models lock"
        in unlike()[0]
    )


def test_weights_that_are_not_there_are_refused(project):
    encoder(sha256="a" * 64)
    Path("weights/e.onnx").unlink()
    assert "models.m.path: weights/e.onnx holds nothing that can be read (No such file" in unlike()[0]


def test_weights_must_have_the_hash_of_the_file(project):
    encoder(sha256=models.held(kit.write("weights/e.onnx", "weights")))
    assert unlike() == []
    kit.write("weights/e.onnx", "Weights")
    assert f"models.m.path: weights/e.onnx holds {models.held(Path('weights/e.onnx'))}, pinned" in unlike()[0]


def test_weights_must_have_the_hash_of_the_lock_too(project):
    encoder(sha256=models.held(kit.write("weights/e.onnx", "weights")))
    kit.write(CONFIG / "models.lock", f'[models.m]\npin = "x"\nsha256 = "{"b" * 64}"\n')
    assert "b" * 64 in unlike()[0]


def test_the_lock_pins_weights_that_the_registry_leaves_to_it(project):
    encoder()
    found = models.held(Path("weights/e.onnx"))
    kit.write(CONFIG / "models.lock", f'[models.m]\npin = "x"\nsha256 = "{found}"\n')
    assert unlike() == []
    assert found in models.load(CONFIG).models["m"].pin


def test_a_folder_of_weights_has_one_hash_of_names_and_contents(project):
    kit.write("weights/tokenizer.json", "{}")
    kit.write("weights/e.onnx", "weights")
    before = models.held(Path("weights"))
    Path("weights/tokenizer.json").rename("weights/other.json")
    assert models.held(Path("weights")) != before


LOCAL = """
[models.local]
provider = "onnx"
kind = "embedding"
path = "weights.onnx"
sha256 = "{sha256}"
"""


@pytest.mark.parametrize("right", [False, True])
async def test_the_app_refuses_weights_whose_hash_differs(project, right):
    kit.write("weights.onnx", "weights")
    pin = hashlib.sha256(b"weights").hexdigest() if right else "0" * 64
    keyless = '[models.keyless]\nprovider = "keyless"\n'
    kit.write("config/models.toml", keyless + LOCAL.format(sha256=pin))
    if not right:
        with pytest.raises(ConfigError, match="pinned is 0000"):
            await services.rehearse(services.plan(settings.load(auth="open")))
        return
    async with kit.site() as site:
        assert (await site.post("note", kit.TEXT)).status_code == 200
