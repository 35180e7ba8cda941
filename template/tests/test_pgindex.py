"""Indexes in PostgreSQL: what files find is found there, by the same tenants, and nothing is half there.

They need an empty PostgreSQL with pgvector: TEST_INDEX_URL=postgresql://... names it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import text as sql

from app import library, pgindex, retrieve, services, settings
from app.errors import ConfigError, EncoderDown, Unavailable
from app.shelf import Source
from tests import embedder as embeddings
from tests import kit
from tests.embedder import own_page

URL = os.environ.get("TEST_INDEX_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="TEST_INDEX_URL names no PostgreSQL with pgvector")
QUESTIONS = [
    "When is an invoice due?",
    "What does a reminder cost?",
    "Which court gets an open invoice?",
    "How long are copies of a backup kept?",
    "What may a hotel cost a night?",
    "¿Cuándo vence la factura?",
    "Wann ist die Rechnung fällig?",
    "el hotel",
    "cafe",
]
PAGES = {
    "factura": "# La factura\n\nLa factura vence a los catorce días y no antes. El hotel se paga el mismo "
    "día en la recepción, con la tarjeta de la empresa y nunca con la tarjeta propia ni con otra.\n",
    "rechnung": "# Die Rechnung\n\nDie Rechnung ist nach vierzehn Tagen fällig.\n",
    "coffee": "# Coffee\n\nThe café at the corner sends one bill a month.\n",
}


@pytest.fixture
def store(embedder, monkeypatch):
    """An empty store; the project's indexes are published to it."""
    opened = pgindex.connect(URL)
    with opened.connected() as connection:
        connection.execute(sql("drop schema if exists retrieval cascade"))
    monkeypatch.setenv("APP_INDEX_URL", URL)
    opened.rests_s = 0.0
    return opened


def source(tenant: str = "") -> Source:
    """What the project searches."""
    plan = services.plan(settings.load())
    return plan.source(plan.features["ask"].spec.retrieval, tenant)


def opened(store, tenant=""):
    """The build that a search takes."""
    return store.choose(source(tenant), store.builds(source(tenant)))


async def found(site, question: str, tenant: str = "") -> list[str]:
    """The texts that the running app finds."""
    said = await site.held.library.search(source(tenant), question, 9, tenant, 0)
    return [passage.text for passage in said.passages]


async def test_words_and_vectors_find_what_they_find_in_files(store, embedder):
    for name, page in PAGES.items():
        kit.write(f"pages/{name}.md", page)
    (path,) = (await embeddings.index()).values()
    files, shared = retrieve.Index(path), opened(store)
    for question in QUESTIONS:
        vector = embedder.packed(question)
        assert files.words(question)[:1] == shared.words(question)[:1]
        assert {*files.words(question)} == {*shared.words(question)}
        assert [row for _, row in files.near(vector)] == [row for _, row in shared.near(vector)]
        assert retrieve.search([files], question, vector, 1) == retrieve.search([shared], question, vector, 1)


@pytest.mark.parametrize("said", ["'", "\\", "invoice' | 'x", "a:*", "!invoice", "\0", "y" * 5000, ""])
async def test_a_question_holds_only_words(store, said):
    (path,) = (await embeddings.index()).values()
    assert {*opened(store).words(said)} == {*retrieve.Index(path).words(said)}


async def test_a_page_with_a_nul_and_an_endless_word_is_taken(store):
    kit.write("pages/odd.md", f"# Odd\n\nBefore\0after. {'z' * 5000}\n")
    await embeddings.index()
    (row,) = opened(store).words("odd")
    assert "Before�after" in opened(store).passages([row])[row].text


async def test_vectors_of_another_length_are_as_if_there_were_none(store, embedder):
    await embeddings.index()
    assert opened(store).near(embedder.packed("invoice"))
    with pytest.raises(EncoderDown, match="no vectors of this length"):
        opened(store).near(b"\0\0\x80?" * 3)


async def test_a_tenant_finds_its_own_pages_and_never_those_of_another(store):
    for tenant in ("acme", "beta"):
        own_page(tenant, "terms", f"# Terms\n\nThe discount of {tenant} is secret.\n")
    async with kit.site() as site:
        for tenant in ("", "third", "acme", "beta"):
            texts = await found(site, "discount secret acme beta", tenant)
            own = [f"The discount of {tenant} is secret."] if tenant in ("acme", "beta") else []
            assert [text for text in texts if "secret" in text] == own
    assert len(opened(store, "acme").words("acme")) == 1
    assert opened(store, "acme").words("beta") == []


async def test_a_page_that_is_gone_is_gone_at_once_and_searches_go_on(store, monkeypatch):
    own_page("acme", "terms", "# Terms\n\nThe discount is secret.\n")
    page = own_page("acme", "door", "# Door\n\nThe code of the door.\n")
    monkeypatch.setattr(library, "CHECK_S", 60)
    async with kit.site() as site:
        assert "The code of the door." in await found(site, "code door discount", "acme")
        page.unlink()
        await embeddings.index("acme")
        texts = await found(site, "code door discount", "acme")
    assert "The discount is secret." in texts
    assert "The code of the door." not in texts
    assert len(store.builds(source("acme"))) == 1


async def test_a_tenants_index_goes_with_its_last_page(store):
    page = own_page("acme", "terms", "# Terms\n\nThe discount is secret.\n")
    await embeddings.index()
    page.unlink()
    await embeddings.index()  # as on a machine that never had it
    assert len(store.builds(source("acme"))) == 1
    await embeddings.index("acme")
    with store.connected() as connection:
        homes = connection.execute(sql("select home from retrieval.build")).scalars().all()
        left = connection.execute(sql("select count(*) from retrieval.passage where body like '%secret%'"))
        assert left.scalar() == 0
    assert [home.split("/")[0] for home in homes] == ["_shared"]


async def test_the_last_builds_of_a_corpus_stay_for_an_older_release(store):
    names = []
    for price in ("eighty", "seventy", "seventy", "sixty"):
        kit.write("pages/travel.md", f"# Travel\n\nA hotel may cost {price} euros.\n")
        names += [path.stem for path in (await embeddings.index()).values()]
    assert [build.name for build in store.builds(source())] == [names[3], names[1]]
    kit.write("pages/travel.md", "# Travel\n\nA hotel may cost seventy euros.\n")
    assert opened(store).build == store.builds(source())[1].id


async def test_an_index_of_a_way_that_is_gone_longer_is_removed(store):
    sources = []
    for pin in "123":
        kit.edit("config/models.toml", 'revision = "', f'revision = "{pin}')
        await embeddings.index()
        sources.append(source())
    assert [len(store.builds(one)) for one in sources] == [0, 1, 1]


async def test_a_machine_without_index_files_finds_what_another_published(store):
    await embeddings.index()
    shutil.rmtree("var/index")
    assert services.unindexed(services.plan(settings.load())) == []
    kit.edit("pages/travel.md", "ninety", "eighty")
    (fault,) = services.unindexed(services.plan(settings.load()))
    assert "has no index for its present pages" in str(fault)


async def test_what_is_read_of_a_build_that_is_gone_is_never_taken(store):
    await embeddings.index()
    index = opened(store)
    assert index.passages([]) == {}
    with store.connected() as connection:
        connection.execute(sql("delete from retrieval.build"))
    assert index.words("invoice") == []
    with pytest.raises(Unavailable, match="replaced"):
        index.passages([])


WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%vector%'"
COMMAND = "import sys; from app.cli import main; sys.argv = ['app', 'index']; main()"


def kill_in_a_build(store) -> None:
    """Start `app index` and kill it when its passages are written and its vectors wait for our lock."""
    environment = {**os.environ, "PYTHONPATH": str(kit.ROOT)}
    with store.connected("READ COMMITTED") as ours, store.connected() as other:
        ours.execute(sql("lock table retrieval.vector in share mode"))
        process = subprocess.Popen([sys.executable, "-c", COMMAND], env=environment)
        ends = time.monotonic() + 30
        while not other.execute(sql(WAITING)).scalar() and time.monotonic() < ends:
            time.sleep(0.1)
        assert other.execute(sql(WAITING)).scalar() == 1
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)


async def test_a_build_that_is_killed_before_its_commit_leaves_the_old_one(store):
    await embeddings.index()
    before = store.builds(source())
    kit.edit("pages/travel.md", "ninety", "eighty")
    kill_in_a_build(store)
    assert store.builds(source()) == before
    hotel = "What may a hotel cost?"
    assert "ninety" in retrieve.search([opened(store)], hotel, b"", 1)[0].text
    await embeddings.index()
    assert "eighty" in retrieve.search([opened(store)], hotel, b"", 1)[0].text


async def test_without_postgres_an_answer_is_503_and_the_next_one_is_right(store):
    async with kit.site() as site:
        away = pgindex.Store(f"postgresql://app@127.0.0.1:{kit.free_port()}/postgres")
        with pytest.raises(Unavailable, match="index_url is away"):
            away.builds(source())
        site.held.library.store, here = away, site.held.library.store
        said = await site.post("ask", kit.QUESTION)
        assert (said.status_code, said.headers["Retry-After"]) == (503, "5")
        assert said.json()["code"] == "unavailable"
        site.held.library.store = here
        assert (await site.post("ask", kit.QUESTION)).status_code == 200


@pytest.mark.parametrize(
    "url", ["sqlite:///x.db", "redis://host", "nonsense", "postgresql://u:" + "secret@host:port/x"]
)
def test_a_url_of_something_else_is_named(url):
    with pytest.raises(ConfigError, match=r"index_url: \w+; write postgresql://") as refused:
        pgindex.connect(url)
    assert "secret" not in str(refused.value)
