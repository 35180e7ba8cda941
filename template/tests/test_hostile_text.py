"""Long and awkward text costs little, whatever it holds."""

import time

import pytest

from app import injection, pii
from app.keyless import write

AWKWARD = [
    "\n", " \n", "a.", "a-", "1 ", "+1 ", "A1", "# ", "ignore ", "a ", "é", "ii", "11", "%20", "QUJD", "1@a$",
    "::", "a@b.", "eyJ", "eyJaaaaaaaa.", "-----BEGIN " "PRIVATE KEY-----", "no ", "all above ", "legal or ",
]  # fmt: skip


@pytest.mark.parametrize("unit", AWKWARD)
def test_no_pattern_is_quadratic_in_twenty_thousand_characters(unit):
    hostile = (unit * 20_000)[:20_000]
    started = time.process_time()
    injection.judge(hostile)
    pii.redact(hostile)
    assert time.process_time() - started < 1


def test_many_values_are_hidden_and_restored_in_linear_time():
    said = " ".join(f"a{n}@b.example" for n in range(6_000))
    vault, started = pii.Vault(), time.process_time()
    assert vault.restore(vault.hide(said)) == said
    assert time.process_time() - started < 1


def test_a_text_of_many_sentences_is_ranked_in_bounded_time():
    started = time.process_time()
    assert len(write.central(" ".join(f"Fact {n} is here now." for n in range(3_000)))) == write.MAX_SENTENCES
    assert time.process_time() - started < 5
