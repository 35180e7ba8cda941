"""The keyless model: what it obeys, that it repeats, and that its server says the same."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from app import models, text
from app.keyless import write
from app.keyless.model import pieces
from tests import kit

TEXT = (
    "The harbour opens at six. Ships pay a harbour fee of forty euros. The fee is due before a ship leaves "
    "the harbour. Fishing boats pay half of the fee. The harbour office closes at noon on Sundays."
)
PASSAGES = """\
<passages>
<passage id="1" page="invoices" heading="Invoices">
An invoice is due after fourteen days. A reminder costs five euros.
</passage>
<passage id="2" page="backups" heading="Backups">
A backup runs every night at two o'clock. The copies are kept for thirty days.
</passage>
</passages>
"""
GROUNDED = 'Cite the passages, like [1]. If they do not say, reply with exactly "Nothing is known."'


def asked(question: str) -> str:
    """The user's part with passages and a question."""
    return f"{PASSAGES}<question>\n{question}\n</question>"


@pytest.mark.parametrize(
    ("words", "count"), [("one sentence", 1), ("two short sentences", 2), ("1 to 3 sentences", 3)]
)
def test_gives_as_many_sentences_as_the_prompt_asks_for(words, count):
    assert write.reply(f"Summarise in {words}.", TEXT).count(".") == count


def test_gives_the_keys_that_the_prompt_names_in_backquotes():
    said = write.reply("Reply with one JSON object: `short`: one sentence. `facts`: a list of points.", TEXT)
    assert list(json.loads(said)) == ["short", "facts"]


@pytest.mark.parametrize(("words", "count"), [("two points", 2), ("three to four points", 4)])
def test_gives_as_many_list_items_as_the_prompt_asks_for(words, count):
    said = write.reply(f"Reply with JSON: `facts`: a list of {words}.", TEXT)
    assert len(json.loads(said)["facts"]) == count


def test_says_only_what_the_text_says():
    for sentence in write.reply("Summarise in three sentences.", TEXT).split(". "):
        assert sentence.rstrip(".") in TEXT


def test_cites_the_passage_that_it_quotes():
    said = write.reply(GROUNDED, asked("How long are the copies of a backup kept?"))
    assert "The copies are kept for thirty days. [2]" in said


def test_cites_nothing_where_the_prompt_does_not_ask_for_it():
    said = write.reply("Answer from the passages.", asked("When is an invoice due?"))
    assert said.startswith("An invoice is due after fourteen days.")
    assert "[" not in said


@pytest.mark.parametrize(
    "question", ["Will it rain in Lisbon tomorrow?", "Who won the chess match?", "?", ""]
)
def test_a_question_that_no_passage_answers_gets_the_refusal_line(question):
    assert write.reply(GROUNDED, asked(question)) == "Nothing is known."


def test_one_shared_word_is_not_enough_for_an_answer():
    said = write.reply(GROUNDED, asked("Which night train goes from Lisbon to Madrid in winter?"))
    assert said == "Nothing is known."


def test_answers_nothing_from_no_passages():
    assert write.reply(GROUNDED, "<question>\nWhen is an invoice due?\n</question>") == "Nothing is known."


@pytest.mark.parametrize("text", ["", " ", "word", "!?", "🙂" * 50, "a\n\n\nb", "Dr. Who"])
def test_scraps_are_no_crash(text):
    json.loads(write.reply("Reply with JSON: `facts`: a list of three points.", text))
    assert isinstance(write.reply("Summarise in one sentence.", text), str)


def test_the_answer_is_the_same_in_every_process():
    code = "import sys; from app.keyless import write; print(write.reply(sys.argv[1], sys.argv[2]))"
    prompt = ["Reply with JSON: `a`: two sentences. `b`: a list of four points.", TEXT]
    said = {
        subprocess.run(
            [sys.executable, "-c", code, *prompt],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=kit.ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(said) == 1
    assert said.pop().decode().strip() == write.reply(*prompt)


def test_the_pieces_of_a_stream_join_to_the_answer():
    for said in ("One two.\n three ", "", " lead", '{"a": "b c"}'):
        assert "".join(pieces(said)) == said


@pytest.mark.parametrize(("feature", "given"), [("note", kit.TEXT), ("ask", kit.QUESTION)])
async def test_the_server_answers_as_the_model_in_process(project, keyless_url, feature, given):
    kit.edit("features/ask/feature.toml", "cache_ttl_s = 60", "cache_ttl_s = 0")
    async with kit.site() as site:
        near = (await site.post(feature, given)).json()
    kit.models(far=keyless_url)
    async with kit.site() as site:
        told = await site.stream(feature, given)
    async with kit.site() as site:
        far = (await site.post(feature, given)).json()
    assert near["output"] == far["output"] == told[-1][1]["output"]
    assert far["meta"]["model"] == "far"
    assert near["meta"]["input_tokens"] == far["meta"]["input_tokens"]
    assert len([kind for kind, _ in told if kind == "delta"]) > 3


def test_the_server_lists_its_model(keyless_url):
    assert httpx2.get(f"{keyless_url}/v1/models").json()["data"][0]["id"] == models.VERSION


def test_the_server_reads_content_in_parts(keyless_url):
    parts = [{"type": "text", "text": TEXT}]
    messages = [
        {"role": "system", "content": "Summarise in one sentence."},
        {"role": "user", "content": parts},
    ]
    said = httpx2.post(f"{keyless_url}/v1/chat/completions", json={"messages": messages}).json()
    assert said["choices"][0]["message"]["content"] == write.reply("Summarise in one sentence.", TEXT)
    assert said["usage"]["total_tokens"] > 10


def test_many_threads_give_the_same_answers():
    texts = [
        f"Die Rechnungen der {n}. Kundin werden pünktlich bezahlt. The invoices are paid." for n in range(300)
    ]
    with ThreadPoolExecutor(16) as pool:
        stems = list(pool.map(lambda said: text.terms(said, "de"), texts))
    assert stems == [text.terms(said, "de") for said in texts]
