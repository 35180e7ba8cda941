"""Write what the gate saw: JSON for programs, Markdown for a pull request, HTML for a person."""

import json
import statistics
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

from app import files
from gate.judge import Verdict
from gate.run import CaseRun, FeatureRun

FOLDER = "reports"


def write(var: Path, runs: list[FeatureRun], verdicts: list[Verdict]) -> Path:
    """Write report.json, summary.md and report.html below `var`; returns the folder."""
    folder = var / FOLDER
    content = data(runs, verdicts)
    files.write_atomic(folder / "report.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("summary.md", "report.html"):
        files.write_atomic(folder / name, environment.get_template(name).render(content) + "\n")
    return folder


def data(runs: list[FeatureRun], verdicts: list[Verdict]) -> dict[str, object]:
    """The whole report as plain data."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "passed": not any(verdict.stops for verdict in verdicts),
        "verdicts": [vars(verdict) for verdict in verdicts],
        "features": [feature(run) for run in runs],
    }


def feature(run: FeatureRun) -> dict[str, object]:
    """One feature: what it was run against, its slices, its cases."""
    return {
        "name": run.feature.name,
        "model": run.model,
        "prompt": run.prompt,
        "datasets": {group.kind: group.digest for group in run.sets},
        "seconds": round(run.seconds, 2),
        "slices": slices(run),
        "cases": [case(r) for r in run.runs],
    }


def slices(run: FeatureRun) -> list[dict[str, object]]:
    """Cases, mean score and median tokens by kind and family, and by language."""
    groups: dict[str, list[CaseRun]] = {}
    for r in run.runs:
        groups.setdefault(f"{r.kind} / {r.spec.metadata.family}", []).append(r)
        groups.setdefault(f"{r.kind} / language {r.spec.metadata.language}", []).append(r)
    return [
        {
            "name": name,
            "cases": len(found),
            "score": round(statistics.fmean(r.score for r in found), 4),
            "right": sum(not r.failed for r in found),
            "tokens": statistics.median(r.outcome.tokens for r in found),
        }
        for name, found in sorted(groups.items())
    ]


def case(run: CaseRun) -> dict[str, object]:
    """One case, with all that is needed to see why it failed."""
    return {
        "name": run.spec.name,
        "kind": run.kind,
        "score": round(run.score, 4),
        "failed": run.failed,
        "inputs": run.spec.inputs,
        "expected": run.spec.expected_output.model_dump(exclude_defaults=True),
        "outcome": run.outcome.code,
        "detail": run.outcome.detail,
        "output": run.outcome.output,
        "flags": run.outcome.flags,
        "tokens": run.outcome.tokens,
        "cost_usd": run.outcome.cost_usd,
        "latency_ms": round(run.outcome.latency_ms, 1),
    }
