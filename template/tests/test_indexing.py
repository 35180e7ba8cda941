"""The build of an index: only what is new is encoded, and it appears whole or not at all."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import cli, indexing, retrieve, services, settings, shelf
from app.errors import ConfigError, EncoderDown
from app.shelf import Source
from tests import kit
from tests.embedder import index, own_page

WORDS = Source(Path("pages"), Path("var"))


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
    await index()
    assert len(embedder.texts) == 4
    kit.edit("pages/travel.md", "ninety euros", "a hundred euros")
    await index()
    assert embedder.texts[4:] == [
        "Travel\nTravel\nTrains are booked in second class. A hotel may cost a hundred euros a night."
    ]


async def test_the_same_passage_is_encoded_once(embedder):
    for name in ("one", "two"):
        kit.write(f"pages/{name}.md", "# Same\n\nThe same words.\n")
    (path,) = (await index()).values()
    assert embedder.texts.count("Same\nSame\nThe same words.") == 1
    assert len(retrieve.Index(path).near(embedder.packed("same words"))) == 6


async def test_another_model_encodes_everything_again_in_an_index_of_its_own(embedder):
    before = set((await index()).values())
    kit.edit("config/models.toml", 'revision = "1"', 'revision = "2"')
    after = set((await index()).values())
    assert len(embedder.texts) == 8
    assert before.isdisjoint(after)
    assert all(path.exists() for path in before)  # an older release may still search in it


async def test_an_index_of_a_way_that_is_gone_longer_is_removed(embedder):
    homes: list[Path] = []
    for pin in "123":
        kit.edit("config/models.toml", 'revision = "', f'revision = "{pin}')
        homes += [path.parent for path in (await index()).values()]
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
        await index()
    embedder.left = 9
    (path,) = (await index()).values()
    assert len(set(embedder.texts)) == 4
    assert len(embedder.texts) == 5  # the one that failed is asked for again
    assert {file.suffix for file in path.parent.iterdir()} <= {".db", ""}


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\0" * 5000])
async def test_whatever_a_dead_build_left_does_no_harm(embedder, content):
    (path,) = (await index()).values()
    path.with_suffix(".tmp").write_bytes(content)
    kit.edit("pages/travel.md", "ninety", "eighty")
    (path,) = (await index()).values()
    assert len(embedder.texts) == 5
    assert retrieve.Index(path).size == 4


async def test_a_page_that_is_not_utf8_is_named(project):
    (Path("pages") / "bad.md").write_bytes(b"# Bad\n\n\xff")
    with pytest.raises(ConfigError, match=r"bad.md: not UTF-8"):
        await words()


async def test_vectors_of_another_length_are_refused(embedder):
    await index()
    embedder.width = 64
    kit.edit("pages/travel.md", "ninety", "eighty")
    with pytest.raises(EncoderDown, match="give it a revision"):
        await index()


async def test_a_tenants_index_goes_with_its_pages(project):
    page = own_page("acme", "terms", "# Terms\n\nAcme pays after thirty days.\n")
    (path,) = (await index("acme")).values()
    remove(page)
    assert await index("acme") == {}
    assert not path.parent.exists()


async def test_a_tenants_page_that_is_gone_leaves_no_older_index(project):
    own_page("acme", "terms", "# Terms\n\nAcme pays after thirty days.\n")
    page = own_page("acme", "secret", "# Secret\n\nThe door code.\n")
    await index()
    remove(page)
    await index()
    assert "door code" not in contents(Path("var/index/acme"))


def contents(folder: Path) -> str:
    """All that the files below a folder hold."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "".join(path.read_bytes().decode("utf-8", "ignore") for path in files)


def remove(page: Path) -> None:
    """Delete a page."""
    page.unlink()


def test_index_builds_the_pages_of_one_tenant(project, capsys):
    own_page("acme", "terms", "# Terms\n\nAcme pays after thirty days.\n")
    own_page("other", "terms", "# Terms\n\nThe other one pays at once.\n")
    with pytest.raises(SystemExit):
        cli.cli(["index", "--tenant", "acme"])
    assert capsys.readouterr().out.startswith("var/documents/acme/pages: 1 pages in var/index/acme/pages-")
    assert [folder.name for folder in Path("var/index").iterdir()] == ["acme"]


COMMAND = "import sys; from app.cli import main; sys.argv = ['app', 'index']; main()"


@pytest.mark.slow
async def test_a_build_that_is_killed_again_and_again_leaves_the_old_index_and_ends_at_last(embedder):
    (old,) = (await index()).values()
    for n in range(60):
        kit.write(f"pages/p{n}.md", f"# Page {n}\n\nThe text number {n} of many.\n")
    embedder.pause_s, begun, kills = 0.02, len(embedder.texts), 6
    for _ in range(kills):
        kill_in_a_build(random.uniform(0.0, 0.3))
        assert retrieve.search([retrieve.Index(shelf.newest(source()))], "When is an invoice due?", b"", 1)
    embedder.pause_s = 0
    (path,) = (await index()).values()
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
