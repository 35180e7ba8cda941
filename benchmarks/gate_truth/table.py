"""Print what the gate said, by kind, and judge it by the goals."""

import re
from collections import Counter

from benchmarks.gate_truth.change import Change
from benchmarks.gate_truth.projects import Seen

Results = list[tuple[Change, Seen]]
WORDS = ("blocked", "inconclusive", "refused", "passed", "crashed")
MAX_BY_CHANCE = 0.05
# What must have stopped a regression of each kind: one that is stopped for another reason is not caught.
REASONS = {
    "broken language": "score (BLOCK|INCONCLUSIVE)",
    "corpus": "score (BLOCK|INCONCLUSIVE)",
    "dearer model": "cost BLOCK: .*dollars",
    "dearer prompt": "cost BLOCK: .*tokens",
    "deleted cases": "(score|invariants) INCONCLUSIVE: .*gone or changed",
    "dropped schema field": "(score|invariants) BLOCK|feature.toml: examples",
    "larger k": "cost BLOCK: .*tokens",
    "leaky prompt": "(score|invariants) BLOCK",
    "limits": "(score|invariants) (BLOCK|INCONCLUSIVE)|feature.toml: (tiers|output):",
    "policy": "invariants BLOCK|flags.json: .*is not one of",
    "removed guard": "invariants BLOCK|invariants INCONCLUSIVE: .*other rules|feature.toml: guard",
    "smaller k": "score (BLOCK|INCONCLUSIVE)",
    "stale recording": "uv run gate record",
    "swapped labels": "score INCONCLUSIVE: .*gone or changed",
    "weakened cases": "(score|invariants) (BLOCK|INCONCLUSIVE)|edited by hand",
    "weaker model": "(score|invariants) BLOCK|no model answered",
    "worse code": "score BLOCK",
    "worse prompt": "(score|invariants) BLOCK",
}


def report(worse: Results, same: Results, chance: Results, unfelt: Results) -> bool:
    """Print the tables; whether every goal is met. What no case feels is shown, not counted."""
    for title, results in (
        ("regressions", worse),
        ("null changes", same),
        ("unchanged, model by chance", chance),
    ):
        table(title, results)
    missed = [(change, seen) for change, seen in worse if not is_caught(change, seen)]
    cried = [(change, seen) for change, seen in same if seen.word != "passed"]
    by_chance = [(change, seen) for change, seen in chance if seen.word != "passed"]
    goals = [
        ("regressions not caught", len(missed), len(worse), 0),
        ("null changes stopped", len(cried), len(same), 0),
        (
            "unchanged and stopped, model by chance",
            len(by_chance),
            len(chance),
            int(MAX_BY_CHANCE * len(chance)),
        ),
    ]
    print("\n| what | count | of | goal | met |\n|---|---:|---:|---:|---|")
    for what, count, of, goal in goals:
        print(f"| {what} | {count} | {of} | {goal} | {'yes' if count <= goal else '**no**'} |")
    reasons("Regressions not caught", missed)
    reasons("Null changes that were stopped", cried)
    reasons("Unchanged and stopped", by_chance[:10])
    reasons("Not counted: no case feels them", unfelt)
    return all(count <= goal for _, count, _, goal in goals)


def is_caught(change: Change, seen: Seen) -> bool:
    """Whether a regression cannot be merged, and for the reason that it is one."""
    return seen.stopped and re.search(REASONS[change.kind], seen.why) is not None


def table(title: str, results: Results) -> None:
    """One row a kind of change."""
    print(f"\n| {title} | " + " | ".join(WORDS) + " |\n|---|" + "---:|" * len(WORDS))
    kinds: dict[str, Counter[str]] = {}
    for change, seen in results:
        kinds.setdefault(change.kind, Counter())[seen.word] += 1
    rows = [*sorted(kinds.items()), ("all", sum(kinds.values(), Counter[str]()))]
    for kind, count in rows:
        print(f"| {kind} | " + " | ".join(str(count[word] or "") for word in WORDS) + " |")


def reasons(title: str, results: Results) -> None:
    """What the gate said of changes that it should have judged otherwise."""
    if results:
        print(f"\n{title}:\n")
    for change, seen in results:
        what = f"{change.kind}, {change.why}" if change.why else change.kind
        print(f"- {change.name} ({what}): {seen.word}; {seen.why}")
