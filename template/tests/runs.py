"""Runs of the gate, with the scores and tokens that a test wants judged."""

from pathlib import Path

from app import features, models
from app.scorers import Expected, Outcome
from gate.cases import CaseSet, CaseSpec, Metadata
from gate.run import CaseRun, FeatureRun


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
