"""Recognise wording that tries to change the instructions, by the named and weighted rules of injection.toml.

They see wording, not intent: an ordinary task hidden in a document passes them. Against that only structure
helps: delimited text, no caller's words in the instructions, checks of the output.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app import disguise

WORD = re.compile(r"\b\w.", re.S)
NEAR = 1_500  # characters in which hints add up


@dataclass(frozen=True)
class Rule:
    """A text that reads like it has the weight."""

    name: str
    weight: int
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Judged:
    """The highest score of any passage, and the names of the rules that gave it, the heaviest first."""

    score: int
    names: tuple[str, ...]
    is_attack: bool

    def __str__(self) -> str:
        return f"rules: {', '.join(self.names)}; score {self.score}, {rules()[0]} is refused"


@cache
def rules() -> tuple[int, dict[str, list[Rule]]]:
    """The score from which on a text is an attack, and the rules by the first two characters of a match."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    starts: dict[str, list[Rule]] = defaultdict(list)
    for weight, named in {listed["block_at"]: listed["rules"], **listed["hints"]}.items():
        for name, text in named.items():
            firsts, pattern = compiled(text, listed["parts"])
            for first in firsts:
                starts[first].append(Rule(name, int(weight), pattern))
    return listed["block_at"], dict(starts)


def compiled(text: str, parts: dict[str, str]) -> tuple[set[str], re.Pattern[str]]:
    """The first two characters of a match, and the pattern with its parts filled in."""
    line, _, rest = text.strip().partition("\n")
    before, _, begins = line.partition(" ") if line.startswith("{") else ("", "", line)
    body = re.sub(r"\{([a-z_]+)\}", lambda match: parts[match[1]], f"{before}(?:{begins})(?:{rest})")
    pattern = re.compile(body.replace("\n", "").replace(" ", r"\s"), re.S)
    return {word[:2] for word in begins.split("|")}, pattern


def judge(text: str) -> Judged:
    """How much the text reads like an attack; rules add up where they are seen near each other."""
    seen: dict[Rule, int] = {}
    best: list[Rule] = []
    for rule, at in hits(disguise.undone(text)):
        seen[rule] = at
        best = max(best, [one for one, place in seen.items() if at - place <= NEAR], key=total)
    best = sorted(best, key=lambda rule: -rule.weight)
    return Judged(total(best), tuple(rule.name for rule in best), total(best) >= rules()[0])


def hits(plain: str) -> Iterator[tuple[Rule, int]]:
    """Each rule that the text reads like, and where."""
    _, starts = rules()
    for word in WORD.finditer(plain):
        at = word.start()
        yield from ((rule, at) for rule in starts.get(word[0], ()) if rule.pattern.match(plain, at))


def total(seen: list[Rule]) -> int:
    """The sum of the weights."""
    return sum(rule.weight for rule in seen)
