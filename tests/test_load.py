"""The load client and the stub measure what they say: counts, latency, errors, CPU, faults."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import IncompleteRead

import pytest

from benchmarks import load
from benchmarks.load import Result, Target
from tests import services
from tests.conftest import ROOT

LATENCY_MS = 20


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Run the stub in a process of its own; return its port."""
    port = services.free_port()
    command = [sys.executable, "-m", "benchmarks.stub", "--port", str(port), "--latency-ms", str(LATENCY_MS)]
    stub = subprocess.Popen(command, cwd=ROOT)
    services.wait(port)
    yield port
    stub.terminate()
    stub.wait(timeout=20)


def body(model: str, stream: bool = False) -> bytes:
    """Return a completion's request."""
    return json.dumps({"model": model, "messages": [], "stream": stream}).encode()


def ask(port: int, model: str, stream: bool = False, timeout: float = 10) -> str:
    """Ask the stub for a completion; return the raw answer."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    request = urllib.request.Request(url, body(model, stream), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310
        return str(reply.read().decode())


def calls(port: int) -> int:
    """Return the completions that the stub was asked for."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as reply:
        return int(json.load(reply)["calls"])


def measure(port: int, model: str, concurrency: int = 4, pid: int | None = None) -> Result:
    """Measure the stub for half a second."""
    target = Target(port, "/v1/chat/completions", lambda _: body(model))
    return asyncio.run(load.measure(target, concurrency, 0.5, pid))


def test_every_request_is_answered_and_counted_once(port: int) -> None:
    before = calls(port)
    seen = measure(port, "ok")
    assert seen.requests == calls(port) - before > 0
    assert seen.errors == {}


def test_latency_and_rate_are_those_of_a_closed_loop(port: int) -> None:
    seen = measure(port, "ok", concurrency=8)
    assert LATENCY_MS <= seen.p50_ms <= seen.p95_ms
    assert 0.4 < seen.rps * seen.p50_ms / 1000 / 8 < 1.6  # Little's law: as many at once as asked for


def test_refusals_are_errors_by_status(port: int) -> None:
    seen = measure(port, "err500")
    assert seen.errors == {"500": seen.requests}


def test_a_connection_that_breaks_is_an_error_and_no_answer(port: int) -> None:
    seen = measure(port, "cut")
    assert seen.requests == 0
    assert seen.errors == {"connection": 4}


def test_each_request_has_a_number_of_its_own() -> None:
    window = load.Window(Target(1, "/", lambda number: b"%d" % number), ends=0, first=10)
    assert [window.next()[-2:], window.next()[-2:]] == [b"11", b"12"]


def test_cpu_seconds_are_those_of_the_process_and_its_children() -> None:
    burn = "import time\nends = time.process_time() + 0.5\nwhile time.process_time() < ends: pass\n"
    child = f"{burn}time.sleep(30)"
    work = f"import subprocess, sys\n{burn}subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", work])
    try:
        ends = time.monotonic() + 20
        while load.cpu_s(process.pid) < 1.0 and time.monotonic() < ends:
            time.sleep(0.1)
        assert 1.0 <= load.cpu_s(process.pid) < 2.0
        assert len(load.family(process.pid)) == 2
        assert load.rss_mb(process.pid) > 5
    finally:
        for pid in reversed(load.family(process.pid)):
            os.kill(pid, 9)
        process.wait(timeout=20)


def test_the_median_keeps_every_error() -> None:
    windows = [Result(10, rps, rps, rps, rps, rps, {"500": 1}) for rps in (1.0, 9.0, 2.0)]
    assert load.median(windows) == Result(30, 2.0, 2.0, 2.0, 2.0, 2.0, {"500": 3})


def test_the_quantile_is_the_nearest_rank() -> None:
    assert load.quantile([float(n) for n in range(1, 101)], 0.95) == 96.0
    assert load.quantile([7.0], 0.95) == 7.0


@pytest.mark.parametrize(("model", "status"), [("err429", 429), ("err500", 500)])
def test_the_stub_refuses_on_demand(port: int, model: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(port, model)
    assert refused.value.code == status


@pytest.mark.parametrize("model", ["hang", "slow-first"])
def test_the_stub_keeps_a_caller_waiting(port: int, model: str) -> None:
    with pytest.raises(TimeoutError):
        ask(port, model, timeout=0.5)


def test_the_stub_gives_answers_that_do_not_fit(port: int) -> None:
    answers = [json.loads(ask(port, model)) for model in ("badjson", "wrongschema")]
    said = [answer["choices"][0]["message"]["content"] for answer in answers]
    with pytest.raises(json.JSONDecodeError):
        json.loads(said[0])
    assert "answer" not in json.loads(said[1])


def test_the_stub_breaks_off_in_the_middle(port: int) -> None:
    with pytest.raises(IncompleteRead):
        ask(port, "cut")
    with pytest.raises(IncompleteRead):
        ask(port, "cut", stream=True)


def test_the_stub_streams_words_and_its_usage_last(port: int) -> None:
    events = [line.removeprefix("data: ") for line in ask(port, "ok", stream=True).split("\n\n") if line]
    parts = [json.loads(event) for event in events[:-1]]
    said = "".join(part["choices"][0]["delta"].get("content", "") for part in parts if part["choices"])
    assert json.loads(said)["reasons"] == ["customs", "a strike"]
    assert parts[-1]["usage"]["completion_tokens"] == 24
    assert events[-1] == "[DONE]"
