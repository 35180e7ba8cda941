"""The Prometheus rules: promtool takes them and their tests, and they read what /metrics shows."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from gate import cli
from tests import kit

promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


def gate_slo(capsys) -> tuple[int, str]:
    """Run `gate slo`; gives its exit code and its words."""
    return kit.command(cli.main, "slo"), capsys.readouterr().out


@promtool
@pytest.mark.parametrize("slo", [(900, 0.01, 0.002), (15_000, 0.5, 3), (1, 0.0001, 1e-7), (2_500, 0.08, 1)])
@pytest.mark.slow
def test_promtool_takes_the_rules_of_any_promise(project, capsys, slo):
    given = "p95_ms = {}\nerror_rate = {}\nbudget_usd = {}".format(*slo)
    kit.edit("features/ask/feature.toml", "p95_ms = 900\nerror_rate = 0.01\nbudget_usd = 0.002", given)
    assert gate_slo(capsys) == (0, "slo       PASS  var/slo  \n")


@promtool
def test_a_project_without_features_has_rules_that_promtool_takes(project, capsys):
    for name in ("ask", "note"):
        shutil.rmtree(f"features/{name}")
    assert gate_slo(capsys)[0] == 0


@promtool
def test_rules_that_promtool_refuses_end_with_1_and_its_words(project, capsys, monkeypatch):
    monkeypatch.setattr("app.slo.SPANS", {"5m": 300})
    code, said = gate_slo(capsys)
    assert code == 1
    assert "BLOCK" in said
    assert "exp:[" in said


def test_without_promtool_the_rules_are_written_and_said_to_be_not_linted(project, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, said = gate_slo(capsys)
    assert (code, "not linted" in said) == (0, True)
    assert len(yaml.safe_load(Path("var/slo/rules.yml").read_text())["groups"]) == 2


def test_the_folder_can_be_named(project, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert kit.command(cli.main, "slo", "--out", "rules") == 0
    assert sorted(path.name for path in Path("rules").iterdir()) == ["rules.yml", "tests.yml"]


def test_no_rule_is_there_twice_and_every_alert_names_its_slo(project, monkeypatch):
    monkeypatch.setenv("PATH", "")
    kit.command(cli.main, "slo")
    groups = yaml.safe_load(Path("var/slo/rules.yml").read_text())["groups"]
    rules = [
        (r.get("alert") or r["record"], *sorted(r["labels"].items())) for g in groups for r in g["rules"]
    ]
    assert len(set(rules)) == len(rules)
    alerts = [dict(labels) for name, *labels in rules if name == "SloBurn"]
    assert sorted((a["slo"], a["severity"]) for a in alerts if a["feature"] == "ask") == [
        ("cost", "ticket"),
        ("errors", "page"),
        ("errors", "ticket"),
        ("latency", "page"),
        ("latency", "ticket"),
    ]


@pytest.fixture
def read(project, monkeypatch):
    """The series that the rules read: name and labels."""
    monkeypatch.setenv("PATH", "")
    kit.command(cli.main, "slo")
    return set(re.findall(r"(app_\w+)\{([^}]*)\}", Path("var/slo/rules.yml").read_text()))


async def test_the_rules_read_series_that_the_app_shows_before_its_first_request(read):
    async with kit.site() as site:
        shown = (await site.http.get("/metrics")).text
    names = {name for name, _ in read} - {"app_cost_usd_total"}  # by model, once one was asked
    assert {name for name in names if f"{name}{{" in shown} == names
    edges = {re.search(r'le="[^"]*"', labels)[0] for _, labels in read if "le=" in labels}
    assert all(f"{edge}" in shown for edge in edges)
    outcomes = {o for _, labels in read for o in re.findall(r'outcome=~?"([^"]*)"', labels)}
    assert {o for group in outcomes for o in group.split("|") if f'outcome="{o}"' not in shown} == set()
