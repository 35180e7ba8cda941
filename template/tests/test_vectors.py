"""The nearest vectors: all compared, or found by a graph."""

import os
import subprocess
import sys

import pytest

from app import retrieve, vectors
from app.errors import EncoderDown
from tests import kit
from tests.embedder import choose, index


def needs_usearch() -> None:
    """Skip where the package is missing; imported by the app's own way, as the order of imports matters."""
    try:
        vectors.usearch()
    except ImportError:
        pytest.skip("uv sync --extra vectors")


async def test_a_graph_stands_in_for_many_vectors_and_finds_the_same(embedder, monkeypatch):
    needs_usearch()
    exact = retrieve.Index(next(iter((await index()).values())))
    monkeypatch.setattr(vectors, "EXACT_ROWS", 2)
    kit.write("pages/more.md", "# More\n\nAnother page.\n")
    (path,) = (await index()).values()
    assert path.with_suffix(".graph").exists()
    graph = retrieve.Index(path)
    assert graph.vectors.__qualname__.startswith("quick")
    for said in ("an invoice is due", "the backup at night", "a hotel"):
        asked = embedder.packed(said)
        best = [list(index.passages([index.near(asked)[0][1]]).values()) for index in (exact, graph)]
        assert best[0] == best[1]
        assert graph.near(asked)[0][0] == pytest.approx(exact.near(asked)[0][0], abs=0.01)


@pytest.mark.parametrize("damage", ["torn", "empty", "not installed"])
async def test_without_its_graph_an_index_compares_every_vector(embedder, monkeypatch, damage):
    needs_usearch()
    monkeypatch.setattr(vectors, "EXACT_ROWS", 2)
    (path,) = (await index()).values()
    graph = path.with_suffix(".graph")
    if damage == "not installed":
        monkeypatch.setitem(sys.modules, "usearch.index", None)
    else:
        graph.write_bytes(graph.read_bytes()[: 500 if damage == "torn" else 0])
    assert retrieve.Index(path).vectors.__qualname__.startswith("exact")


async def test_without_usearch_no_graph_is_built(embedder, monkeypatch):
    monkeypatch.setattr(vectors, "EXACT_ROWS", 2)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    (path,) = (await index()).values()
    assert not path.with_suffix(".graph").exists()
    assert retrieve.Index(path).vectors.__qualname__.startswith("exact")


def test_a_graph_and_an_onnx_encoder_live_in_one_process():
    needs_usearch()
    pytest.importorskip("onnxruntime", reason="uv sync --extra onnx")
    program = "from app import vectors; vectors.usearch(); import onnxruntime"
    environment = {**os.environ, "PYTHONPATH": str(kit.ROOT)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


async def test_a_question_of_another_length_is_told_to_index_again(embedder):
    (path,) = (await index()).values()
    with pytest.raises(EncoderDown, match=r"has 2 numbers, the index 256; .*uv run app index"):
        retrieve.Index(path).near(b"12345678")


WAYS = [
    {"index": "flat"},
    {"index": "hnsw", "ef": 64},
    {"index": "flat", "dims": 16, "rerank": 50},
    {"index": "hnsw", "ef": 64, "dims": 16, "rerank": 50},
    {"index": "flat", "dims": 16, "rerank": 50, "cut": "first"},
    {"index": "flat", "dims": 900},  # more than there are
]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_way_that_was_chosen_finds_what_comparing_all_finds(embedder, way):
    needs_usearch()
    for number in range(60):
        said = f"The text {number} speaks of {number % 7} and {number % 11}."
        kit.write(f"pages/p{number}.md", f"# P{number}\n\n{said}\n")
    asked = embedder.packed("text 37 speaks of 3")
    exact = [cosine for cosine, _ in (await served()).near(asked)[:10]]
    chosen = [cosine for cosine, _ in (await served(**way)).near(asked)[:10]]
    # A graph is built by several threads: once in a hundred builds it misses one.
    assert sum(cosine > exact[-1] - 0.002 for cosine in chosen) >= 9


async def test_few_axes_without_a_second_look_find_less(embedder):
    for number in range(60):
        kit.write(f"pages/p{number}.md", f"# P{number}\n\nThe text {number} speaks of {number % 7}.\n")
    asked = embedder.packed("text 37 speaks of 3")
    exact = {row for _, row in (await served()).near(asked)[:10]}
    assert {row for _, row in (await served(index="flat", dims=2)).near(asked)[:10]} != exact


async def served(**way: object) -> retrieve.Index:
    """The index of the project's pages, built and opened in this way."""
    choose(**way)
    ((source, path),) = (await index()).items()
    return retrieve.Index(path, source.nearest)
