"""The search: words and vectors, shared pages and a tenant's own, in indexes that change meanwhile."""

import asyncio
from pathlib import Path

import pytest

from app import library, services, settings
from app.library import Library
from app.shelf import Source
from tests import kit
from tests.embedder import own_page

BILL = {"question": "When must I pay a bill?"}  # no word of the page that answers it
TERMS = "# Terms\n\nThe discount of Acme is eleven percent.\n"
DISCOUNT = {"question": "How large is the discount?"}


async def found(site: kit.Site, question: str, tenant: str = "") -> list[str]:
    """The pages that are found, best first."""
    plan = site.held.plan
    source = plan.source(plan.features["ask"].spec.retrieval, tenant)
    said = await site.held.library.search(source, question, 3, tenant, 60)
    return [passage.page for passage in said.passages]


async def test_vectors_find_what_no_word_finds(embedder):
    async with kit.site() as site:
        assert (await found(site, "bill"))[0] == "invoices"


async def test_without_an_encoder_words_find_alone(site):
    assert await found(site, "bill") == []
    assert await found(site, "invoice") == ["invoices", "invoices"]


async def test_a_new_index_is_looked_for_once_however_many_ask(site, monkeypatch):
    looked = []
    monkeypatch.setattr(library, "changed", lambda source: looked.append(source) or 0)
    await asyncio.gather(*(found(site, "invoice", "acme") for _ in range(20)))
    assert len(looked) == 2


async def test_what_both_rankings_have_comes_first(embedder):
    kit.write("pages/court.md", "# Court\n\nCourt court court court.\n")
    async with kit.site() as site:
        assert (await found(site, "backup at two in the night"))[0] == "backups"
        assert len(set(await found(site, "court bill"))) > 1


@pytest.mark.parametrize("status", [500, 429, 401])
async def test_an_encoder_that_is_down_leaves_words_alone_and_a_flag(embedder, status):
    async with kit.site() as site:
        embedder.status = status
        said = await site.post("ask", kit.QUESTION)
        assert said.status_code == 200
        assert [row.flags for row in await site.rows()] == [["words-only"]]
        metrics = (await site.http.get("/metrics")).text
    assert 'app_guard_flags_total{feature="ask",flag="words-only"} 1.0' in metrics


async def test_the_same_question_is_encoded_once(embedder):
    async with kit.site() as site:
        indexed = len(embedder.texts)
        for _ in range(3):
            assert (await site.post("ask", kit.QUESTION)).status_code == 200
        assert embedder.texts[indexed:] == [kit.QUESTION["question"]]


@pytest.mark.parametrize(("shared", "times"), [("false", 2), ("true", 1)])
async def test_a_question_is_encoded_for_each_tenant_unless_answers_are_shared(embedder, shared, times):
    kit.edit("features/ask/feature.toml", "cache_ttl_s = 60", f"cache_ttl_s = 60\nshared_cache = {shared}")
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        indexed = len(embedder.texts)
        for key in [*(await keys(site)).values()] * 2:
            assert (await site.post("ask", kit.QUESTION, key)).status_code == 200
    assert len(embedder.texts) - indexed == times


async def test_personal_data_never_reaches_the_encoder(embedder):
    async with kit.site() as site:
        indexed = len(embedder.texts)
        await site.post("ask", {"question": "When does jane@example.com pay an invoice?"})
    assert len(embedder.texts) == indexed + 1
    assert "jane@example.com" not in embedder.texts[-1]


async def test_an_encoder_that_policy_forbids_stops_the_start(embedder):
    kit.edit("config/policy.toml", '"keyless", "openai-compatible"', '"keyless"')
    with pytest.raises(services.ConfigError, match=r"retrieval\.embeddings: 'e': provider"):
        services.plan(settings.load())


@pytest.fixture
def two_tenants(project):
    """Acme has a page of its own, the other tenant has another."""
    own_page("acme", "terms", TERMS)
    own_page("other", "terms", "# Terms\n\nThe discount of the other one is three percent.\n")


async def test_a_tenant_finds_its_own_pages_beside_the_shared_ones(two_tenants):
    async with kit.site() as site:
        assert await found(site, "discount invoice", "acme") == ["~/terms", "invoices", "invoices"]


async def test_no_tenant_finds_the_page_of_another(two_tenants):
    async with kit.site() as site:
        for tenant in ("", "third", "acme", "other"):
            plan = site.held.plan
            source = plan.source(plan.features["ask"].spec.retrieval, tenant)
            said = await site.held.library.search(source, "discount percent Acme other", 9, "", 0)
            texts = [passage.text for passage in said.passages if passage.page == "~/terms"]
            assert len(texts) == (tenant in ("acme", "other"))
            assert not [text for text in texts if ("Acme" in text) != (tenant == "acme")]


async def keys(site: kit.Site) -> dict[str, str]:
    """Two tenants with a key each."""
    from app import tenants

    config, made = site.held.plan.settings, {}
    for name in ("acme", "other"):
        await tenants.add(site.held.engine, name, name, None)
        made[name] = await tenants.create_key(site.held.engine, config, name)
    return made


async def test_a_tenants_page_is_read_by_that_tenant_alone(two_tenants):
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        texts = {}
        for name, key in (await keys(site)).items():
            headers = {"Authorization": f"Bearer {key}"}
            texts[name] = (await site.http.get("/v1/pages/ask/~/terms", headers=headers)).json()["text"]
            for path in ("~/../../other/pages/terms", "~/..%2F..%2Fother%2Fpages%2Fterms", "terms"):
                assert (await site.http.get(f"/v1/pages/ask/{path}", headers=headers)).status_code == 404
    assert "Acme" in texts["acme"]
    assert "Acme" not in texts["other"]


async def test_an_answer_from_a_tenants_own_page_is_never_shared(two_tenants):
    kit.edit("features/ask/feature.toml", "cache_ttl_s = 60", "cache_ttl_s = 60\nshared_cache = true")
    own_page("other", "terms", TERMS)
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        cached = []
        for name, key in (await keys(site)).items():
            own = await site.post("ask", DISCOUNT, key)
            shared = await site.post("ask", {"question": "Is a hotel in second class?"}, key)
            cached += [(name, own.json()["meta"]["cached"], shared.json()["meta"]["cached"])]
    assert cached == [("acme", False, False), ("other", False, True)]


async def test_a_rebuilt_index_is_noticed_without_a_restart(two_tenants, monkeypatch):
    monkeypatch.setattr(library, "CHECK_S", -1)
    async with kit.site() as site:
        assert await found(site, "parking", "acme") == []
        page = own_page("acme", "parking", "# Parking\n\nParking is free.\n")
        await services.index(site.held.plan, "acme", lambda *_: None)
        assert await found(site, "parking", "acme") == ["~/parking"]
        kit.write(page, "")
        await services.index(site.held.plan, "acme", lambda *_: None)
        assert await found(site, "parking", "acme") == []


async def test_an_app_keeps_the_index_of_its_own_corpus(project, monkeypatch):
    monkeypatch.setattr(library, "CHECK_S", -1)
    async with kit.site() as site:
        kit.edit("pages/travel.md", "A hotel", "A hostel")
        await services.index(site.held.plan, "", lambda *_: None)  # as the next release does
        kit.edit("pages/travel.md", "A hostel", "A hotel")
        assert await found(site, "hotel") == ["travel"]


async def test_new_pages_make_a_new_answer(site, monkeypatch):
    monkeypatch.setattr(library, "CHECK_S", -1)
    first = (await site.post("ask", kit.QUESTION)).json()
    kit.edit("pages/invoices.md", "fourteen days", "thirty days")
    await services.index(site.held.plan, "", lambda *_: None)
    second = (await site.post("ask", kit.QUESTION)).json()
    assert "fourteen" in first["output"]["answer"]
    assert "thirty" in second["output"]["answer"]
    assert not second["meta"]["cached"]


async def test_the_longest_unused_index_is_closed(two_tenants, monkeypatch):
    monkeypatch.setattr(library, "MAX_OPEN", 3)
    await services.index(services.plan(settings.load()), "", lambda *_: None)
    opened = Library({}, None)
    sources = [Source(Path("pages"), Path("var"), tenant=tenant) for tenant in ("acme", "other", "")]
    connection = (await opened.index(sources[0])).connection
    for source in (*sources[1:], Source(Path("pages"), Path("var"), tenant="third")):
        await opened.index(source)
    assert len(opened.held) == 3
    with pytest.raises(library.sqlite3.ProgrammingError, match="closed"):
        connection.execute("select 1")


async def test_the_app_does_not_start_on_an_index_of_other_pages(project):
    plan = services.plan(settings.load(auth="open"))
    await services.setup(plan)
    kit.edit("pages/travel.md", "ninety", "eighty")
    with pytest.raises(services.ConfigError, match=r"pages: has no index for its present pages: .*app setup"):
        await services.rehearse(plan)
