"""uv run python -m benchmarks.deploy: deploys under load, of bad versions, killed at each step; and times."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import servers
from benchmarks.deploy import kills, project, rollouts, times
from benchmarks.deploy.rollouts import SCENARIOS, Load
from benchmarks.deploy.stage import Stage

KILL_STREAM_S = 4
QUICK = {
    "only": ["good", "errors"],
    "points": kills.QUICK,
    "rate": 50,
    "streams": 5,
    "distinct": 30,
    "runs": 1,
}


def arguments() -> argparse.Namespace:
    """The command's options; what --quick sets can still be given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few of all, at a load that any machine bears")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--points", nargs="+", choices=[str(point) for point in kills.POINTS], default=[])
    parser.add_argument("--rate", type=float, default=200, help="requests a second; half of it for the kills")
    parser.add_argument("--streams", type=int, default=20, help="that are open all the time")
    parser.add_argument("--stream-s", type=float, default=12, help="how long one of them takes")
    parser.add_argument("--distinct", type=int, default=1_000_000_000, help="so many different questions")
    parser.add_argument("--bake-s", type=float, default=8)
    parser.add_argument("--max-p95-ms", type=float, default=300)
    parser.add_argument("--runs", type=int, default=3, help="of each time that is measured")
    parser.add_argument("--base", default="", help="build on this image, with what is cached of it")
    if parser.parse_known_args()[0].quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args()


def main() -> int:
    """Deploy the first version, then run what was asked for; exit code 1 where a goal is missed."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was made is removed then too
    os.environ["GIT_CONFIG_GLOBAL"] = str(servers.ROOT / "tests/gitconfig")
    with (
        tempfile.TemporaryDirectory(prefix="slipway-deploy-") as folder,
        project.ready(Path(folder), given.bake_s, given.max_p95_ms, given.base) as stage,
    ):
        first(stage)
        met = [PARTS[name](stage, given) for name in PARTS if name in given.parts]
    return 0 if all(met) else 1


def first(stage: Stage) -> None:
    """Deploy a version that the others are measured beside."""
    stage.commit("v1")
    done = stage.deploy()
    if done.code:
        sys.exit(f"the first deploy failed:\n{done.said}")
    stage.make_key()


def rolled(stage: Stage, given: argparse.Namespace) -> bool:
    """Run the scenarios and print their table; whether each is as it should be."""
    load, rows = Load(given.rate, given.streams, given.distinct), []
    with project.stub(stage, given.stream_s):
        for name in given.only:
            rows.append(SCENARIOS[name](stage, load))
            print(rollouts.line(rows[-1]), *rollouts.details(rows[-1]), sep="\n", file=sys.stderr, flush=True)
    print(f"{rollouts.table(rows)}\n", flush=True)
    return all(row.is_met for row in rows)


def killed(stage: Stage, given: argparse.Namespace) -> bool:
    """Run the kills and print their table; whether each was overcome and nobody noticed."""
    load = Load(given.rate / 2, given.streams // 4, given.distinct)
    with project.stub(stage, KILL_STREAM_S):
        found = list(kills.every(stage, load, given.points))
        left = kills.left(stage, load)
    print(f"{kills.table(found)}\n{left}\n", flush=True)
    return left.is_met and all(one.is_met for one in found)


def timed(stage: Stage, given: argparse.Namespace) -> bool:
    """Measure size and times, and print their table; whether the goals are kept."""
    rows = times.measure(stage, given.runs)
    print(times.table(rows), flush=True)
    return all(row.is_met for row in rows)


# The last one removes the stage and makes it anew.
PARTS: dict[str, Callable[[Stage, argparse.Namespace], bool]] = {
    "rollouts": rolled,
    "kills": killed,
    "times": timed,
}

if __name__ == "__main__":
    sys.exit(main())
