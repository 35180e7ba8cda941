"""Run inside a rendered project: simulated candidates through app.rollout, and flags that are drawn.

Prints JSON for benchmarks.rollouts. What a candidate does worse is drawn request by request; the rule is the
project's own with its defaults, without a shadow, and it looks after every hundred requests.
"""

import asyncio
import functools
import json
import math
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from app import db, evidence, flagedit, flags, flagstore, rollout
from app.compare import Arm
from app.flagfile import Live
from app.rollout import Part
from app.spec import Rollout

RULE = Rollout(unit="request")
LOOK, END = 100, 100_000
SPREAD = 0.4  # of the logarithm of latencies and dollars
SLOW_S = math.exp(1.645 * SPREAD)  # the p95 of stable
ERRORS, MENDED, QUALITY, APART = 0.01, 0.005, 0.85, 0.3
TENANTS, FLIPS = 100_000, 100


@dataclass(frozen=True)
class Candidate:
    """How a candidate differs: its error rate, and factors or points of the rest."""

    errors: float = ERRORS
    slower: float = 1.0
    dearer: float = 1.0
    worse: float = 0.0
    unsafe: float = MENDED


KINDS = {
    "good": Candidate(),
    "errors 1 % -> 3 %": Candidate(errors=0.03),
    "p95 x 1.5": Candidate(slower=1.5),
    "cost x 1.3": Candidate(dearer=1.3),
    "quality -5 points": Candidate(worse=0.05),
    "unsafe 0.5 % -> 5 %": Candidate(unsafe=0.05),
    "borderline: errors 1 % -> 1.5 %": Candidate(errors=0.015),
    "borderline: errors 1 % -> 2 %": Candidate(errors=0.02),
    "borderline: p95 x 1.1": Candidate(slower=1.1),
    "borderline: cost x 1.1": Candidate(dearer=1.1),
    "borderline: quality -2 points": Candidate(worse=0.02),
}


def request(lot: random.Random, one: Candidate) -> dict[Part, float]:
    """What one request brings."""
    return {
        "errors": float(lot.random() < one.errors),
        "slow": float(lot.lognormvariate(0, SPREAD) * one.slower > SLOW_S),
        "cost": lot.lognormvariate(0, SPREAD) * one.dearer / 1000,
        "quality": 1 - min(1.0, max(0.0, lot.gauss(QUALITY - one.worse, APART))),
        "invalid": float(lot.random() < MENDED),
        "flagged": float(lot.random() < one.unsafe),
    }


def trial(lot: random.Random, one: Candidate) -> tuple[str, int, int]:
    """The word on a candidate, all requests until then, and those that it answered."""
    every, touched = 0, 0
    for percent in RULE.steps:
        word, counts = step(lot, one, percent, END - every)
        every, touched = every + sum(counts), touched + counts[1]
        if word != "pass":
            return {"fail": "back", "wait": "open"}[word], every, touched
    return "all", every, touched


def step(lot: random.Random, one: Candidate, percent: int, at_most: int) -> tuple[str, list[int]]:
    """The word on one step, and the requests of stable and of the candidate in it."""
    sums, counts = [{part: [0.0, 0.0] for part in rollout.SAID} for _ in range(2)], [0, 0]
    while sum(counts) < at_most:
        for _ in range(LOOK):
            which = int(lot.random() * 100 < percent)
            counts[which] += 1
            for part, value in request(lot, one if which else Candidate()).items():
                sums[which][part][0] += value
                sums[which][part][1] += value * value
        old, new = (
            {part: Arm(n, n, y, n, y, yy) for part, (y, yy) in arm.items()}
            for n, arm in zip(counts, sums, strict=True)
        )
        unsafe = evidence.breaches(new["flagged"], old["flagged"])
        word = rollout.judge(rollout.Evidence(new, old, counts[1], unsafe), RULE, percent).word
        if word != "wait":
            return word, counts
    return "wait", counts


def drawn(percent: int) -> list[bool]:
    """Who of the tenants has the candidate at a share."""
    flag = flagedit.trial({"new": ("v2", percent), "old": ("", 100 - percent)}, "tenant")
    core = flags.core({"flags": {"answer.rollout": flag}}, Path("flags.json"))
    who = [flags.Who(f"tenant-{number}").context() for number in range(TENANTS)]
    return [bool(core.resolve_string_value("answer.rollout", "", one).value) for one in who]


def evaluated() -> float:
    """The p95 of one evaluation, in microseconds."""
    flag = flagedit.trial({"new": ("v2", 5), "old": ("", 95)}, "tenant")
    core = flags.core({"flags": {"answer.rollout": flag}}, Path("flags.json"))
    taken = []
    for number in range(20_000):
        who = flags.Who(f"tenant-{number}").context()
        began = time.perf_counter()
        core.resolve_string_value("answer.rollout", "", who)
        taken.append(time.perf_counter() - began)
    return sorted(taken)[int(0.95 * len(taken))] * 1e6


async def flipped() -> float:
    """The p95 of the time from the order to change a flag until a process answers by it, in seconds."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "flags.json"
        engine = db.connect(f"sqlite+aiosqlite:///{folder}/app.db")
        async with engine.begin() as connection:
            await connection.run_sync(db.Base.metadata.create_all)
        live = Live(flags.NONE, place, lambda _: {})
        for number in range(FLIPS):
            flag = flagedit.valued(None, f"v{number % 2}")
            edit = functools.partial(flagedit.put, name="answer.prompt", flag=flag)
            began = time.perf_counter()
            await flagstore.change(engine, place, "benchmark", "", edit, lambda _: [])
            while live.core.resolve_string_value("answer.prompt", "").value != flag["defaultVariant"]:  # noqa: ASYNC110
                await asyncio.sleep(0.001)  # a process polls too
            taken.append(time.perf_counter() - began)
        await engine.dispose()
    return sorted(taken)[int(0.95 * len(taken))]


def main() -> None:
    """All kinds of candidates, so many of each, and the flags."""
    count, found = int(sys.argv[1]), {}
    for name, one in KINDS.items():
        lot = random.Random(name)
        ends = [trial(lot, one) for _ in range(count)]
        words = [word for word, _, _ in ends]
        found[name] = {
            "all": words.count("all"), "back": words.count("back"), "open": words.count("open"),
            "requests": statistics.median(total for _, total, _ in ends),
            "touched": statistics.median(new for _, _, new in ends),
        }  # fmt: skip
        print(name, found[name], file=sys.stderr, flush=True)
    few, many = drawn(5), drawn(25)
    flags_ = {
        "percent": sum(few) * 100 / TENANTS, "us": evaluated(), "flip_s": asyncio.run(flipped()),
        "stuck": all(late for early, late in zip(few, many, strict=True) if early),
    }  # fmt: skip
    print(json.dumps({"candidates": found, "flags": flags_}))


if __name__ == "__main__":
    main()
