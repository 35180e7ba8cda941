"""The registry, the policy over it, and the keys that it names."""

from decimal import Decimal
from pathlib import Path

import pytest

from app import models, policy
from app.errors import ConfigError, NotAllowed
from app.models import Model, Price
from app.policy import Policy, Rule
from tests import kit

CONFIG = Path("config")
KEYLESS = {"keyless": Model(provider="keyless")}


def far(**more: object) -> Model:
    """A model behind an API."""
    return Model(provider="openai-compatible", base_url="http://127.0.0.1:1/v1", name="unheard-of", **more)


def reason(rule: Rule, model: Model) -> str:
    """Why policy refuses the model."""
    with pytest.raises(NotAllowed) as raised:
        policy.permit(Policy(use_cases={"text": rule}), "text", {"m": model})
    return str(raised.value)


def test_without_a_file_the_keyless_model_stands_alone(project):
    assert list(models.load(CONFIG).models) == ["keyless"]


def test_a_use_case_that_policy_does_not_list_is_denied(project):
    with pytest.raises(NotAllowed, match=r"no use case 'other' \(known: text\)"):
        policy.permit(Policy(use_cases={"text": Rule(providers=["keyless"])}), "other", KEYLESS)


def test_no_policy_file_denies_everything(tmp_path):
    with pytest.raises(NotAllowed, match="known: none"):
        policy.permit(policy.load(tmp_path), "text", KEYLESS)


@pytest.mark.parametrize(
    ("rule", "model", "said"),
    [
        (Rule(providers=[]), Model(provider="keyless"), "m: provider 'keyless' is not allowed"),
        (Rule(providers=["openai-compatible"]), far(region="us"), "m: region 'us' is not allowed"),
        (
            Rule(providers=["openai-compatible"]),
            far(retention_days=30),
            "keeps data for 30 days, 0 are allowed",
        ),
    ],
)
def test_a_denied_model_is_denied_with_its_reason(rule, model, said):
    assert said in reason(rule, model)


def test_only_the_models_that_are_allowed_are_left_in_their_order():
    rules = Policy(use_cases={"text": Rule(providers=["keyless", "openai-compatible"])})
    given = {"b": far(), "us": far(region="us"), "a": Model(provider="keyless")}
    assert list(policy.permit(rules, "text", given)) == ["b", "a"]


def test_tiers_are_asked_in_the_features_order(project):
    kit.write(
        CONFIG / "models.toml",
        '[models.a]\nprovider = "keyless"\ntier = "large"\n[models.b]\nprovider = "keyless"\n',
    )
    assert list(models.load(CONFIG).in_tiers(["standard", "large"])) == ["b", "a"]


def test_an_unknown_price_is_no_price():
    assert far().cost_usd(1_000, 1_000) is None


def test_a_price_in_the_file_is_dollars_per_million_tokens():
    price = Price(input_usd=Decimal(2), output_usd=Decimal(10))
    assert far(price=price).cost_usd(500_000, 100_000) == Decimal(2)


def test_the_keyless_model_is_free():
    assert KEYLESS["keyless"].cost_usd(10, 10) == 0


async def test_an_unknown_price_is_null_in_the_answer(project):
    with kit.serve(kit.provider(said='{"result": "x"}')) as url:
        kit.models(far=url)
        kit.edit("config/models.toml", "price = { input_usd = 1, output_usd = 1 }\n", "")
        async with kit.site() as site:
            said = (await site.post("note", kit.TEXT)).json()
            assert [row.cost_usd for row in await site.rows()] == [None]
    assert said["meta"]["cost_usd"] is None


async def test_a_missing_key_names_the_variable_to_set(project):
    kit.models(far="http://127.0.0.1:1")
    kit.edit("config/models.toml", 'json_mode = "prompt"', 'key = "openai"')
    with pytest.raises(ConfigError, match=r"models\.far\.key: .*APP_KEYS__OPENAI="):
        async with kit.site():
            pass


@pytest.mark.parametrize("url", ["", "api.example.com/v1", "ftp://x"])
def test_a_model_behind_an_api_needs_its_address(project, url):
    kit.write(CONFIG / "models.toml", f'[models.far]\nprovider = "openai-compatible"\nbase_url = "{url}"\n')
    with pytest.raises(ConfigError, match="base_url is required"):
        models.load(CONFIG)


def test_a_pin_holds_the_revision_of_the_weights():
    assert far(revision="abc").pin == "unheard-of@abc"
    assert KEYLESS["keyless"].pin == models.VERSION
