"""Read from a rendered prompt what an extractive model can honestly obey."""

import html
import re
from dataclasses import dataclass

NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
COUNT = rf"(\d+|{'|'.join(NUMBERS)})(?:\s*(?:to|or|-)\s*(\d+|{'|'.join(NUMBERS)}))?"
SENTENCES = re.compile(rf"\b{COUNT}\s+(?:\w+\s+)?sentences?\b", re.I)
ITEMS = re.compile(rf"\b{COUNT}\s+(?:\w+\s+){{0,2}}(?:points?|items?|strings?|bullets?|entries)\b", re.I)
LIST = re.compile(r"\b(?:list|array|points?|items?|strings|bullets?)\b", re.I)
REFUSAL = re.compile(r"\bexactly\W{0,3}[\"“]([^\"”]+)[\"”]", re.I)
KEY = re.compile(r"`(\w+)`([^`]*)")
CITES = re.compile(r"\bcite\b|\[1\]", re.I)
PASSAGE = re.compile(r'<passage id="(\d+)" page="([^"]*)" heading="([^"]*)">\n(.*?)\n</passage>', re.S)
TAGGED = re.compile(r"<(\w+)>\n?(.*?)\n?</\1>", re.S)


@dataclass(frozen=True)
class Key:
    """One key of the JSON object that the prompt asks for; `count` is of sentences, or of list items."""

    name: str
    is_list: bool
    count: int


@dataclass(frozen=True)
class Source:
    """A passage that may be quoted."""

    number: int
    topic: str
    text: str


@dataclass(frozen=True)
class Task:
    """What the prompt asks, as far as this model can tell."""

    text: str
    sources: list[Source]
    sentences: int
    keys: list[Key]
    refusal: str
    cites: bool


def task(system: str, user: str) -> Task:
    """Read a prompt. Where it is silent: two sentences, plain text, no citations."""
    sources = [
        Source(int(number), html.unescape(f"{page.rpartition('/')[2].replace('-', ' ')} {heading}"), text)
        for number, page, heading, text in PASSAGE.findall(user)
    ]
    rest = re.sub(r"<passages>.*?</passages>", "", user, flags=re.S) if sources else user
    tagged = [body for name, body in TAGGED.findall(rest) if name != "passages"]
    refusal = REFUSAL.search(system)
    return Task(
        text=("\n".join(tagged) or rest).replace("&lt;", "<").strip(),
        sources=sources,
        sentences=most(SENTENCES, system, 2),
        keys=keys(system) if re.search(r"\bJSON\b", system) else [],
        refusal=refusal.group(1) if refusal else "",
        cites=bool(CITES.search(system)),
    )


def keys(system: str) -> list[Key]:
    """The keys that the prompt names in backquotes, each with what is said after it."""
    found: dict[str, Key] = {}
    for name, said in KEY.findall(system):
        is_list = bool(LIST.search(said))
        count = most(ITEMS, said, 3) if is_list else most(SENTENCES, said, 1)
        found.setdefault(name, Key(name, is_list, count))
    return list(found.values())


def most(pattern: re.Pattern[str], text: str, otherwise: int) -> int:
    """The larger number of the first match, e.g. 5 in 'three to five points'."""
    match = pattern.search(text)
    if not match:
        return otherwise
    last = (match.group(2) or match.group(1)).lower()
    return max(1, int(last) if last.isdigit() else NUMBERS[last])
