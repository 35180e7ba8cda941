"""What a run is made of: the public trace, and everything that it does not say."""

import csv
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

TRACE = Path(__file__).with_name("conv.csv")
KINDS = ("broken", "slow", "costly", "wrong", "unsafe")
GOOD = "good"
# Nobody asks the same again within so many seconds.
APART_S = 30


@dataclass(frozen=True)
class World:
    """The assumptions; times are the trace's. docs/case-study.md says why each."""

    seed: int = 1
    minutes: float = 58
    speed: float = 6
    repeats: float = 0.3
    short: int = 150
    first_s: float = 0.3
    read_s: float = 0.0001
    write_s: float = 0.010
    spread: float = 0.25
    stalls: float = 0.01
    stalled: float = 5
    fails: float = 0.005
    outages_an_hour: float = 2
    outage_s: float = 120
    release_minutes: float = 11
    bad: float = 0.5
    noticed_minutes: float = 10

    def lot(self, *what: object) -> random.Random:
        """Chance that is the same in every run of this seed."""
        return random.Random("/".join(map(str, (self.seed, *what))))


@dataclass(frozen=True)
class Request:
    """One request: when it comes (seconds), which text it asks, and the tokens of the trace."""

    at_s: float
    text: int
    context: int
    generated: int


@dataclass(frozen=True)
class Release:
    """A prompt that somebody wants to bring out, and what is wrong with it."""

    at_s: float
    name: str
    kind: str


def of(known: World, other: Mapping[str, float]) -> World:
    """A world with other assumptions."""
    return World(**{**asdict(known), **other})


def name(arm: str, known: World) -> str:
    """A run's name: what was on, and which assumptions are not the usual ones."""
    usual = asdict(World())
    return " ".join(
        [arm, *(f"{key}={value:g}" for key, value in asdict(known).items() if value != usual[key])]
    )


def requests(world: World) -> list[Request]:
    """The trace's requests; some ask again what an earlier one asked."""
    lot, found, old = world.lot("requests"), list[Request](), 0
    with TRACE.open(encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines)):
            at_s = int(row["ms"]) / 1000
            if at_s > world.minutes * 60:
                break
            while old < len(found) and found[old].at_s < at_s - APART_S:
                old += 1
            if old and lot.random() < world.repeats:
                asked = found[lot.randrange(old)]
                found.append(Request(at_s, asked.text, asked.context, asked.generated))
            else:
                found.append(Request(at_s, number, int(row["context_tokens"]), int(row["generated_tokens"])))
    return found


def outages(world: World, provider: str) -> list[tuple[float, float]]:
    """When a provider answers nothing: from and until, in seconds."""
    lot, at_s, found = world.lot("outages", provider), 0.0, list[tuple[float, float]]()
    if not world.outages_an_hour:
        return found
    while (at_s := at_s + lot.expovariate(world.outages_an_hour / 3600)) < world.minutes * 60:
        start_s = at_s
        at_s += lot.expovariate(1 / world.outage_s)
        found.append((start_s, at_s))
    return found


def releases(world: World) -> list[Release]:
    """What is brought out, the first one after a minute; of the bad ones each has one thing wrong with it."""
    lot, found, at_s = world.lot("releases"), list[Release](), 60.0
    while world.release_minutes and at_s < world.minutes * 60:
        kind = lot.choice(KINDS) if lot.random() < world.bad else GOOD
        found.append(Release(at_s, f"r{len(found) + 1}", kind))
        at_s += world.release_minutes * 60
    return found
