"""Print what the runs showed, as the tables of docs/case-study.md."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.case_study import measure, world
from benchmarks.case_study.measure import Measured
from benchmarks.case_study.world import World


@dataclass(frozen=True)
class Played:
    """One run as it was kept: what was on, its world, its numbers, and how each release ended."""

    arm: str
    world: World
    measured: Measured
    releases: list[dict[str, str]]


@dataclass(frozen=True)
class Row:
    """A number of the table: which one, how it is called and shown, and by how much it has to fall."""

    key: str
    said: str
    shown: str = "{:,.0f}"
    goal: float = 0.0


ROWS = (
    Row("tokens", "tokens, a thousand requests"),
    Row("usd", "token cost, a thousand requests", "${:.3f}", 0.34),
    Row("p50_s", "p50", "{:.2f} s"),
    Row("p95_s", "p95", "{:.2f} s", 0.53),
    Row("failed", "failed requests", "{:.2%}"),
    Row("wrong", "wrong or unsafe answers that callers saw", "{:.2%}"),
    Row("incidents", "incidents an hour", "{:.2f}", 0.5),
    Row("bad_minutes", "bad minutes an hour", "{:.1f}"),
    Row("touched", "requests that bad releases answered, a run"),
)


def load(folder: Path) -> list[Played]:
    """Every run that was kept."""
    kept = [json.loads(place.read_text(encoding="utf-8")) for place in sorted(folder.glob("*.json"))]
    return [
        Played(told["arm"], World(**told["world"]), Measured(**told["measured"]), told["releases"])
        for told in kept
    ]


def show(runs: list[Played], known: World) -> int:
    """Print all tables; 1 where a goal is missed."""
    off, on = usual(runs, known).values()
    met = beside(off, on) if off and len(off) == len(on) else True
    ends(on)
    others(runs, known)
    return 0 if met else 1


def usual(runs: list[Played], known: World) -> dict[str, list[Played]]:
    """The runs of the usual world, off and on."""
    held = [run for run in runs if replace(run.world, seed=known.seed) == known]
    return {arm: [run for run in held if run.arm == arm] for arm in ("off", "on")}


def beside(off: list[Played], on: list[Played]) -> bool:
    """Off and on over all seeds; whether each goal is met."""
    met = []
    print("| | off | on | less, 95 % interval | goal | met |\n|---|---:|---:|---:|---:|---|")
    for row in ROWS:
        a, b = values(off, row.key), values(on, row.key)
        less, low, high = measure.change(a, b)
        marks = [row.shown.format(measure.mean(column)[0]) for column in (a, b)]
        goal = f"{row.goal:.0%} | {'yes' if less >= row.goal else '**no**'}" if row.goal else "|"
        met.append(less >= row.goal if row.goal else True)
        print(f"| {row.said} | {marks[0]} | {marks[1]} | {less:.0%} ({low:.0%} to {high:.0%}) | {goal} |")
    print(f"\n{len(on)} seeds, {on[0].measured.requests:,} requests each.")
    return all(met)


def values(runs: Sequence[Played], key: str) -> list[float]:
    """One number of each run, seed by seed."""
    return [float(getattr(run.measured, key)) for run in sorted(runs, key=lambda run: run.world.seed)]


def ends(on: list[Played]) -> None:
    """How each kind of release ended where rollouts are on."""
    counts = Counter((one["kind"], one["end"]) for run in on for one in run.releases)
    kinds = [world.GOOD, *world.KINDS]
    words = ["done", "rolled-back", "canary", "shadow"]
    print(
        "\n| release | to all | rolled back | still in steps | still in shadow |\n|---|---:|---:|---:|---:|"
    )
    for kind in kinds:
        print(f"| {kind} | " + " | ".join(str(counts[kind, word]) for word in words) + " |")


def others(runs: list[Played], known: World) -> None:
    """Every run with one assumption or lever of its own."""
    print("\n| run | tokens | cost | p95 | failed | incidents an hour | touched |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for run in runs:
        if replace(run.world, seed=known.seed) != known or run.arm not in ("off", "on"):
            one = run.measured
            numbers = f"{one.tokens:,.0f} | ${one.usd:.3f} | {one.p95_s:.2f} s | {one.failed:.2%}"
            rest = f"{one.incidents:.2f} | {one.touched:,.0f}"
            print(f"| {world.name(run.arm, run.world)} | {numbers} | {rest} |")
