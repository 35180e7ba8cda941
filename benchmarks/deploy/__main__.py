"""uv run python -m benchmarks.deploy: deploys under load, with bad versions, and killed at every step."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks import servers
from benchmarks.deploy import rollouts
from benchmarks.deploy import stage as stages
from benchmarks.deploy.rollouts import SCENARIOS, Load
from benchmarks.deploy.stage import Stage


def arguments() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--streams", type=int, default=20, help="that are open all the time")
    parser.add_argument("--stream-s", type=float, default=12, help="how long one of them takes")
    parser.add_argument("--distinct", type=int, default=1_000_000_000, help="so many different questions")
    parser.add_argument("--bake-s", type=float, default=8)
    parser.add_argument("--max-p95-ms", type=float, default=300)
    return parser.parse_args()


def main() -> int:
    """Deploy the first version, then run what was asked for; exit code 1 where a goal is missed."""
    given = arguments()
    os.environ["GIT_CONFIG_GLOBAL"] = str(servers.ROOT / "tests/gitconfig")
    load = Load(given.rate, given.streams, given.distinct)
    with (
        tempfile.TemporaryDirectory(prefix="slipway-deploy-") as folder,
        stages.ready(Path(folder), given.bake_s, given.max_p95_ms) as stage,
        stages.stub(stage, given.stream_s),
    ):
        first(stage)
        return rolled(stage, given.only, load)


def first(stage: Stage) -> None:
    """Deploy the first version and the one that a rollback goes to."""
    stage.commit("v1")
    done = stage.deploy()
    if done.code:
        sys.exit(f"the first deploy failed:\n{done.said}")
    stage.make_key()
    print(f"first deploy: {done.seconds:.1f} s", file=sys.stderr)


def rolled(stage: Stage, names: Iterable[str], load: Load) -> int:
    """Run scenarios and print their table."""
    rows = []
    for name in names:
        began = time.monotonic()
        rows.append(SCENARIOS[name](stage, load))
        print(f"{name}: {time.monotonic() - began:.0f} s\n{rollouts.line(rows[-1])}", file=sys.stderr)
        print("\n".join(rollouts.details(rows[-1])), file=sys.stderr, flush=True)
    print(rollouts.heading())
    print("\n".join(map(rollouts.line, rows)))
    return 0 if all(row.is_met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
