"""Streams that live in the process: kept a while for who comes back, and no longer than that serves anybody."""

import asyncio

from tests import kit

SSE = {"Accept": "text/event-stream"}


async def test_a_stream_that_was_refused_is_not_kept(project):
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        for _ in range(20):
            assert (await site.http.post("/v1/note", json=kit.TEXT, headers=SSE)).status_code == 401
        await asyncio.sleep(0.05)
        assert site.held.streams == {}


async def test_a_stream_that_was_shown_is_kept_for_who_comes_back(site):
    name = (await site.stream("note", kit.TEXT))[0][1]["id"]
    assert list(site.held.streams) == [name]
