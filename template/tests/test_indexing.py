"""The build of an index: only what is new is encoded, and it appears whole or not at all."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import cli, indexing, retrieve, services, settings, shelf, vectors
from app.errors import ConfigError, EncoderDown
from app.shelf import Source
from tests import kit

WORDS = Source(Path("pages"), Path("var"))


@pytest.fixture
def embedder(project):
    """The project searches with the vectors of this server."""
    pytest.importorskip("numpy", reason="uv sync --extra vectors")
    served = kit.Embedder()
    with kit.serve(served.app) as url:
        kit.encoder(url)
        yield served


async def build(tenant: str = "") -> dict[Source, Path]:
    """Build every index of the project, or one tenant's."""
    return await services.index(services.plan(settings.load()), tenant, lambda *_: None)


async def words() -> Path:
    """Build the index of the pages, of words alone."""
    built = await indexing.build(WORDS, None, lambda *_: None)
    assert built
    return built


async def test_building_again_writes_nothing(project):
    path = await words()
    before = path.read_bytes()
    assert await words() == path
    assert path.read_bytes() == before


async def test_only_new_passages_are_encoded(embedder):
    await build()
    assert len(embedder.texts) == 4
    kit.edit("pages/travel.md", "ninety euros", "a hundred euros")
    await build()
    assert embedder.texts[4:] == [
        "Travel\nTravel\nTrains are booked in second class. A hotel may cost a hundred euros a night."
    ]


async def test_the_same_passage_is_encoded_once(embedder):
    for name in ("one", "two"):
        kit.write(f"pages/{name}.md", "# Same\n\nThe same words.\n")
    (path,) = (await build()).values()
    assert embedder.texts.count("Same\nSame\nThe same words.") == 1
    assert retrieve.Index(path).near(vector(embedder, "same words"))[1][0] > 0.5


async def test_another_model_encodes_everything_again_in_an_index_of_its_own(embedder):
    before = set((await build()).values())
    kit.edit("config/models.toml", 'revision = "1"', 'revision = "2"')
    after = set((await build()).values())
    assert len(embedder.texts) == 8
    assert before.isdisjoint(after)
    assert all(path.exists() for path in before)  # an older release may still search in it


async def test_an_index_of_a_way_that_is_gone_longer_is_removed(embedder):
    homes: list[Path] = []
    for pin in "123":
        kit.edit("config/models.toml", 'revision = "', f'revision = "{pin}')
        homes += [path.parent for path in (await build()).values()]
    assert [home.exists() for home in homes] == [False, True, True]


async def test_the_last_index_but_one_stays_and_older_ones_go(project):
    built = []
    for price in ("ninety", "eighty", "seventy", "sixty"):
        kit.write("pages/travel.md", f"# Travel\n\nA hotel may cost {price} euros.\n")
        built.append(await words())
    assert [path.exists() for path in built] == [False, False, True, True]


async def test_a_dead_builds_vectors_are_taken_and_its_files_removed(embedder, monkeypatch):
    monkeypatch.setenv("APP_EMBED_BATCH", "1")
    embedder.left = 3
    with pytest.raises(EncoderDown, match="'e' failed: HTTPStatusError 503"):
        await build()
    embedder.left = 9
    (path,) = (await build()).values()
    assert len(set(embedder.texts)) == 4
    assert len(embedder.texts) == 5  # the one that failed is asked for again
    assert {file.suffix for file in path.parent.iterdir()} <= {".db", ""}


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\0" * 5000])
async def test_whatever_a_dead_build_left_does_no_harm(embedder, content):
    (path,) = (await build()).values()
    path.with_suffix(".tmp").write_bytes(content)
    kit.edit("pages/travel.md", "ninety", "eighty")
    (path,) = (await build()).values()
    assert len(embedder.texts) == 5
    assert retrieve.Index(path).size == 4


async def test_a_page_that_is_not_utf8_is_named(project):
    (Path("pages") / "bad.md").write_bytes(b"# Bad\n\n\xff")
    with pytest.raises(ConfigError, match=r"bad.md: not UTF-8"):
        await words()


async def test_vectors_of_another_length_are_refused(embedder):
    await build()
    embedder.width = 64
    kit.edit("pages/travel.md", "ninety", "eighty")
    with pytest.raises(EncoderDown, match="give it a revision"):
        await build()


async def test_a_tenants_index_goes_with_its_pages(project):
    page = kit.own_page("acme", "terms", "# Terms\n\nAcme pays after thirty days.\n")
    (path,) = (await build("acme")).values()
    remove(page)
    assert await build("acme") == {}
    assert not path.parent.exists()


async def test_a_tenants_page_that_is_gone_leaves_no_older_index(project):
    kit.own_page("acme", "terms", "# Terms\n\nAcme pays after thirty days.\n")
    page = kit.own_page("acme", "secret", "# Secret\n\nThe door code.\n")
    await build()
    remove(page)
    await build()
    assert "door code" not in contents(Path("var/index/acme"))


def contents(folder: Path) -> str:
    """All that the files below a folder hold."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "".join(path.read_bytes().decode("utf-8", "ignore") for path in files)


def remove(page: Path) -> None:
    """Delete a page."""
    page.unlink()


def test_index_builds_the_pages_of_one_tenant(project, capsys):
    kit.own_page("acme", "terms", "# Terms\n\nAcme pays after thirty days.\n")
    kit.own_page("other", "terms", "# Terms\n\nThe other one pays at once.\n")
    with pytest.raises(SystemExit):
        cli.cli(["index", "--tenant", "acme"])
    assert capsys.readouterr().out.startswith("var/documents/acme/pages: 1 pages in var/index/acme/pages-")
    assert [folder.name for folder in Path("var/index").iterdir()] == ["acme"]


def vector(embedder: kit.Embedder, said: str) -> bytes:
    """What the server says of a text, as the app keeps it."""
    from app import embed

    return embed.unit([embedder.vector(said)])[0]


def needs_usearch() -> None:
    """Skip where the package is missing; imported by the app's own way, as the order of imports matters."""
    try:
        vectors.usearch()
    except ImportError:
        pytest.skip("uv sync --extra vectors")


async def test_a_graph_stands_in_for_many_vectors_and_finds_the_same(embedder, monkeypatch):
    needs_usearch()
    exact = retrieve.Index(next(iter((await build()).values())))
    monkeypatch.setattr(vectors, "EXACT_ROWS", 2)
    kit.write("pages/more.md", "# More\n\nAnother page.\n")
    (path,) = (await build()).values()
    assert path.with_suffix(".graph").exists()
    graph = retrieve.Index(path)
    assert graph.vectors.__qualname__.startswith("quick")
    for said in ("an invoice is due", "the backup at night", "a hotel"):
        asked = vector(embedder, said)
        best = [index.passage(index.near(asked)[0][1]) for index in (exact, graph)]
        assert best[0] == best[1]
        assert graph.near(asked)[0][0] == pytest.approx(exact.near(asked)[0][0], abs=0.01)


@pytest.mark.parametrize("damage", ["torn", "empty", "not installed"])
async def test_without_its_graph_an_index_compares_every_vector(embedder, monkeypatch, damage):
    needs_usearch()
    monkeypatch.setattr(vectors, "EXACT_ROWS", 2)
    (path,) = (await build()).values()
    graph = path.with_suffix(".graph")
    if damage == "not installed":
        monkeypatch.setitem(sys.modules, "usearch.index", None)
    else:
        graph.write_bytes(graph.read_bytes()[: 500 if damage == "torn" else 0])
    assert retrieve.Index(path).vectors.__qualname__.startswith("exact")


async def test_without_usearch_no_graph_is_built(embedder, monkeypatch):
    monkeypatch.setattr(vectors, "EXACT_ROWS", 2)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    (path,) = (await build()).values()
    assert not path.with_suffix(".graph").exists()
    assert retrieve.Index(path).vectors.__qualname__.startswith("exact")


def test_a_graph_and_an_onnx_encoder_live_in_one_process():
    needs_usearch()
    pytest.importorskip("onnxruntime", reason="uv sync --extra onnx")
    program = "from app import vectors; vectors.usearch(); import onnxruntime"
    environment = {**os.environ, "PYTHONPATH": str(kit.ROOT)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


async def test_a_question_of_another_length_is_told_to_index_again(embedder):
    (path,) = (await build()).values()
    with pytest.raises(EncoderDown, match=r"has 2 numbers, the index 256; .*uv run app index"):
        retrieve.Index(path).near(b"12345678")


COMMAND = "import sys; from app.cli import main; sys.argv = ['app', 'index']; main()"


async def test_a_build_that_is_killed_again_and_again_leaves_the_old_index_and_ends_at_last(embedder):
    (old,) = (await build()).values()
    for n in range(60):
        kit.write(f"pages/p{n}.md", f"# Page {n}\n\nThe text number {n} of many.\n")
    embedder.pause_s, begun, kills = 0.02, len(embedder.texts), 6
    for _ in range(kills):
        kill_in_a_build(random.uniform(0.0, 0.3))
        assert retrieve.search([retrieve.Index(shelf.newest(source()))], "When is an invoice due?", b"", 1)
    embedder.pause_s = 0
    (path,) = (await build()).values()
    assert path != old
    assert retrieve.Index(path).size == 64
    # Nothing is encoded twice but the call that was under way at each kill.
    assert 60 <= len(embedder.texts) - begun <= 60 + kills
    assert not list(path.parent.glob("*.tmp*"))


def source() -> Source:
    """What the project searches."""
    (found,) = services.plan(settings.load()).sources()
    return found


def kill_in_a_build(after_s: float) -> None:
    """Start `app index` and kill it so long after its first sign of life; it may have ended before."""
    before = {*Path("var/index").rglob("*")}
    environment = {**os.environ, "APP_EMBED_BATCH": "1", "PYTHONPATH": str(kit.ROOT)}
    command = subprocess.Popen([sys.executable, "-c", COMMAND], env=environment)
    while command.poll() is None and before == {*Path("var/index").rglob("*")}:
        time.sleep(0.01)
    time.sleep(after_s)
    command.send_signal(signal.SIGKILL)
    command.wait(timeout=10)
