"""What a stream may show: all of it at once, but for words that might be personal data."""

import re

import pytest

from app import guard, leak, pii, sieve
from app.errors import Blocked
from app.sieve import Sieve
from app.spec import Guard
from tests.test_guard import FOUND, KEYS

PROSE = "The invoice is due on Friday, and a reminder costs five euros.\n\nThank you! "


def shown(text: str, step: int, **rules: str) -> str:
    """What a reader has seen of a text that came in steps, before its end."""
    opened = Sieve(Guard(**rules), leak.Watch(*leak.NOTHING))
    return "".join(opened.feed(text[at : at + step]) for at in range(0, len(text), step))


@pytest.mark.parametrize("step", [1, 4, 1_000])
def test_prose_is_shown_up_to_its_last_whole_word(step):
    assert shown(PROSE, step) == PROSE[: PROSE.index(" you!")]


@pytest.mark.parametrize("sample", [*(text for text, _ in FOUND), *KEYS])
@pytest.mark.parametrize("step", [1, 7])
def test_nothing_of_personal_data_is_shown(sample, step):
    said = f"So it is: {sample} , now please ."
    assert pii.kinds(said)
    assert not re.search(r"[\d@]|MIIB", shown(said, step))


@pytest.mark.parametrize("sample", [r"\njane\u0040example.org", r"\n4242 4242 4242 4242", r"\nidiot"])
def test_nothing_that_an_escape_hides_is_shown(sample):
    assert shown(f"So it is: {sample} , now please .", 4) == "So it is:"


@pytest.mark.parametrize("rule", ["flag", "off"])
def test_what_is_not_withheld_is_shown(rule):
    said = "Call bob@example.com now please ."
    assert shown(said, 3, pii=rule, toxicity=rule) == "Call bob@example.com now"


def test_a_blocked_word_ends_the_stream():
    with pytest.raises(Blocked):
        shown("You are an idiot , sir .", 3, toxicity="block")


def test_an_answer_that_was_held_back_for_nothing_is_shown_at_its_end():
    opened = Sieve(Guard(), leak.Watch(*leak.NOTHING))
    said = "Order 4711 2024"
    assert opened.feed(said) + opened.end() == said


def test_long_answers_cost_little(monkeypatch):
    asked = []
    monkeypatch.setattr(guard, "mended", lambda rules, text: asked.append(text) or guard.Output(text, ()))
    shown(PROSE * 50, 4)
    assert asked == []
    shown("On 12 May " * 500, 4)
    assert max(map(len, asked)) < sieve.CONTEXT + 50
