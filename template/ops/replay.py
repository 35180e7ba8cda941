"""Let a new version answer golden cases, through the proxy, before anybody else asks it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from app import features, scorers, settings
from app.features import Feature
from app.scorers import Outcome
from gate import baseline, cases
from gate.cases import CaseSpec
from ops import host as hosts
from ops import slots
from ops.errors import Failed
from ops.host import Host
from ops.stages import Stage
from ops.state import State

# What one case may lose against what the gate accepted: other words can be as right.
SLACK = 0.05
Chosen = tuple[Feature, CaseSpec, float]


def run(host: Host, stage: Stage, image: str, state: State) -> str:
    """What came of asking the version in its slot; raise Failed where too many are worse than accepted."""
    asked = list(chosen(stage.replay))
    wanted = {
        "url": f"http://{host.name}-lb:8080",
        "headers": {"x-slot": state.slot(state.coming), "x-slot-key": state.slot_key},
        "asks": [{"feature": feature.name, "inputs": case.inputs} for feature, case, _ in asked],
    }
    said = hosts.once(
        host, image, ["-m", "app.replay"], entry="python", given=json.dumps(wanted).encode(),
        network=host.name, volumes=slots.volumes(host, state.secrets[state.coming]),
    )  # fmt: skip
    answers = [json.loads(line) for line in said.splitlines() if line.startswith('{"status"')]
    faults = [fault for one, answer in zip(asked, answers, strict=True) if (fault := wrong(one, answer))]
    if len(faults) > stage.replay_faults * len(asked):
        listed = "\n".join(f"  {fault}" for fault in faults[:8])
        raise Failed(f"{len(faults)} of {len(asked)} golden cases went wrong:\n{listed}")
    slowest = max((answer["ms"] for answer in answers), default=0)
    return f"{len(asked) - len(faults)} of {len(asked)} as accepted, the slowest in {slowest:.0f} ms"


def chosen(count: int) -> Iterator[Chosen]:
    """That many golden cases of each feature, spread over its file, with the scores that were accepted."""
    for feature in features.load_all(settings.load().features_dir).values():
        if not (feature.folder / "golden.yaml").exists():
            continue
        found = [case for case in cases.load(feature, "golden").cases if not case.metadata.documents]
        accepted = baseline.load(feature)
        marks = {name: mark.score for name, mark in accepted.cases.items()} if accepted else {}
        for case in found[:: max(1, len(found) // count)][:count]:
            yield feature, case, marks.get(case.name, 0)


def promised_ms() -> dict[str, float]:
    """The p95 in milliseconds that each feature promises."""
    found = features.load_all(settings.load().features_dir)
    return {name: feature.spec.slo.p95_ms for name, feature in found.items()}


def wrong(asked: Chosen, answer: Mapping[str, Any]) -> str:
    """What is wrong with an answer, or nothing."""
    feature, case, accepted = asked
    body, expected = answer["body"], case.expected_output
    if answer["status"] == 200:
        given = Outcome("ok", body["output"], body["meta"]["flags"], asked=json.dumps(case.inputs))
    elif expected.error and answer["status"] >= 400:
        given = Outcome(str(body.get("code", "")))
    else:
        return f"{feature.name} {case.name}: HTTP {answer['status']} {body.get('detail', '')}"
    found = scorers.total(scorers.score(expected, given))
    return (
        f"{feature.name} {case.name}: {found:.2f}, accepted {accepted:.2f}"
        if found < accepted - SLACK
        else ""
    )
