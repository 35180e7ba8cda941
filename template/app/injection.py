"""Recognise wording that tries to change the instructions, by the named rules of injection.toml.

They see wording, not intent: an ordinary task hidden in a document passes them. Against that only structure
helps: delimited text, no caller's words in the instructions, checks of the output.
"""

import re
import tomllib
from functools import cache
from pathlib import Path


@cache
def rules() -> dict[str, re.Pattern[str]]:
    """The rules by name, parts filled in and compiled once."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    parts = {name: joined(part) for name, part in listed["parts"].items()}
    parts = {name: filled(part, parts) for name, part in parts.items()}
    return {
        name: re.compile(filled(joined(rule), parts), re.I | re.S | re.M)
        for name, rule in listed["rules"].items()
    }


def joined(text: str) -> str:
    """A rule without its line ends."""
    return "".join(line.strip() for line in text.splitlines())


def filled(text: str, parts: dict[str, str]) -> str:
    """A rule with `{name}` replaced by the part of that name."""
    return re.sub(r"\{([a-z_]+)\}", lambda match: parts[match[1]], text)


def rule_in(text: str) -> str:
    """The name of the first rule that the text trips, or nothing."""
    return next((name for name, rule in rules().items() if rule.search(text)), "")
