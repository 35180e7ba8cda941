"""Notice instructions in an answer: a secret reference put into them, or eight of their words in a row."""

import hashlib
import hmac
import re
from collections import defaultdict, deque

from app.errors import Blocked

NGRAM = 8
WORD = re.compile(r"\w+")
# Instructions and a reference that no answer repeats.
NOTHING = "", "\0"


def canary(pepper: str, digest: str) -> str:
    """Twelve characters that only these instructions contain: the same for the same prompt and pepper."""
    return hmac.new(pepper.encode(), digest.encode(), hashlib.sha256).hexdigest()[:12]


def marked(system: str, reference: str) -> str:
    """The instructions with the reference in them."""
    return f"{system}\n\n{reference}"


class Watch:
    """Reads an answer as it comes, each piece once; holds back what the instructions have in a row."""

    def __init__(self, system: str, reference: str) -> None:
        self.places: dict[str, list[int]] = defaultdict(list)
        for place, match in enumerate(WORD.finditer(system.casefold())):
            self.places[match.group()].append(place)
        self.reference = reference
        self.runs: dict[int, int] = {}
        self.starts: deque[int] = deque(maxlen=NGRAM)
        self.held, self.read, self.squeezed = "", 0, ""

    def feed(self, piece: str) -> str:
        """Take a piece; returns the text that may be shown now, raises Blocked at a leak."""
        self.held += piece
        for match in WORD.finditer(self.held, self.read):
            if match.end() == len(self.held):
                break  # the word may go on
            self.take(match)
        longest = max(self.runs.values(), default=0)
        safe = self.starts[-longest] if longest else self.read
        shown, self.held = self.held[:safe], self.held[safe:]
        self.read -= safe
        self.starts = deque((start - safe for start in self.starts), NGRAM)
        return shown

    def take(self, match: re.Match[str]) -> None:
        """Read one whole word."""
        word = match.group().casefold()
        self.runs = {place: self.runs.get(place - 1, 0) + 1 for place in self.places.get(word, ())}
        self.starts.append(match.start())
        self.read = match.end()
        self.squeezed = (self.squeezed + word)[-64:]
        if self.reference in self.squeezed or max(self.runs.values(), default=0) >= NGRAM:
            raise Blocked("the answer repeated the instructions and was withheld", ("leak",))

    def end(self) -> str:
        """The rest of the answer; raises Blocked if it completes a leak."""
        for match in WORD.finditer(self.held, self.read):
            self.take(match)
        return self.held


def leaks(answer: str, system: str, reference: str) -> bool:
    """Whether a whole answer repeats the instructions."""
    watch = Watch(system, reference)
    try:
        watch.feed(answer)
        watch.end()
    except Blocked:
        return True
    return False
