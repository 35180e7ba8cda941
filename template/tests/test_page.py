"""The page at / and what it asks for."""

import re

import pytest

from app import page
from tests import kit


@pytest.fixture
async def said(site):
    """The page as a browser gets it."""
    return await site.http.get("/")


async def test_the_page_forbids_every_other_host_and_inline_code(said):
    policy = said.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


async def test_the_page_names_only_files_that_are_served(site, said):
    named = re.findall(r'(?:src|href)="(/static/[^"]+)"', said.text)
    assert len(named) == 4
    for name in named:
        assert (await site.http.get(name)).status_code == 200


async def test_the_page_holds_no_inline_script_style_or_foreign_address(said):
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=|https?://", said.text)


@pytest.mark.parametrize("name", ["../web.py", "..%2Fweb.py", "nothing.js"])
async def test_only_the_pages_own_files_are_served(site, name):
    assert (await site.http.get(f"/static/{name}")).status_code == 404


async def test_features_come_with_their_schema(site):
    content = (await site.http.get("/v1/features")).json()
    ask = next(feature for feature in content["features"] if feature["name"] == "ask")
    assert "question" in ask["input"]["properties"]
    assert ask["summary"]


async def test_a_cited_page_can_be_read(site):
    answer = (await site.post("ask", kit.QUESTION)).json()
    cited = answer["output"]["citations"][0] if "citations" in answer["output"] else {"page": "invoices"}
    said = await site.http.get(f"/v1/pages/ask/{cited['page']}")
    assert said.status_code == 200
    assert said.json()["text"].startswith("#")


@pytest.mark.parametrize("name", ["..%2F..%2Fconfig%2Fapp", "%2Fetc%2Fpasswd", "nothing", "invoices.md"])
async def test_no_other_file_can_be_read_as_a_page(site, name):
    assert (await site.http.get(f"/v1/pages/ask/{name}")).status_code == 404


async def test_a_page_needs_the_key_that_its_feature_needs(project):
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        assert (await site.http.get("/v1/pages/ask/invoices")).status_code == 401


def test_every_language_of_the_page_has_every_word():
    script = (page.STATIC / "words.js").read_text(encoding="utf-8")
    parts = re.split(r"\n  (en|de|es): \{", script)[1:]
    words = {
        name: set(re.findall(r"\b([a-z]\w*): \"", body))
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
    assert set(words) == {"en", "de", "es"}
    assert words["en"] == words["de"] == words["es"]
