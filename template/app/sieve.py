"""Show a streamed answer word by word, and nothing of what its feature may not say."""

import re

from app import guard
from app.leak import Watch
from app.spec import Guard

WORD = re.compile(r"\S+(?=\s)")
# Personal data and keys hold at least one word like this. It is held back until a plain word follows.
ODD = re.compile(r"[\d@\\]|-----|\S{20}")
CONTEXT = 200


class Sieve:
    """Reads what the watch for leaks lets through; what it holds back for good comes at the end or never."""

    def __init__(self, rules: Guard, watch: Watch) -> None:
        self.rules, self.watch = rules, watch
        self.shown, self.held, self.stopped = "", "", False

    def feed(self, piece: str) -> str:
        """Take a piece; returns the text that may be shown now, raises Blocked where that is the rule."""
        self.held += self.watch.feed(piece)
        plain = [word.end() for word in WORD.finditer(self.held) if not ODD.search(word.group())]
        if self.stopped or not plain:
            return ""
        said = self.held[: plain[-1]]
        whole = self.shown + said
        suspect = ODD.search(said) or guard.insults().search(said)
        if suspect and guard.mended(self.rules, whole).text != whole:
            self.stopped = True
            return ""
        self.shown, self.held = whole[-CONTEXT:], self.held[plain[-1] :]
        return said

    def end(self) -> str:
        """The rest of an answer that was checked as a whole."""
        return self.held + self.watch.end()
