"""Requests that are taken now and answered later: named once, bounded, fair."""

import asyncio
import subprocess
import sys

import pytest

from app import jobs, tenants
from app.slots import Slot
from tests import kit, processes


async def test_a_request_for_later_is_taken_and_waits(site):
    said = await site.http.post("/v1/note", json=kit.TEXT, headers=processes.ASYNC)
    assert said.status_code == 202
    waiting = await site.http.get(said.headers["location"])
    assert (waiting.status_code, waiting.json()["state"]) == (202, "waiting")


async def test_the_same_idempotency_key_names_the_same_result(site):
    headers = {**processes.ASYNC, "Idempotency-Key": "order-7"}
    said = [await site.http.post("/v1/note", json=kit.TEXT, headers=headers) for _ in range(2)]
    assert said[0].json() == said[1].json()


@pytest.mark.parametrize(
    ("talk", "given"), [("", {"text": "Another text to note."}), ("?conversation_id=c1", kit.TEXT)]
)
async def test_an_idempotency_key_of_another_request_is_refused(site, talk, given):
    headers = {**processes.ASYNC, "Idempotency-Key": "order-7"}
    await site.http.post("/v1/note", json=kit.TEXT, headers=headers)
    said = await site.http.post(f"/v1/note{talk}", json=given, headers=headers)
    assert (said.status_code, said.json()["code"]) == (422, "invalid")
    assert "Idempotency-Key" in said.json()["detail"]
    assert [row.outcome for row in await site.rows()] == ["invalid"]


async def test_a_full_queue_is_429_and_says_when_to_come_back(project):
    async with kit.site(max_waiting_jobs=3) as site:
        said = [await site.http.post("/v1/note", json=kit.TEXT, headers=processes.ASYNC) for _ in range(5)]
    assert [r.status_code for r in said] == [202, 202, 202, 429, 429]
    assert said[-1].headers["retry-after"]


async def test_one_tenant_cannot_fill_the_queue_of_all(project):
    async with kit.site(auth="required", pepper=kit.PEPPER, tenant_waiting_jobs=2) as site:
        headers = [await processes.keyed(site, name) for name in ("one", "one", "one", "two")]
        said = [await site.http.post("/v1/note", json=kit.TEXT, headers=key) for key in headers]
    assert [r.status_code for r in said] == [202, 202, 429, 202]


async def test_a_refusal_to_take_a_request_leaves_one_row(project):
    async with kit.site(max_waiting_jobs=1) as site:
        for _ in range(2):
            await site.http.post("/v1/note", json=kit.TEXT, headers=processes.ASYNC)
        assert [(row.outcome, row.latency_ms > 0) for row in await site.rows()] == [("queue_full", True)]


async def test_a_name_that_was_refused_once_leaves_its_own_row_when_it_is_answered(site):
    headers, held = {**processes.ASYNC, "Idempotency-Key": "order-7"}, site.held
    held.queue.limit = 0
    assert (await site.http.post("/v1/note", json=kit.TEXT, headers=headers)).status_code == 429
    held.queue.limit = 1
    taken = await site.http.post("/v1/note", json=kit.TEXT, headers=headers)
    assert await jobs.delivered(held, taken.json()["id"])
    assert [row.outcome for row in await site.rows()] == ["queue_full", "ok"]


@pytest.mark.parametrize("more", [{}, processes.ASYNC, {"Accept": "text/event-stream"}])
@pytest.mark.parametrize(
    ("change", "outcome"), [({"budget_tokens": 0}, "over_budget"), ({"paused": True}, "not_allowed")]
)
async def test_what_is_refused_by_its_key_is_on_the_books_of_its_tenant(project, more, change, outcome):
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        key = (await processes.keyed(site, "acme"))["Authorization"]
        await tenants.change(site.held.engine, "acme", **change)
        said = await site.http.post("/v1/note", json=kit.TEXT, headers={"Authorization": key, **more})
        assert said.json()["code"] == outcome
        assert [(row.tenant_id, row.outcome) for row in await site.rows()] == [("acme", outcome)]


@pytest.mark.slow
async def test_a_name_whose_result_was_erased_is_answered_anew(project):
    headers, place = {**processes.ASYNC, "Idempotency-Key": "order-7"}, "/v1/note?conversation_id=c1"
    async with kit.site() as site:
        with processes.process("worker"):
            for _ in range(2):
                name = (await site.http.post(place, json=kit.TEXT, headers=headers)).json()["id"]
                assert (await processes.result(site.http, name)).status_code == 200
                assert (await site.http.delete("/v1/conversations/c1")).json() == {"erased": 1}


async def test_of_two_requests_that_take_a_name_at_once_one_is_refused(site):
    headers = {**processes.ASYNC, "Idempotency-Key": "order-7"}
    texts = [{"text": f"Text number {number} is long enough."} for number in range(2)]
    said = [site.http.post("/v1/note", json=text, headers=headers) for text in texts]
    assert sorted([one.status_code for one in await asyncio.gather(*said)]) == [202, 422]


@pytest.mark.slow
async def test_what_the_queue_has_done_is_taken_out_of_it(site, monkeypatch):
    from dbos import DBOS

    monkeypatch.setattr(jobs, "TIDY_EVERY_S", 0.5)
    async with jobs.work(site.held, Slot("worker-0")):
        name = (await site.http.post("/v1/note", json=kit.TEXT, headers=processes.ASYNC)).json()["id"]
        assert (await processes.result(site.http, name)).status_code == 200
        for _ in range(100):
            if not await DBOS.list_workflows_async():
                return
            await asyncio.sleep(0.1)
    raise AssertionError("the queue keeps what it has done")


@pytest.mark.slow
async def test_a_tenant_with_many_jobs_does_not_hold_up_another(project):
    with kit.serve(kit.provider(said='{"result": "noted"}', pause_s=0.5)) as url:
        kit.models(first=url)
        async with kit.site(auth="required", pepper=kit.PEPPER) as site:
            many, one = await processes.keyed(site, "many"), await processes.keyed(site, "one")
            sent = [await site.http.post("/v1/note", json=kit.TEXT, headers=many) for _ in range(24)]
            last = await site.http.post("/v1/note", json=kit.TEXT, headers=one)
            with processes.process("worker", APP_AUTH="required", APP_PEPPER=kit.PEPPER):
                assert (await processes.result(site.http, last.json()["id"], **one)).status_code == 200
                codes = [(await site.http.get(r.headers["location"], headers=many)).status_code for r in sent]
    assert codes.count(202) > 12


@pytest.mark.slow
def test_a_process_that_runs_no_jobs_does_not_import_the_queue(project):
    code = "import sys, app.cli, app.web; print('dbos' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=kit.ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
