"""The gate measures how passages are found, chooses the cheapest way, and the app serves the choice."""

import json
import sys
import threading
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app import services, settings
from app.cache import Answers
from app.embed import Encoder
from app.library import Library
from app.retrieve import Index
from gate import cli
from load import nearest
from tests import kit
from tests.embedder import Embedder, choose, index, own_page

pytestmark = pytest.mark.slow

TOML = Path("features/ask/feature.toml")


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few ways: what is tried on vectors of any width is not what these tests look at."""
    monkeypatch.setattr(nearest, "DIMS", (64,))
    monkeypatch.setattr(nearest, "EFS", (64,))


def gate(*words: str) -> int:
    """Run `gate retrieval` in the current folder."""
    return kit.command(cli.main, "retrieval", *words)


def told() -> dict[str, Any]:
    """What it wrote about the feature `ask`."""
    (one,) = json.loads(Path("var/reports/retrieval.json").read_text(encoding="utf-8"))["features"]
    return dict(one)


def many_pages() -> None:
    """Pages that differ in few words."""
    for number in range(60):
        said = f"The text {number} speaks of {number % 7} and {number % 11}."
        kit.write(f"pages/p{number}.md", f"# P{number}\n\n{said}\n")


def test_words_alone_leave_nothing_to_choose(project, capsys):
    assert gate() == 0
    assert "words alone, nothing to choose" in capsys.readouterr().out
    assert told()["best"] is None


def test_words_that_find_the_right_page_are_counted(project, capsys):
    kit.edit("features/ask/golden.yaml", "facts: [invoice | bank transfer]", "page: invoices")
    assert gate() == 0
    assert "right page found for 1.000 [1.000, 1.000] of 1 questions" in capsys.readouterr().out
    kit.edit("features/ask/golden.yaml", "page: invoices", "page: nowhere")
    assert gate() == 0
    assert "right page found for 0.000" in capsys.readouterr().out


def test_a_search_that_is_too_slow_is_blocked(project):
    assert gate("--max-p95-ms", "0.0001") == 1
    assert told()["verdict"]["word"] == "BLOCK"


def test_every_way_is_measured_on_the_corpus_and_on_each_tenants_pages(embedder):
    own_page("acme", "terms", "# Terms\n\nAcme pays after thirty days.\n")
    assert gate() == 0
    seen = told()["found"]["seen"]
    tried = {where: [one["way"] for one in seen if one["where"] == where] for where in ("", "acme")}
    assert tried[""] == tried["acme"]
    assert {(way["index"], way["dims"]) for way in tried[""]} >= {("flat", 0), ("flat", 64)}
    assert told()["verdict"]["word"] == "NO BASELINE"  # nothing was chosen yet


def test_the_choice_goes_to_feature_toml_and_comments_stay(embedder):
    kit.edit(TOML, 'query = "question"', 'query = "question"  # what they ask')
    assert gate("--write") == 0
    text = TOML.read_text(encoding="utf-8")
    assert 'query = "question"  # what they ask' in text
    chosen = tomllib.loads(text)["retrieval"]["nearest"]
    assert (chosen["index"], chosen["rows"], chosen["on"]) == ("flat", 4, date.today())
    assert gate() == 0
    assert told()["verdict"]["word"] == "PASS"


def test_a_second_choice_replaces_the_first_and_keeps_its_comments(embedder):
    choose(index="hnsw", dims=3, rows=1)
    kit.edit(TOML, "dims = 3", "dims = 3  # too few")
    assert gate("--write") == 0
    assert "dims = 0  # too few" in TOML.read_text(encoding="utf-8")


def test_without_the_flag_nothing_is_written(embedder):
    before = TOML.read_bytes()
    assert gate() == 0
    assert TOML.read_bytes() == before


def test_a_way_that_finds_too_little_is_blocked_and_a_better_one_is_named(embedder, capsys):
    many_pages()
    choose(index="flat", dims=2, rerank=0, rows=64)
    assert gate() == 1
    assert told()["verdict"]["word"] == "BLOCK"
    assert "cheapest way that will do: flat: recall@10 1.0000" in capsys.readouterr().out


def test_a_way_that_this_machine_cannot_measure_is_no_pass(embedder, monkeypatch, capsys):
    choose(index="hnsw", ef=77)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    assert gate() == 1
    assert (
        "hnsw ef 77 was not measured: it needs usearch (uv sync --extra vectors)" in capsys.readouterr().out
    )


def test_perfect_answers_to_few_questions_prove_little():
    assert nearest.bound([1.0] * 20, is_exact=False) < 0.9
    assert nearest.bound([1.0] * 1_000, is_exact=False) > 0.99
    assert nearest.bound([1.0] * 20, is_exact=True) == 1.0


def test_where_no_way_will_do_nothing_is_written(embedder, capsys):
    before = TOML.read_bytes()
    assert gate("--write", "--min-recall", "1") == 1
    assert "no way that was tried will do" in capsys.readouterr().out
    assert TOML.read_bytes() == before


@pytest.mark.parametrize(("rows", "word", "code"), [(3, "PASS", 0), (2, "INCONCLUSIVE", 1)])
def test_a_corpus_that_has_outgrown_its_choice_asks_for_another(embedder, rows, word, code):
    choose(index="flat", rows=rows)  # of four passages
    assert gate() == code
    assert told()["verdict"]["word"] == word


def test_as_many_searches_run_at_once_as_were_asked_for():
    together = threading.Barrier(4, timeout=5)
    found, _, p95_ms = nearest.timed(lambda one: together.wait() >= 0 and one, [1, 2, 3, 4], 4)
    assert found == [1, 2, 3, 4]
    assert p95_ms > 0


def test_the_page_needs_nothing_from_elsewhere_and_marks_the_choice(embedder):
    assert gate() == 0
    page = Path("var/reports/retrieval.html").read_text(encoding="utf-8")
    assert 'class="best"' in page
    assert "cheapest: </tspan>flat" in page
    assert not [word for word in ("http", "<script", "<link", "src=") if word in page]


WAYS = {"quick": {"index": "hnsw", "ef": 64}, "refined": {"index": "flat", "dims": 16, "rerank": 50}}


@pytest.mark.parametrize("kind", WAYS)
async def test_a_choice_is_served_and_finds_what_comparing_all_finds(embedder, kind):
    for number in range(12):  # no two of them are equally near
        kit.write(f"pages/p{number}.md", f"# P{number}\n\n{'sun ' * number + 'rain ' * (11 - number)}\n")
    own_page("acme", "terms", "# Terms\n\nSun, then rain and rain and rain.\n")
    before = [await search(embedder, tenant, "exact") for tenant in ("acme", "other")]
    encoded = len(embedder.texts)
    choose(**WAYS[kind])
    assert [await search(embedder, tenant, kind) for tenant in ("acme", "other")] == before
    assert "~/terms" in before[0]
    assert "~/terms" not in before[1]
    assert len(embedder.texts) == encoded  # a new way takes the vectors that there are


async def search(embedder: Embedder, tenant: str, kind: str) -> list[str]:
    """The pages that a tenant's search finds, best first, by this kind of neighbours."""
    await index()
    plan = services.plan(settings.load())
    (source,) = plan.sources()

    async def known(texts: list[str]) -> list[bytes]:
        return [embedder.packed(text) for text in texts]

    encoder = Encoder("e", plan.registry.models["e"], known, plan.settings)
    library = Library({"e": encoder}, Answers(""))
    found = await library.search(source.of(tenant), "sun and rain rain rain", 5, "", 0)
    corpus = library.held[source].index
    assert isinstance(corpus, Index)
    assert corpus.vectors.__qualname__.startswith(kind)
    library.close()
    return [passage.page for passage in found.passages]
