"""uv run python -m benchmarks.rollouts: how often rollouts are decided right; flags."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import retrieval

RIGHT = 0.98
MAX_US, APART, MAX_FLIP_S = 100, 0.3, 2


def main() -> None:
    """Render, simulate with the project's own rule, print; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="candidates of each kind")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = retrieval.inside(retrieval.rendered(Path(folder), "vectors"), "judging", str(given.count))
    raise SystemExit(report(told, given.count))


def report(told: dict[str, Any], count: int) -> int:
    """Print the tables; 0 where each goal is met."""
    met = []
    print("| candidate | to all | back | open | requests, median | answered by it | goal | met |")
    print("|---|---:|---:|---:|---:|---:|---|---|")
    for name, row in told["candidates"].items():
        wanted = {"good": "all"}.get(name, "" if name.startswith("borderline") else "back")
        is_met = not wanted or row[wanted] >= RIGHT * count
        said = f"{wanted} in {RIGHT:.0%} | {'yes' if is_met else '**no**'}" if wanted else "|"
        met.append(is_met)
        numbers = " | ".join(f"{row[key]:,.0f}" for key in ("all", "back", "open", "requests", "touched"))
        print(f"| {name} | {numbers} | {said} |")
    flags = told["flags"]
    goals = [
        flags["us"] <= MAX_US, abs(flags["percent"] - 5) <= APART, flags["stuck"],
        flags["flip_s"] <= MAX_FLIP_S,
    ]  # fmt: skip
    marks = ["yes" if goal else "**no**" for goal in goals]
    print("\n| flags | measured | goal | met |\n|---|---:|---:|---|")
    print(f"| one evaluation, p95 | {flags['us']:.0f} µs | {MAX_US} µs | {marks[0]} |")
    print(f"| 5 % of 100,000 tenants | {flags['percent']:.2f} % | 5 ± {APART} % | {marks[1]} |")
    stuck = "all" if flags["stuck"] else "not all"
    print(f"| keep the candidate at 25 % | {stuck} | all | {marks[2]} |")
    flip = f"{flags['flip_s']:.2f} s | {MAX_FLIP_S} s | {marks[3]}"
    print(f"| a flag is changed until a process answers by it, p95 of 100 | {flip} |")
    return 0 if all([*met, *goals]) else 1


if __name__ == "__main__":
    main()
