"""What policy.toml allows: models to use cases, actions to roles. What it does not allow is denied."""

import time
from pathlib import Path
from typing import get_args

import pytest

from app import policy, services, settings
from app.errors import ConfigError, NotAllowed
from app.models import Model
from app.policy import Action, Policy, Role, Rule
from tests import kit
from tests.test_models import far

CONFIG = Path("config")
KEYLESS = {"keyless": Model(provider="keyless")}
OPEN = Rule(providers=["keyless", "openai-compatible"], regions=["local", "eu"])


def reason(rule: Rule, model: Model, *classes: str) -> str:
    """Why policy refuses the model."""
    with pytest.raises(NotAllowed) as raised:
        policy.permit(Policy(use_cases={"text": rule}), "text", {"m": model}, frozenset(classes))
    return str(raised.value)


def faults(text: str) -> str:
    """What is said of a policy."""
    kit.write(CONFIG / "policy.toml", text)
    with pytest.raises(ConfigError) as raised:
        policy.load(CONFIG)
    return str(raised.value)


def test_a_use_case_that_policy_does_not_list_is_denied():
    with pytest.raises(NotAllowed, match=r"no use case 'other' \(known: text\)"):
        policy.permit(Policy(use_cases={"text": OPEN}), "other", KEYLESS)


def test_no_policy_file_denies_everything(tmp_path):
    with pytest.raises(NotAllowed, match="known: none"):
        policy.permit(policy.load(tmp_path), "text", KEYLESS)


@pytest.mark.parametrize(
    ("rule", "model", "said"),
    [
        (Rule(providers=[]), Model(provider="keyless"), "m: provider 'keyless' is not allowed"),
        (OPEN, far(region="us"), "m: region 'us' is not allowed"),
        (OPEN, far(retention_days=30), "keeps data for 30 days, 0 are allowed"),
    ],
)
def test_a_denied_model_is_denied_with_its_reason(rule, model, said):
    assert said in reason(rule, model)


def test_only_the_models_that_are_allowed_are_left_in_their_order():
    given = {"b": far(), "us": far(region="us"), "a": Model(provider="keyless")}
    decision = policy.permit(Policy(use_cases={"text": OPEN}), "text", given)
    assert list(decision.allowed) == ["b", "a"]


async def test_a_use_case_that_policy_denies_every_model_is_403_with_the_reason(project):
    kit.edit("config/policy.toml", 'providers = ["keyless", "openai-compatible"]', "providers = []")
    async with kit.site() as site:
        said = await site.post("note", kit.TEXT)
        assert [row.policy for row in await site.rows()] == [said.json()["detail"]]
    assert said.status_code == 403
    assert "provider 'keyless' is not allowed" in said.json()["detail"]


async def test_what_was_allowed_is_on_the_usage_row(site):
    await site.post("note", kit.TEXT)
    assert [row.policy for row in await site.rows()] == ["keyless: allowed"]


def test_a_decision_says_of_each_model_why():
    given = {**KEYLESS, "mini": far(region="us")}
    decision = policy.permit(Policy(use_cases={"text": OPEN}), "text", given)
    assert decision.said == "keyless: allowed; mini: region 'us' is not allowed"


def test_no_model_in_the_tiers_is_denied():
    with pytest.raises(NotAllowed, match="no chat model in the tiers"):
        policy.permit(Policy(use_cases={"text": OPEN}), "text", {})


@pytest.mark.parametrize("carried", ["personal", "secret"])
def test_data_that_a_use_case_does_not_name_is_denied(carried):
    said = reason(OPEN, Model(provider="keyless"), "public", carried)
    assert said == f"use case 'text' does not allow {carried} data (allowed: public)"


def test_data_that_a_use_case_names_is_allowed():
    rule = OPEN.model_copy(update={"data_classes": frozenset({"public", "personal"})})
    decision = policy.permit(Policy(use_cases={"text": rule}), "text", KEYLESS, frozenset({"personal"}))
    assert list(decision.allowed) == ["keyless"]


@pytest.mark.parametrize(
    ("allowed", "fault"),
    [
        (["public"], "guard.pii: off finds no personal or secret data"),
        (["public", "personal"], "guard.pii: off finds no secret data"),
        (["public", "personal", "secret"], ""),
    ],
)
def test_a_feature_that_looks_for_no_personal_data_needs_a_use_case_that_allows_it(project, allowed, fault):
    kit.edit("features/note/feature.toml", "[slo]", '[guard]\npii = "off"\n\n[slo]')
    kit.write("config/policy.toml", f"{kit.POLICY}data_classes = {allowed}\n")
    said = ""
    try:
        services.plan(settings.load())
    except ConfigError as error:
        said = str(error)
    assert fault in said
    assert bool(fault) == bool(said)


def test_names_that_are_not_known_are_refused_with_the_one_that_was_meant(project):
    said = faults(
        '[use_cases.a]\nproviders = ["keyles"]\ndata_classes = ["personel"]\n[roles.owner]\ncan = ["purg"]\n'
    )
    for meant in ("keyless", "personal", "purge"):
        assert f"did you mean '{meant}'?" in said
    assert "use_cases.a.providers.0" in said


def test_a_decision_over_three_models_takes_less_than_20_us():
    rules, given = Policy(use_cases={"text": OPEN}), {"a": far(), "b": far(region="us"), **KEYLESS}
    best = min(timed(lambda: policy.permit(rules, "text", given, frozenset({"public"}))) for _ in range(20))
    assert best < 20e-6


def timed(call) -> float:
    """Seconds of one call, over a hundred."""
    started = time.perf_counter()
    for _ in range(100):
        call()
    return (time.perf_counter() - started) / 100


def test_without_roles_the_owner_may_do_everything_and_nobody_else_anything(project):
    rules = policy.load(CONFIG)
    assert all(policy.can(rules, "owner", action) for action in get_args(Action))
    assert not any(policy.can(rules, role, "view") for role in ("operator", "analyst", "client", ""))


def test_a_role_may_do_what_it_lists_and_nothing_else():
    rules = Policy(roles={"client": Role(can=["view-own"])})
    assert [action for action in get_args(Action) if policy.can(rules, "client", action)] == ["view-own"]
    assert not policy.can(rules, "owner", "view")


def test_the_roles_that_ship_give_the_owner_alone_every_action():
    rules = policy.load(kit.ROOT / CONFIG)
    free = [role for role in rules.roles if all(policy.can(rules, role, a) for a in get_args(Action))]
    assert (set(rules.roles), free) == ({"owner", "operator", "analyst", "client"}, ["owner"])
