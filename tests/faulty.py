"""A rendered project that faults are injected into: its processes, a client, and its books."""

import http.client
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import servers
from tests import services
from tests.conftest import ROOT
from tests.rendered import Project

Render = Callable[..., Project]
Process = subprocess.Popen[bytes]
MODEL = """\
[models.{name}]
provider = "openai-compatible"
name = "{fault}"
base_url = "http://127.0.0.1:{port}/v1"
region = "local"
retention_days = 0
tier = "{name}"
timeout_s = {timeout_s}
price = {{ input_usd = 0.25, output_usd = 2.0 }}

"""
# Each usage row has its result; what the tenants spent is what their rows add up to.
BALANCE = """\
select (select count(*) from usage where outcome <> 'queue_full'),
    (select count(*) from usage join result using (id)),
    (select coalesce(sum(input_tokens + output_tokens), 0) from usage),
    (select coalesce(sum(tokens), 0) from spend),
    (select round(coalesce(sum(cost_usd), 0), 6) from usage),
    (select round(coalesce(sum(usd), 0), 6) from spend)
"""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        return dict(json.loads(self.text))

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Server-sent events as kind and data."""
        blocks = [block.splitlines() for block in self.text.strip().split("\n\n")]
        pairs = [dict(line.split(": ", 1) for line in block) for block in blocks if block[0][:1] != ":"]
        return [(pair["event"], json.loads(pair["data"])) for pair in pairs]


@dataclass(frozen=True)
class Site:
    """The project, where its app listens, and the settings of its processes."""

    project: Project
    stub: int
    port: int = field(default_factory=services.free_port)
    settings: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    extras: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process."""
        quiet = {"APP_AUTH": "open", "APP_RATE_PER_MINUTE": "1000000", "APP_LOG_LEVEL": "warning"}
        return self.project.environment() | quiet | self.settings

    @property
    def log(self) -> Path:
        """What all processes said."""
        return self.project.root.parent / "log"

    def features(self, tiers: dict[str, list[str]], cache_ttl_s: int = 0) -> None:
        """Add a feature for each name, which asks these tiers."""
        for name, asked in tiers.items():
            folder = self.project.root / "features" / name
            if not folder.exists():
                shutil.copytree(self.project.root / "features/summarize", folder)
            told = f"cache_ttl_s = {cache_ttl_s}\ntiers = {json.dumps(asked)}"
            toml = servers.TOML.replace("cache_ttl_s = 3600", told)
            (folder / "feature.toml").write_text(toml, encoding="utf-8")
            (folder / "schema.py").write_text(servers.SCHEMA, encoding="utf-8")
            prompt = f"{servers.SYSTEM}\n---\n<text>\n$text\n</text>\n"
            (folder / "prompts/v1.md").write_text(prompt, encoding="utf-8")

    def models(self, timeout_s: float = 10, **faults: str) -> None:
        """Write the registry: each model is a tier of its own, and the stub's with this fault."""
        tables = [
            MODEL.format(name=name, fault=fault, port=self.stub, timeout_s=timeout_s)
            for name, fault in faults.items()
        ]
        keyless = '[models.keyless]\nprovider = "keyless"\n'
        text = "".join([*tables, keyless])
        (self.project.root / "config/models.toml").write_text(text, encoding="utf-8")

    def run(self, *words: str) -> str:
        """Run a command of the app."""
        more = [part for extra in self.extras for part in ("--extra", extra)]
        command = ["uv", "run", "--quiet", *more, "app", *words]
        done = subprocess.run(
            command, cwd=self.project.root, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *words: str, **settings: str) -> Process:
        """Start a process of the app without uv around it, so that a signal meets the app itself."""
        command = [str(self.project.venv / "bin/app"), *words]
        with self.log.open("a") as log:
            return subprocess.Popen(
                command, cwd=self.project.root, env=self.environment | settings, stdout=log, stderr=log
            )

    def serve(self, **settings: str) -> Process:
        """Start the app and wait until it listens."""
        process = self.start("serve", "--port", str(self.port), **settings)
        services.wait(self.port)
        return process

    @contextmanager
    def serving(self, **settings: str) -> Iterator[Process]:
        """Serve the app until the block ends."""
        with ended(self.serve(**settings)) as process:
            yield process

    @contextmanager
    def working(self, **settings: str) -> Iterator[Process]:
        """Run a worker until the block ends."""
        with ended(self.start("worker", **settings)) as process:
            yield process

    def ask(self, feature: str, number: int = 0, **headers: str) -> Reply:
        """Ask a feature; no two numbers have the same input."""
        body = servers.ask_bench(number)
        return call(self.port, "POST", f"/v1/{feature}", body, **self.headers, **headers)

    def new_key(self, tenant: str = "client-one") -> str:
        """Add a tenant; return its key."""
        self.run("tenant", "add", tenant, "--budget-usd", "1000000")
        return self.run("tenant", "key", tenant).split()[-1]

    def ready(self) -> Reply:
        """What the app says of itself."""
        return call(self.port, "GET", "/readyz")

    def query(self, statement: str) -> list[tuple[str, ...]]:
        """Look into the app's database; every value as text."""
        url = self.settings.get("APP_DATABASE_URL", "")
        if url.startswith("postgresql"):
            command = [services.program("psql"), url.replace("+psycopg", ""), "-At", "-c", statement]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            return [tuple(line.split("|")) for line in said.splitlines()]
        folder = self.settings.get("APP_VAR_DIR") or self.project.root / "var"
        with closing(sqlite3.connect(f"{folder}/app.db", timeout=30)) as database:
            return [tuple(map(str, row)) for row in database.execute(statement)]

    def ids(self) -> set[str]:
        """The requests that have a usage row, but for those that found the queue full."""
        return {id for (id,) in self.query("select id from usage where outcome <> 'queue_full'")}

    def balance(self) -> int:
        """Check the books; return how many usage rows they hold, each with its result."""
        rows, kept, tokens, spent_tokens, usd, spent_usd = map(float, self.query(BALANCE)[0])
        assert (rows, tokens, usd) == (kept, spent_tokens, spent_usd)
        assert usd > 0
        return int(rows)


def build(render: Render, folder: Path, stub: int, *extras: str, **settings: str) -> Site:
    """Copy a rendered project into a folder of its own."""
    shutil.copytree(render().root, folder / "project")
    named = {f"APP_{name.upper()}": value for name, value in settings.items()}
    return Site(Project(folder / "project", render().cache), stub, settings=named, extras=extras)


@contextmanager
def stub(latency_ms: float = 0) -> Iterator[int]:
    """Run the stub of a provider; gives its port."""
    port = services.free_port()
    command = [sys.executable, "-m", "benchmarks.stub", "--port", str(port), "--latency-ms", str(latency_ms)]
    with ended(subprocess.Popen(command, cwd=ROOT)):
        services.wait(port)
        yield port


@contextmanager
def ended(process: Process) -> Iterator[Process]:
    """End a process with the block, however the block ends."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def call(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
    """One request on a connection of its own; raises OSError or HTTPException where it breaks."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body or None, {"Content-Type": "application/json", **named})
        got = connection.getresponse()
        lower = {name.lower(): value for name, value in got.getheaders()}
        return Reply(got.status, lower, got.read().decode())
    finally:
        connection.close()


def calls(stub: int) -> int:
    """Count what the stub was asked."""
    return int(call(stub, "GET", "/").json["calls"])


def until(true: Callable[[], object], wait_s: float = 30, what: str = "") -> None:
    """Wait until something is true."""
    ends = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < ends, what or f"not within {wait_s} s"
        time.sleep(0.1)
