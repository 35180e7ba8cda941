"""Recognise wording that tries to change the instructions, by the named and weighted rules of injection.toml.

They see wording, not intent: an ordinary task hidden in a document passes them. Against that only structure
helps: delimited text, no caller's words in the instructions, checks of the output.
"""

import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app import disguise

WORD = re.compile(r"\b\w.", re.S)


@dataclass(frozen=True)
class Rule:
    """One rule: a text that reads like it has a weight; from `block_at` on it is an attack."""

    name: str
    weight: int
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Rules:
    """The rules by the first two characters with which they begin."""

    block_at: int
    within: int
    starts: dict[str, list[Rule]]


@dataclass(frozen=True)
class Judged:
    """The highest score of any passage, and the rules that gave it, the heaviest first."""

    score: int
    names: tuple[str, ...]
    is_attack: bool

    def __str__(self) -> str:
        return f"rules: {', '.join(self.names)}; score {self.score}, {rules().block_at} is refused"


@cache
def rules() -> Rules:
    """The rules of injection.toml, parts filled in and compiled once."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    parts, block_at = listed["parts"], listed["block_at"]
    starts: dict[str, list[Rule]] = defaultdict(list)
    for weight, named in {str(block_at): listed["rules"], **listed["hints"]}.items():
        for name, text in named.items():
            firsts, pattern = compiled(text, parts)
            for first in firsts:
                starts[first].append(Rule(name, int(weight), pattern))
    return Rules(block_at, listed["within"], starts)


def compiled(text: str, parts: dict[str, str]) -> tuple[set[str], re.Pattern[str]]:
    """The first two characters of a match, and the pattern."""
    line, _, rest = text.strip().partition("\n")
    before, _, begins = line.partition(" ") if line.startswith("{") else ("", "", line)
    body = f"{before}(?:{begins})(?:{joined(rest)})"
    body = re.sub(r"\{([a-z_]+)\}", lambda match: joined(parts[match[1]]), body)
    return {word[:2] for word in begins.split("|")}, re.compile(body.replace(" ", r"\s"), re.S)


def joined(text: str) -> str:
    """A rule without its line ends."""
    return text.replace("\n", "")


def judge(text: str) -> Judged:
    """How much the text reads like an attack; rules add up where they are seen near each other."""
    plain, listed = disguise.undone(text), rules()
    seen: dict[str, tuple[int, int]] = {}
    best: list[tuple[int, str]] = []
    for word in WORD.finditer(plain):
        at = word.start()
        for rule in listed.starts.get(word[0], ()):
            if rule.pattern.match(plain, at):
                seen[rule.name] = at, rule.weight
                near = [
                    (weight, name) for name, (place, weight) in seen.items() if at - place <= listed.within
                ]
                best = max(best, near, key=total)
    score = total(best)
    return Judged(score, tuple(name for _, name in sorted(best, reverse=True)), score >= listed.block_at)


def total(weighed: list[tuple[int, str]]) -> int:
    """The sum of the weights."""
    return sum(weight for weight, _ in weighed)
