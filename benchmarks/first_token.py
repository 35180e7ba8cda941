"""uv run python -m benchmarks.first_token: what the app adds before the first word, and what it weighs idle.

The same stub is asked directly and through the app, in turn, one request at a time. The time runs from the
request's last byte to the first byte that carries a word.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import load, servers
from benchmarks.load import Target
from tests.services import free_port

MAX_ADDED_MS = 10
MAX_IDLE_MB = 350
SETTLE_S = 8
WARM_UP = 50


def main() -> None:
    """Measure and print the table; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work, port = Path(folder), free_port()
        project = servers.render(work, port)
        key = servers.new_key(project)
        os.sched_setaffinity(0, {servers.CLIENT_CPU})
        with servers.stub(work, port) as stub, servers.app(project, key) as app:
            direct, through = measure(stub.miss, app.miss, given.requests)
            with worker(project) as pid:
                time.sleep(SETTLE_S)
                idle_mb = load.rss_mb(app.pid) + load.rss_mb(pid)
    sys.exit(report(direct, through, idle_mb))


def measure(stub: Target, app: Target, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds to the first word, of the stub and of the app, request by request."""
    direct, through = [], []
    for number in range(1, count + WARM_UP + 1):
        direct.append(first_word_ms(stub, {**json.loads(stub.body(number)), "stream": True}))
        through.append(first_word_ms(app, json.loads(app.body(number))))
    return direct[WARM_UP:], through[WARM_UP:]


def first_word_ms(target: Target, body: dict[str, object]) -> float:
    """Ask for a stream and read it to its end; the time to its first word."""
    connection = http.client.HTTPConnection(target.host, target.port, timeout=30)
    headers = {**target.headers, "Content-Type": "application/json", "Accept": "text/event-stream"}
    connection.connect()
    connection.request("POST", target.path, json.dumps(body), headers)
    started = time.perf_counter()
    reply = connection.getresponse()
    found = 0.0
    while line := reply.readline():
        if not found and (b'"delta"' in line or line.startswith(b"event: delta")):
            found = (time.perf_counter() - started) * 1000
    connection.close()
    if reply.status != 200 or not found:
        sys.exit(f"port {target.port}: status {reply.status}, no word in the stream")
    return found


@contextmanager
def worker(project: Path) -> Iterator[int]:
    """Run a worker beside the app; gives its process id."""
    command = [str(project / ".venv/bin/app"), "worker"]
    environment = {**os.environ, **servers.app_environment()}
    process = subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def report(direct: list[float], through: list[float], idle_mb: float) -> int:
    """Print the table; 1 when a goal is missed, else 0."""
    added = [ours - theirs for ours, theirs in zip(through, direct, strict=True)]
    p95 = load.quantile(sorted(added), 0.95)
    print(f"{len(added)} streams, in turn with the stub's own.\n")
    print("| what | found | goal | met |\n|---|---:|---:|---|")
    print(f"| added before the first word, median | {statistics.median(added):.1f} ms | | |")
    soon = yes(p95 <= MAX_ADDED_MS)
    print(f"| added before the first word, p95 | {p95:.1f} ms | {MAX_ADDED_MS} ms | {soon} |")
    met = idle_mb <= MAX_IDLE_MB
    print(f"| app and worker, idle | {idle_mb:.0f} MB | {MAX_IDLE_MB} MB | {yes(met)} |")
    return 0 if met and p95 <= MAX_ADDED_MS else 1


def yes(met: bool) -> str:
    """Whether a goal is met."""
    return "yes" if met else "**no**"


if __name__ == "__main__":
    main()
