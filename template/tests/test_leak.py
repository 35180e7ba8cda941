"""Instructions in an answer: noticed before the words that would complete them are shown."""

import pytest

from app import leak
from app.errors import Blocked

SYSTEM = "one two three four five six seven eight nine ten"


def shown(watch: leak.Watch, *pieces: str) -> str:
    """What a reader sees of these pieces."""
    return "".join(watch.feed(piece) for piece in pieces)


@pytest.mark.parametrize(
    "said",
    [
        "He said: Two, three FOUR five six seven eight nine ok",
        "it is 0123456789ab",
        "it is 0123 4567 89AB now",
    ],
)
def test_instructions_and_their_reference_are_a_leak(said):
    assert leak.leaks(said, SYSTEM, "0123456789ab")


@pytest.mark.parametrize(
    "said", ["two three four five six seven eight", "one two three four 5 five six seven eight nine", ""]
)
def test_fewer_words_in_a_row_are_none(said):
    assert not leak.leaks(said, SYSTEM, "0123456789ab")


def test_words_that_are_not_in_the_instructions_are_shown_at_once():
    watch = leak.Watch(SYSTEM, "0123456789ab")
    assert shown(watch, "An answer", " that is") == "An answer that"
    assert shown(watch, " plain.") + watch.end() == " is plain."


def test_a_leak_stops_before_its_first_word_is_shown():
    watch, seen = leak.Watch(SYSTEM, "0123456789ab"), ""
    for word in f"Well: {SYSTEM}".split()[:8]:
        seen += watch.feed(f"{word} ")
    with pytest.raises(Blocked):
        watch.feed("eight ")
    assert seen.strip() == "Well:"


def test_what_was_held_back_is_shown_when_it_was_no_leak():
    watch = leak.Watch(SYSTEM, "0123456789ab")
    said = "one two three, then nothing of it"
    assert shown(watch, *(f"{word} " for word in said.split())) + watch.end() == f"{said} "


def test_every_split_into_pieces_gives_the_same_text():
    said = "Say one two three. Then: [4] five six, ünd eight nine?"
    for size in range(1, len(said)):
        watch = leak.Watch(SYSTEM, "0123456789ab")
        pieces = [said[at : at + size] for at in range(0, len(said), size)]
        assert shown(watch, *pieces) + watch.end() == said


def test_the_reference_depends_on_pepper_and_prompt():
    made = {leak.canary(pepper, digest) for pepper in ("", "p") for digest in ("a", "b")}
    assert {len(reference) for reference in made} == {12}
    assert len(made) == 4
