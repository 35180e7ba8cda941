"""The processes that a measurement needs: the stub, a rendered project, and LiteLLM's proxy as a peer."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from tests import frontends
from tests.services import free_port
from tools import checkout

ROOT = Path(__file__).resolve().parents[1]
LITELLM = "1.106.2"
DATE = "2026-11-23"  # the same versions for everybody
READY_S = 180
MASTER_KEY = "sk-benchmark"
SERVER_CPU = 0
CLIENT_CPU = (os.cpu_count() or 1) - 1

TOML = """\
summary = "Say why a delivery is late."
use_case = "public-text"
prompt = "v1"
output = "json"
max_tokens = 300
cache_ttl_s = 3600

[slo]
p95_ms = 900
error_rate = 0.01
budget_usd = 0.002
"""
SCHEMA = '''\
"""What the feature takes and gives."""

from pydantic import BaseModel


class Input(BaseModel):
    """What the caller sends."""

    text: str


class Output(BaseModel):
    """What the caller gets."""

    answer: str
    reasons: list[str]
'''
SYSTEM = "Reply with one JSON object: `answer`: one sentence that says why it is late; `reasons`: a list."
MODELS = """\
[models.stub]
provider = "openai-compatible"
name = "{model}"
base_url = "http://127.0.0.1:{port}/v1"
region = "local"
retention_days = 0
price = {{ input_usd = 0.25, output_usd = 2.0 }}

[models.keyless]
provider = "keyless"
"""
RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "late",
        "schema": {
            "type": "object",
            "properties": {
                "answer": {"type": "string"},
                "reasons": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["answer", "reasons"],
        },
    },
}
LETTERS = str.maketrans("0123456789", "abcdefghij")


@dataclass(frozen=True)
class Server:
    """A running server: its process, and the requests that measure it (`hit` asks the same each time)."""

    name: str
    pid: int
    miss: load.Target
    hit: load.Target


def said(number: int) -> str:
    """An input that no other number has; in letters, since the guard takes some numbers out."""
    return (
        f"Case {str(number).translate(LETTERS)} left the port on Monday. It was held at customs two days; "
        "the papers named another receiver. After that the drivers were on strike until Friday morning. "
        "The customer asks when the delivery comes and whether the price changes because of it."
    )


def ask_bench(number: int) -> bytes:
    """The body for the rendered project."""
    return json.dumps({"text": said(number)}).encode()


def ask_chat(model: str, number: int) -> bytes:
    """The same question as a chat completion."""
    user = f"<text>\n{said(number)}\n</text>"
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]
    asked = {"model": model, "messages": messages, "max_tokens": 300, "temperature": 0}
    return json.dumps({**asked, "response_format": RESPONSE_FORMAT}).encode()


def render(work: Path, stub_port: int, model: str = "ok") -> Path:
    """Render the working tree into `work`/project, with a feature `bench` on the stub; install it."""
    checkout.clone(ROOT, work / "slipway")
    project = frontends.copy(work / "slipway", work / "project")
    run(project, "uv", "sync", "--quiet")
    run(project, ".venv/bin/app", "feature", "new", "bench")
    bench = project / "features/bench"
    (bench / "feature.toml").write_text(TOML, encoding="utf-8")
    (bench / "schema.py").write_text(SCHEMA, encoding="utf-8")
    prompt = f"{SYSTEM}\n---\n<text>\n$text\n</text>\n"
    (bench / "prompts/v1.md").write_text(prompt, encoding="utf-8")
    models = MODELS.format(model=model, port=stub_port)
    (project / "config/models.toml").write_text(models, encoding="utf-8")
    run(project, ".venv/bin/app", "setup")
    return project


def new_key(project: Path) -> str:
    """Add the tenant `bench`, with a budget that never ends, and return its key."""
    run(project, ".venv/bin/app", "tenant", "add", "bench", "--budget-usd", "1000000")
    return run(project, ".venv/bin/app", "tenant", "key", "bench").split()[-1]


@contextmanager
def app(project: Path, key: str, **environment: str) -> Iterator[Server]:
    """Serve the project as in production: one process, keys required, no access log, no rate limit."""
    port = free_port()
    settings = app_environment() | environment
    command = [str(project / ".venv/bin/app"), "serve", "--port", str(port)]
    headers = {"Authorization": f"Bearer {key}"}
    ready = f"http://127.0.0.1:{port}/readyz"
    with started(command, ready, SERVER_CPU, project, project.parent, settings) as pid:
        miss = load.Target(port, "/v1/bench", ask_bench, headers)
        yield Server("app", pid, miss, load.Target(port, "/v1/bench", lambda _: ask_bench(0), headers))


def app_environment() -> dict[str, str]:
    """The settings of the app under measurement."""
    return {"APP_PEPPER": "benchmark " * 4, "APP_RATE_PER_MINUTE": "1000000000", "APP_LOG_LEVEL": "warning"}


@contextmanager
def stub(work: Path, port: int) -> Iterator[Server]:
    """Serve the stub; asked directly, it shows what a request costs without a gateway."""
    command = [sys.executable, "-m", "benchmarks.stub", "--port", str(port)]
    with started(command, f"http://127.0.0.1:{port}/", CLIENT_CPU, ROOT, work) as pid:
        target = load.Target(port, "/v1/chat/completions", lambda number: ask_chat("ok", number))
        yield Server("stub", pid, target, target)


@contextmanager
def litellm(work: Path, stub_port: int) -> Iterator[Server]:
    """Serve LiteLLM's proxy: master key checked, costs computed, local cache, a fallback; no database."""
    port = free_port()
    config = work / "litellm.json"  # YAML is a superset of JSON
    config.write_text(json.dumps(litellm_config(stub_port)), encoding="utf-8")
    command = [
        "uv", "tool", "run", "--quiet", "--exclude-newer", DATE, "--from", f"litellm[proxy]=={LITELLM}",
        "litellm", "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1",
    ]  # fmt: skip
    quiet = {
        "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False",
        "LITELLM_MODE": "PRODUCTION", "DISABLE_ADMIN_UI": "True", "NO_DOCS": "True",
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    ready = f"http://127.0.0.1:{port}/health/liveliness"
    with started(command, ready, SERVER_CPU, work, work, quiet) as pid:
        path = "/v1/chat/completions"
        miss = load.Target(port, path, lambda number: ask_chat("bench", number), headers)
        yield Server("litellm", pid, miss, load.Target(port, path, lambda _: ask_chat("bench", 0), headers))


def litellm_config(stub_port: int) -> dict[str, object]:
    """What LiteLLM's proxy is told: the same two models, the same prices, cache on, access log off."""
    price = {"input_cost_per_token": 0.25e-6, "output_cost_per_token": 2e-6}
    place = {"model": "openai/ok", "api_base": f"http://127.0.0.1:{stub_port}/v1", "api_key": "none", **price}
    return {
        "model_list": [
            {"model_name": "bench", "litellm_params": place},
            {"model_name": "spare", "litellm_params": place},
        ],
        "router_settings": {"num_retries": 0, "fallbacks": [{"bench": ["spare"]}]},
        "litellm_settings": {
            "telemetry": False, "set_verbose": False, "json_logs": False, "request_timeout": 30,
            "cache": True, "cache_params": {"type": "local", "ttl": 3600},
        },
        "general_settings": {"master_key": MASTER_KEY, "disable_spend_logs": False},
    }  # fmt: skip


@contextmanager
def started(
    command: list[str], ready: str, cpu: int, folder: Path, logs: Path, settings: dict[str, str] | None = None
) -> Iterator[int]:
    """Run a server on one CPU until it is ready, and stop it at the end; gives its process id."""
    environment = frontends.environment() | (settings or {})
    log = logs / f"{Path(command[0]).name}.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
    os.sched_setaffinity(process.pid, {cpu})
    try:
        wait(process, ready, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Wait until a server answers; end with its log when it does not."""
    ends = time.monotonic() + READY_S
    while time.monotonic() < ends and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit(f"{process.args!r} did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


def run(project: Path, *command: str) -> str:
    """Run a command in the project; its output. A failure ends the measurement."""
    environment = frontends.environment() | app_environment()
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
