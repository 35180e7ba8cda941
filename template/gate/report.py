"""Write what the gate saw: JSON for programs, Markdown for a pull request, HTML for a person."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from gate import baseline, history, judge, paper, stats
from gate.run import CaseRun, FeatureRun

FOLDER, NAME, SCHEMA = "reports", "report.json", 1
PAGES = ("summary.md", "comment.md", "report.html", "junit.xml")
# Other commands write these beside the report; it shows what is there.
MEASURED = ("safety", "load", "retrieval")
Slices = Mapping[str, Sequence[object]] | None


def write(var: Path, runs: list[FeatureRun], verdicts: list[judge.Verdict], slices: Slices = None) -> Path:
    """Write the report below `var` as data and as pages, and add the run to the history; returns the folder.

    `slices` holds each feature's slices beside the accepted run, as dataclasses.
    """
    folder, at = var / FOLDER, datetime.now(UTC).isoformat(timespec="seconds")
    passed, said = not any(verdict.stops for verdict in verdicts), [vars(verdict) for verdict in verdicts]
    found = [feature(run, (slices or {}).get(run.feature.name, ())) for run in runs]
    content = {"schema": SCHEMA, "at": at, "commit": commit(), "passed": passed, "verdicts": said}
    content |= {"features": found}
    paper.save(folder / NAME, json.dumps(content, indent=1, ensure_ascii=False))
    if points := {label(run): point(run) for run in runs if run.of("golden")}:
        history.add(folder / history.NAME, history.Run(at=at, passed=passed, features=points))
    content |= {name: measured(folder / f"{name}.json") for name in MEASURED}
    content["runs"], content["unread"] = history.read(folder / history.NAME)
    for name in PAGES:
        paper.write(folder / name, content | {"usual": stats.usual, "kept": baseline.SAID})
    return folder


def commit() -> str:
    """The commit that was judged; empty where the files differ from it, or without git."""
    try:
        changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, check=True).stdout
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return "" if changed else head.strip()


def measured(place: Path) -> dict[str, object]:
    """What a command wrote, with `rows` where that is a list; nothing without the file."""
    try:
        content = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    except ValueError:
        return {"fault": f"{place.name} is damaged and left out"}
    return content if isinstance(content, dict) else {"rows": content}


def label(run: FeatureRun) -> str:
    """The feature's name, with the tier where one was judged alone."""
    return f"{run.feature.name} ({run.tier})" if run.tier else run.feature.name


def point(run: FeatureRun) -> history.Point:
    """The numbers of a feature's golden cases that the history keeps."""
    given, sets = [r.outcome for r in run.of("golden")], [g.digest for g in run.sets if g.kind == "golden"]
    return history.Point(
        score=fmean(r.score for r in run.of("golden")),
        tokens=stats.usual(one.tokens or None for one in given).get("median"),
        usd=stats.usual(one.cost_usd for one in given).get("median"),
        p95_ms=stats.usual(one.latency_ms for one in given).get("p95"),
        pins=", ".join([run.model, run.prompt, *sets]),
    )  # fmt: skip


def feature(run: FeatureRun, slices: Sequence[object]) -> dict[str, object]:
    """One feature: what it was run against, its slices beside the accepted run, its cases."""
    base = baseline.load(run.feature, run.tier)
    accepted = base.model_dump(include={"reason", "model", "prompt", "dataset"}) if base else {}
    marks, _ = baseline.marks(run, base)
    return {
        "name": label(run), "model": run.model, "prompt": run.prompt, "accepted": accepted,
        "datasets": {group.kind: group.digest for group in run.sets}, "seconds": round(run.seconds, 2),
        "slices": [vars(part) for part in slices],
        "cases": [case(r, marks.get(r.spec.name)) for r in run.runs],
    }  # fmt: skip


def case(run: CaseRun, mark: baseline.Mark | None) -> dict[str, object]:
    """One case, with all that is needed to see why it failed, and how it was when it was accepted."""
    given = run.outcome
    return {
        "name": run.spec.name, "kind": run.kind, "score": run.score, "failed": run.failed,
        "family": run.spec.metadata.family, "language": run.spec.metadata.language,
        "worse": worse(run, mark), "inputs": run.spec.inputs,
        "accepted": mark.model_dump(include={"score", "tokens", "usd", "said"}) if mark else {},
        "expected": run.spec.expected_output.model_dump(exclude_defaults=True),
        "outcome": given.code, "detail": given.detail, "output": given.output, "flags": given.flags,
        "said": given.words[: baseline.SAID], "tokens": given.tokens, "cost_usd": given.cost_usd,
        "latency_ms": round(given.latency_ms, 1),
    }  # fmt: skip


def worse(run: CaseRun, mark: baseline.Mark | None) -> bool:
    """Whether somebody must look: it breaks an invariant, fell since it was accepted, or is new and wrong."""
    fell = run.score < mark.score - 1e-9 if mark else bool(run.failed) and run.kind == "golden"
    return fell or bool(judge.breaks(run))
