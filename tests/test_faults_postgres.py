"""PostgreSQL crashes under load, and refuses what SQLite takes: no server error, nothing lost or doubled."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import faulty, services
from tests.conftest import slow
from tests.faulty import Render, Reply, Site
from tests.services import Server

CLIENTS = 4
GAP_S = 3.0
LOAD_S = 6.0
JOBS = 150
HELD = "from pg_locks where locktype = 'advisory' and classid = 7305118 and objid < 8 and granted"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """Run a PostgreSQL."""
    with services.postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def site(render: Render, tmp_path_factory: pytest.TempPathFactory, postgres: Server) -> Iterator[Site]:
    """Make an app on PostgreSQL with keys required, and a key that every request carries."""
    with faulty.stub(latency_ms=50) as stub:
        more = {
            "database_url": postgres.url,
            "auth": "required",
            "pepper": "p" * 32,
            "tenant_waiting_jobs": "200",
        }
        site = faulty.build(render, tmp_path_factory.mktemp("postgres"), stub, "postgres", **more)
        site.models(first="ok")
        site.features({"late": ["first"]})
        site.run("setup")
        site.headers["Authorization"] = f"Bearer {site.new_key()}"
        yield site


def loop(site: Site, first: int, ends: float) -> list[Reply]:
    """Ask again and again, one request at a time."""
    said: list[Reply] = []
    while time.monotonic() < ends:
        said.append(site.ask("late", first + len(said)))
        if said[-1].status != 200:
            time.sleep(0.1)
    return said


@slow
def test_a_crash_of_postgres_is_503_then_200_and_loses_nothing(site: Site, postgres: Server) -> None:
    with site.serving() as app, site.working() as worker, ThreadPoolExecutor(CLIENTS) as threads:
        taken = [site.ask("late", 900_000 + n, prefer="respond-async") for n in range(JOBS)]
        jobs = {reply.json["id"] for reply in taken}
        faulty.until(lambda: jobs & site.ids())
        ends = time.monotonic() + 2 + GAP_S + LOAD_S
        clients = [threads.submit(loop, site, n * 100_000, ends) for n in range(CLIENTS)]
        time.sleep(2)
        postgres.stop(signal.SIGQUIT)
        time.sleep(GAP_S)
        postgres.start()
        said = [reply for client in clients for reply in client.result()]
        answered = {reply.json["meta"]["id"] for reply in said if reply.status == 200}
        faulty.until(lambda: answered | jobs <= site.ids(), 60)
        assert (app.poll(), worker.poll()) == (None, None)
    refused = [reply for reply in said if reply.status != 200]
    assert {reply.status for reply in refused} == {503}
    assert {reply.headers["content-type"] for reply in refused} == {"application/problem+json"}
    assert all(int(reply.headers["retry-after"]) > 0 for reply in refused)
    assert said[-1].status == 200
    assert site.balance() >= len(answered) + len(jobs)
    assert site.query("select count(*) from result where state != 'done'") == [("0",)]


def test_text_that_postgres_refuses_is_kept_or_refused_without_a_server_error(site: Site) -> None:
    talk = "/v1/late?conversation_id=c1&user_id=ann"
    with site.serving():
        for text in ("The delivery\0 is late.", "A second\0 time."):
            body = json.dumps({"text": text}).encode()
            assert faulty.call(site.port, "POST", talk, body, **site.headers).status == 200
        kept = faulty.call(site.port, "GET", "/v1/conversations/c1?user_id=ann", b"", **site.headers)
        assert [turn["input"]["text"][-1] for turn in kept.json["turns"]] == [".", "."]
        for path in ("results/%00", "results/a%00b", "conversations/%00", "conversations/c1?user_id=%00"):
            assert faulty.call(site.port, "GET", f"/v1/{path}", b"", **site.headers).status == 422


def slots(site: Site) -> set[str]:
    """Return the slots that workers hold; none while PostgreSQL is away."""
    try:
        return {number for (number,) in site.query("select objid " + HELD)}
    except subprocess.CalledProcessError:
        return set()


def at_work(site: Site, number: int) -> bool:
    """Wait until a worker has answered; return whether it holds the first slot."""
    with site.serving():
        name = site.ask("late", number, prefer="respond-async").json["id"]
        faulty.until(lambda: name in site.ids())
    return "0" in slots(site)


def test_a_worker_has_its_slot_again_after_a_restart_of_postgres(site: Site, postgres: Server) -> None:
    with site.working() as first:
        assert at_work(site, 800_000)
        postgres.stop(signal.SIGINT)
        time.sleep(2)
        postgres.start()
        faulty.until(lambda: slots(site) == {"0"}, 10)
        with site.working() as second:
            faulty.until(lambda: slots(site) == {"0", "1"})
            assert (first.poll(), second.poll()) == (None, None)


def test_a_worker_whose_slot_another_has_taken_ends_and_says_so(site: Site) -> None:
    url = site.settings["APP_DATABASE_URL"].replace("+psycopg", "")
    steal = ["-c", f"select pg_terminate_backend(pid) {HELD}", "-c", "select pg_advisory_lock(7305118, 0)"]
    with site.working() as worker:
        assert at_work(site, 810_000)
        other = [services.program("psql"), url, *steal, "-f", "-"]  # it stays until its input ends
        with faulty.ended(subprocess.Popen(other, stdin=subprocess.PIPE)):
            assert worker.wait(timeout=40) == 2
    assert "another worker has taken worker-0" in site.log.read_text()
