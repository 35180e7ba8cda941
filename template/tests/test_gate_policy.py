"""`gate policy`: every tier that a feature can come to keeps a permitted model."""

import json
from pathlib import Path

import pytest

from gate import cli
from tests import kit

KEYLESS = '[models.keyless]\nprovider = "keyless"\n'
MINI = """
[models.mini]
provider = "openai-compatible"
name = "mini"
tier = "small"
base_url = "http://127.0.0.1:1/v1"
region = "us"
retention_days = 30
price = { input_usd = 1, output_usd = 1 }
"""
ENCODER = '\n[models.e]\nprovider = "onnx"\nkind = "embedding"\npath = "e.onnx"\n'


def gate(*, registry: str = KEYLESS) -> int:
    """The exit code of `gate policy` with this registry."""
    kit.write("config/models.toml", registry)
    return kit.command(cli.main, "policy")


def test_a_feature_whose_tiers_keep_a_model_passes(project, capsys):
    assert gate() == 0
    assert "PASS" in capsys.readouterr().out


def test_a_model_that_is_merely_filtered_out_is_listed_with_its_reason(project, capsys):
    assert gate(registry=KEYLESS + MINI) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "client-text" in said
    assert "region 'us' is not" in said


def test_a_tier_without_a_permitted_model_is_refused_with_place_and_remedy(project, capsys):
    kit.edit("features/note/feature.toml", 'prompt = "v1"', 'prompt = "v1"\ntiers = ["standard", "small"]')
    assert gate(registry=KEYLESS + MINI) == 1
    said = capsys.readouterr().out
    assert "features/note/feature.toml: tiers: tier 'small': policy allows no model" in said
    assert "mini: region 'us' is not allowed; allow one in policy.toml, or name another tier" in said


def test_a_tier_that_a_flag_can_pick_is_checked(project, capsys):
    flag = {"state": "ENABLED", "variants": {"a": "standard", "b": "small"}, "defaultVariant": "a"}
    kit.write("config/flags.json", json.dumps({"flags": {"ask.tier": flag}}))
    assert gate(registry=KEYLESS + MINI) == 1
    assert "config/flags.json: ask.tier: tier 'small'" in capsys.readouterr().out


@pytest.mark.parametrize("tier", ["small", "nowhere"])
def test_the_tier_of_the_economy_is_checked(project, capsys, tier):
    kit.write("features/note/feature.toml", economy(tier))
    assert gate(registry=KEYLESS + MINI) == 1
    assert f"features/note/feature.toml: economy.tier: tier '{tier}'" in capsys.readouterr().out


def economy(tier: str) -> str:
    """The `note` feature with an economy."""
    before = Path("features/note/feature.toml").read_text(encoding="utf-8")
    return f'{before}\n[economy]\ntier = "{tier}"\nmin_score = 0.5\n'


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("keyless", "'keyless' is no model of kind embedding in models.toml (known: e)"),
        ("nobody", "'nobody' is no model of kind embedding"),
        ("e", "'e': provider 'onnx' is not allowed for 'client-text'; allow it in policy.toml"),
    ],
)
def test_the_encoder_of_a_feature_must_embed_and_be_permitted(project, capsys, name, said):
    kit.edit("features/ask/feature.toml", 'query = "question"', f'query = "question"\nembeddings = "{name}"')
    assert gate(registry=KEYLESS + ENCODER) == 2
    assert f"features/ask/feature.toml: retrieval.embeddings: {said}" in capsys.readouterr().err


def test_a_permitted_encoder_passes(project):
    kit.edit("features/ask/feature.toml", 'query = "question"', 'query = "question"\nembeddings = "e"')
    kit.edit("config/policy.toml", '"openai-compatible"]', '"openai-compatible", "onnx"]')
    assert gate(registry=KEYLESS + ENCODER) == 0


def test_the_actions_of_roles_are_printed(project, capsys):
    kit.edit("config/policy.toml", "[use_cases", '[roles.analyst]\ncan = ["view"]\n\n[use_cases')
    gate()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["│", "view", "│", "yes", "│"] in rows
    assert ["│", "purge", "│", "-", "│"] in rows
