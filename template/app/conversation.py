"""What was said before: sent along up to a token budget, the older part as a summary."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart

from app import text
from app.db import Result

SUMMARY = "Summarise this conversation in at most five sentences. Keep names, numbers and decisions."


@dataclass(frozen=True)
class Turn:
    """One question and its answer, as text."""

    id: str
    asked: str
    said: str

    def tokens(self) -> int:
        """What it costs to send."""
        return text.count_tokens(self.asked) + text.count_tokens(self.said)


@dataclass(frozen=True)
class History:
    """A summary of what is long ago, and the turns since then."""

    summary: str = ""
    turns: tuple[Turn, ...] = ()

    def tokens(self) -> int:
        """What it costs to send."""
        return text.count_tokens(self.summary) + sum(turn.tokens() for turn in self.turns)

    def digest(self) -> str:
        """All of it as one text, for the cache's key."""
        return "\0".join([self.summary, *(part for turn in self.turns for part in (turn.asked, turn.said))])

    def hidden(self, hide: Callable[[str], str]) -> "History":
        """The same, with personal data replaced."""
        turns = tuple(Turn(turn.id, hide(turn.asked), hide(turn.said)) for turn in self.turns)
        return History(hide(self.summary), turns)

    def messages(self) -> tuple[ModelMessage, ...]:
        """The history as chat messages; the summary is data, not an instruction."""
        told = [Turn("", f"<summary>\n{self.summary}\n</summary>", "Noted.")] if self.summary else []
        return tuple(
            message
            for turn in [*told, *self.turns]
            for message in (ModelRequest.user_text_prompt(turn.asked), ModelResponse([TextPart(turn.said)]))
        )


def read(rows: list[Result]) -> History:
    """The history that the stored turns make: everything up to a summary is in it."""
    start = max((n + 1 for n, row in enumerate(rows) if row.summary), default=0)
    summary = rows[start - 1].summary if start else ""
    return History(summary, tuple(Turn(r.id, as_text(r.given), as_text(output(r))) for r in rows[start:]))


def output(row: Result) -> dict[str, object]:
    """The feature's output in a stored answer."""
    found = (row.body or {}).get("output")
    return found if isinstance(found, dict) else {}


def as_text(content: dict[str, object]) -> str:
    """The words of an input or an output: its texts, without lists of sources and the like."""
    return "\n".join(value for value in content.values() if isinstance(value, str))


def split(history: History, max_tokens: int) -> tuple[History, History]:
    """The part to summarise, which may be empty, and the newest turns that fit half the budget."""
    if history.tokens() <= max_tokens:
        return History(), history
    totals = accumulate(turn.tokens() for turn in reversed(history.turns))
    start = len(history.turns) - sum(total <= max_tokens // 2 for total in totals)
    return History(history.summary, history.turns[:start]), History("", history.turns[start:])


def transcript(history: History) -> str:
    """The text that is summarised."""
    said = [history.summary, *(part for turn in history.turns for part in (turn.asked, turn.said))]
    return "\n\n".join(part for part in said if part)
