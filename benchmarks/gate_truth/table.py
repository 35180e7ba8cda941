"""Print what the gate said, by kind, and judge it by the goals."""

from collections import Counter

from benchmarks.gate_truth.change import Change
from benchmarks.gate_truth.projects import Seen

Results = list[tuple[Change, Seen]]
WORDS = ("blocked", "inconclusive", "refused", "passed", "crashed")
MAX_BY_CHANCE = 0.05


def report(worse: Results, same: Results, chance: Results, unfelt: Results) -> bool:
    """Print the tables; whether every goal is met. What no case feels is shown, not counted."""
    for title, results in (
        ("regressions", worse),
        ("null changes", same),
        ("unchanged, model by chance", chance),
    ):
        table(title, results)
    missed = [(change, seen) for change, seen in worse if not seen.stopped]
    cried = [(change, seen) for change, seen in same if seen.word != "passed"]
    by_chance = [(change, seen) for change, seen in chance if seen.word != "passed"]
    goals = [
        ("regressions that may be merged", len(missed), len(worse), 0),
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
    reasons("Regressions that may be merged", missed)
    reasons("Null changes that were stopped", cried)
    reasons("Unchanged and stopped", by_chance[:10])
    reasons("Not counted: no case feels them", unfelt)
    return all(count <= goal for _, count, _, goal in goals)


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
