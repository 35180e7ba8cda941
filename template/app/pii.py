"""Personal data and secrets by their form and check digits; names and addresses need a model that reads."""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from app import checkdigits

PLACEHOLDER = re.compile(r"\[[a-z]+-\d+\]")
BEGUN = re.compile(r"\[[^\[\]]{0,15}\Z")


@dataclass(frozen=True)
class Kind:
    """One form of personal data; `label` stands in its place, `needs` is in each text that has it."""

    label: str
    needs: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool]

    def found(self, text: str) -> Iterator[str]:
        """Each finding in the text, as it stands there."""
        if self.needs in text:
            yield from (match[0] for match in self.pattern.finditer(text) if self.check(match[0]))

    def sub(self, text: str, put: Callable[[str], str]) -> str:
        """The text with each finding replaced by what `put` makes of it."""
        if self.needs not in text:
            return text
        return self.pattern.sub(lambda match: put(match[0]) if self.check(match[0]) else match[0], text)


@cache
def known() -> dict[str, Kind]:
    """The kinds of pii.toml, in its order."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {
        name: Kind(
            name.partition("-")[0],
            kind.get("needs", ""),
            re.compile(kind["pattern"].replace("\n", "")),
            getattr(checkdigits, kind["check"]) if "check" in kind else bool,
        )
        for name, kind in listed.items()
    }


def kinds(text: str) -> list[str]:
    """The kinds of personal data that the text contains."""
    return [name for name, kind in known().items() if any(kind.found(text))]


def redact(text: str) -> str:
    """The text with each finding replaced by its kind, such as `[email]`."""
    for kind in known().values():
        text = kind.sub(text, partial("[{0.label}]".format, kind))
    return text


class Vault:
    """What was taken out of one request, for its own answer alone: never logged, cached or stored."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.numbers: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Vault({len(self.values)} values)"

    def hide(self, text: str) -> str:
        """The text with each finding replaced by a placeholder, such as `[email-1]`; a value has one."""
        taken = set(PLACEHOLDER.findall(text))
        for kind in known().values():
            text = kind.sub(text, partial(self.name, taken, kind.label))
        return text

    def name(self, taken: set[str], label: str, value: str) -> str:
        """The placeholder of a value; never one that the caller's own text has."""
        if value not in self.names:
            self.numbers[label] += 1
            while (made := f"[{label}-{self.numbers[label]}]") in taken:
                self.numbers[label] += 1
            self.names[value], self.values[made] = made, value
        return self.names[value]

    def restore(self, text: str) -> str:
        """The text with the values back in their places."""
        return PLACEHOLDER.sub(lambda m: self.values.get(m.group(), m.group()), text)

    def restore_all(self, content: Any) -> Any:
        """The same for every text inside lists and dicts."""
        if not self.values:
            return content
        if isinstance(content, str):
            return self.restore(content)
        if isinstance(content, dict):
            return {key: self.restore_all(value) for key, value in content.items()}
        return [self.restore_all(item) for item in content] if isinstance(content, list) else content


class Restorer:
    """Puts the values back into text that comes in pieces; a placeholder may be cut by them."""

    def __init__(self, vault: Vault) -> None:
        self.vault, self.held = vault, ""

    def feed(self, piece: str) -> str:
        """Take a piece; returns what is whole."""
        if not self.vault.values:
            return piece
        self.held += piece
        begun = BEGUN.search(self.held)
        whole = begun.start() if begun else len(self.held)
        shown, self.held = self.held[:whole], self.held[whole:]
        return self.vault.restore(shown)

    def end(self) -> str:
        """The rest."""
        shown, self.held = self.held, ""
        return self.vault.restore(shown)
