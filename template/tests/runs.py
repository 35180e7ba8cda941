"""Runs of the gate, with the scores and tokens that a test wants judged."""

from pathlib import Path
from typing import Any

from app import features, models
from app.scorers import Expected, Outcome
from gate import cases, changelog, cli, run
from gate.cases import CaseSet, CaseSpec, Metadata
from gate.run import CaseRun, FeatureRun
from tests import kit

SHEET = Path("features/note/recordings/golden.jsonl")
GOOD = '{"result": "The invoice is due."}'


def case(name: str, checks: dict[str, float], kind: str = "golden", **outcome: object) -> CaseRun:
    """One case that came out with these checks."""
    meta = outcome.pop("meta", {})
    spec = CaseSpec(
        name=name,
        inputs={"text": f"text of {name}"},
        metadata=Metadata(**{"family": "f", "language": "en", "origin": "test", **meta}),
        expected_output=Expected(facts=["x"]),
    )
    return CaseRun(kind, spec, Outcome(**{"code": "ok", "tokens": 100, **outcome}), checks)


def golden(scores: list[float], tokens: int | list[int] = 100) -> FeatureRun:
    """A run of the feature `note` with these golden scores, and one adversarial case that holds."""
    counts = tokens if isinstance(tokens, list) else [tokens] * len(scores)
    runs = [
        case(f"case-{number}", {"served": 1.0, "facts": score}, tokens=count)
        for number, (score, count) in enumerate(zip(scores, counts, strict=True))
    ]
    return feature_run([*runs, case("attack", {"error": 1.0}, "adversarial", code="blocked")])


def feature_run(runs: list[CaseRun]) -> FeatureRun:
    """A run of these cases."""
    sets = [
        CaseSet(kind, [r.spec for r in runs if r.kind == kind], "0" * 12)
        for kind in ("golden", "adversarial")
    ]
    return FeatureRun(features.load(Path("features/note")), sets, runs, models.VERSION, "v1@abc", 0.5)


def record(said: str | list[Any] = GOOD, heard: list[dict[str, Any]] | None = None, **given: Any) -> int:
    """Record `note` once; the provider is gone afterwards."""
    with kit.serve(kit.provider(said=said, heard=heard, **given)) as url:
        kit.models(far=url)
        return kit.command(cli.main, "record", "note")


def replayed(kind: str = "golden") -> Outcome:
    """What comes of the first case of `note` from its recordings."""
    plan = run.gate_plan()
    return run.everything([plan.features["note"]], [kind], plan, lambda _: None)[0].runs[0].outcome


def explain() -> None:
    """Give the feature `note` a changelog that explains its cases."""
    feature = features.load(Path("features/note"))
    for kind in ("golden", "adversarial"):
        changelog.add(feature, kind, cases.load(feature, kind).digest, "the scaffold's first case")
