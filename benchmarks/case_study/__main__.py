"""uv run python -m benchmarks.case_study: the playbook off and on in front of a public trace's requests.

Drives the generated app over HTTP, with its worker, gate and commands, against a provider of our own on this
machine. docs/case-study.md states every assumption and shows what came of it.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import servers
from benchmarks.case_study import drive, project, report, world
from benchmarks.case_study.measure import measure
from benchmarks.case_study.project import OFF, ON, Arm
from benchmarks.case_study.world import Release, World
from tests.services import free_port

PARTS = ["main", "levers", "sweep"]
KEPT = Path(__file__).with_name("runs")
LEVERS = (
    replace(OFF, name="cache alone", cache=True),
    replace(OFF, name="short prompt alone", short=True),
    replace(OFF, name="second provider alone", spare=True),
    replace(OFF, name="rollouts alone", rollouts=True),
)
# What is swept, over which values, in a world that is otherwise so, with which arms; one is the usual value.
CALM = {"minutes": 10.0, "release_minutes": 0.0, "outages_an_hour": 0.0}
HALF = {"minutes": 29.0}
SWEPT: list[tuple[str, tuple[float, ...], dict[str, float], tuple[Arm, ...]]] = [
    ("repeats", (0.0, 0.1, 0.2, 0.3, 0.4), CALM, (ON,)),
    ("short", (0, 150, 200, 300), CALM, (ON,)),
    ("outages_an_hour", (0.0, 2.0, 4.0), HALF, (ON, OFF)),
    ("noticed_minutes", (2.0, 5.0, 10.0), HALF, (OFF,)),
]


def arguments() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=World.minutes, help="of the trace, from its start")
    parser.add_argument("--speed", type=float, default=World.speed, help="times as fast as the trace")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--out", type=Path, default=KEPT, help="every run in a file; one that is there is not played again"
    )
    return parser.parse_args()


def main() -> int:
    """Play the runs that have not been played, and print the tables; exit code 1 where a goal is missed."""
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    os.environ["GIT_CONFIG_GLOBAL"] = str(servers.ROOT / "tests/gitconfig")
    known = World(minutes=given.minutes, speed=given.speed)
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as (made, port):
        for arm, one in plan(given.parts, known, given.seeds):
            played(made, port, arm, one, given.out / f"{world.name(arm.name, one)}.json")
    return report.show(report.load(given.out), known)


def plan(parts: list[str], known: World, seeds: int) -> Iterator[tuple[Arm, World]]:
    """Every run: what is on, and its world; with rollouts first, whose releases the others bring out too."""
    if "main" in parts:
        yield from ((arm, replace(known, seed=seed + 1)) for seed in range(seeds) for arm in (ON, OFF))
    if "levers" in parts:
        yield from ((arm, world.of(known, HALF)) for arm in (ON, OFF, *LEVERS))
    if "sweep" in parts:
        yield OFF, world.of(known, CALM)
        for what, values, other, arms in SWEPT:
            yield from ((arm, world.of(known, {**other, what: value})) for value in values for arm in arms)


@contextmanager
def stage(work: Path) -> Iterator[tuple[Path, int]]:
    """A rendered project, and the provider that it asks."""
    port = free_port()
    made = project.render(work, port)
    command = [sys.executable, "-m", "benchmarks.case_study.provider", "--port", str(port)]
    with servers.started(command, f"http://127.0.0.1:{port}/", servers.CLIENT_CPU, servers.ROOT, work):
        yield made, port


def played(made: Path, port: int, arm: Arm, known: World, place: Path) -> None:
    """Play one run and keep its numbers, unless they are there."""
    if place.exists():
        return
    listed = world.releases(known) if arm.rollouts else schedule(place.parent, known)
    project.switch(made, arm, known, port, [release.name for release in listed])
    run = drive.play(made, f"http://127.0.0.1:{port}", arm, known, listed)
    found, releases = measure(run), [asdict(one) for one in run.releases]
    told = {"arm": arm.name, "world": asdict(known), "measured": asdict(found), "releases": releases}
    place.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"{place.stem}: {found}", file=sys.stderr, flush=True)


def schedule(out: Path, known: World) -> list[Release]:
    """The releases that rollouts brought out in this world, at the times when they began."""
    place = out / f"{world.name(ON.name, replace(known, noticed_minutes=World.noticed_minutes))}.json"
    if not place.exists():
        return world.releases(known)
    told = json.loads(place.read_text(encoding="utf-8"))["releases"]
    return [Release(one["at_s"], one["name"], one["kind"]) for one in told]


if __name__ == "__main__":
    sys.exit(main())
