"""make demo: render a project, install it, start it, ask three questions and run its gate."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
QUESTIONS = (
    "What is an error budget?",
    "Why should a canary start with a small share of the traffic?",
    "Will it rain in Lisbon tomorrow?",
)


def main() -> int:
    """Run the whole demonstration; the exit code is that of the first step that failed."""
    started = time.perf_counter()
    port = free_port()
    try:
        render()
        step("install", ["uv", "sync", "--quiet"])
        step("set up", ["uv", "run", "app", "setup"])
        step("seed", ["uv", "run", "app", "seed"])
        return run(port, started)
    except subprocess.CalledProcessError as error:
        print(f"\ndemo: '{' '.join(map(str, error.cmd))}' ended with {error.returncode}; see above")
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the project stays in demo/")
        return 130


def render() -> None:
    """Copy the template with its defaults into demo/, and make it a git repository."""
    if DEMO.exists():
        if not (DEMO / ".copier-answers.yml").exists():
            sys.exit(f"demo: {DEMO} is there and is no project of ours; move it away")
        shutil.rmtree(DEMO)
    # Of the commit that is checked out: without it Copier takes the newest release.
    command = ["uv", "run", "--quiet", "copier", "copy", "--defaults", "--quiet", "--vcs-ref=HEAD"]
    step("render", [*command, str(ROOT), str(DEMO)], ROOT)
    subprocess.run(["git", "init", "--quiet"], cwd=DEMO, check=True)
    subprocess.run(["git", "add", "--all"], cwd=DEMO, check=True)


def step(name: str, command: list[str], folder: Path = DEMO) -> None:
    """Run one step where its output can be seen; say how long it took."""
    print(f"\n== {name}: {' '.join(command)}", flush=True)
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, env=environment())
    print(f"   {time.perf_counter() - started:.1f} s", flush=True)


def environment() -> dict[str, str]:
    """This environment without another project's settings or virtual environment."""
    others = {"VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
    return {k: v for k, v in os.environ.items() if not k.startswith("APP_") and k not in others}


def free_port() -> int:
    """The usual port, or the next free one."""
    for port in range(8000, 8100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    sys.exit("demo: ports 8000 to 8099 are all taken")


def run(port: int, started: float) -> int:
    """Start the app, ask, run the whole gate, and stay up until Ctrl-C."""
    command = ["uv", "run", "app", "dev", "--no-reload", "--port", str(port)]
    print(f"\n== start: {' '.join(command)}", flush=True)
    log = DEMO / "var" / "demo.log"
    with log.open("w") as sink:
        app = subprocess.Popen(command, cwd=DEMO, env=environment(), stdout=sink, stderr=sink)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_ready(app, address, log)
        first = stream(address, QUESTIONS[0])
        for question in QUESTIONS[1:]:
            ask(address, question)
        step("gate", ["uv", "run", "gate", "all"])
        print(f"\nThe app is at {address}; the project is in demo/, the gate's report in")
        print(f"demo/var/reports/report.html. First streamed word after {first - started:.0f} s in all.")
        print("The app stays up; Ctrl-C stops it." if not leaves() else "DEMO_EXIT is set: done.", flush=True)
        return 0 if leaves() else app.wait()
    finally:
        app.terminate()
        app.wait()


def leaves() -> bool:
    """Whether the demonstration ends by itself."""
    return os.environ.get("DEMO_EXIT", "") not in ("", "0")


def wait_ready(app: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Wait until the app answers, at most a minute."""
    for _ in range(240):
        if app.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=2):  # noqa: S310  # loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    sys.exit(f"demo: the app did not start:\n{log.read_text()[-2000:]}")


def post(address: str, question: str, accept: str) -> urllib.request.Request:
    """A request to the answer feature."""
    body = json.dumps({"question": question}).encode()
    headers = {"Content-Type": "application/json", "Accept": accept}
    return urllib.request.Request(f"{address}/v1/answer", body, headers)  # noqa: S310  # loopback


def stream(address: str, question: str) -> float:
    """Ask with server-sent events and print the words as they come; returns when the first one did."""
    print(f"\n> {question}   (streamed)\n  ", end="", flush=True)
    first = 0.0
    with urllib.request.urlopen(post(address, question, "text/event-stream"), timeout=30) as reply:  # noqa: S310
        for kind, data in events(reply):
            if kind == "delta":
                first = first or time.perf_counter()
                print(data["text"], end="", flush=True)
            elif kind == "result":
                print()
                facts(data)
            elif kind == "error":
                sys.exit(f"demo: {data['detail']}")
    return first


def events(reply: Iterator[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a stream: kind and data."""
    kind = ""
    for raw in reply:
        name, _, value = raw.decode().strip().partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def ask(address: str, question: str) -> None:
    """Ask for the whole answer at once."""
    print(f"\n> {question}")
    with urllib.request.urlopen(post(address, question, "application/json"), timeout=30) as reply:  # noqa: S310
        answer = json.load(reply)
    print(f"  {answer['output']['answer']}")
    facts(answer)


def facts(answer: dict[str, Any]) -> None:
    """Print the sources, and what the answer took."""
    output, meta = answer["output"], answer["meta"]
    for cited in output["citations"]:
        print(f"    [{cited['marker']}] data/seed/handbook/{cited['page']}.md, '{cited['heading']}'")
    tokens = f"{meta['input_tokens']} + {meta['output_tokens']} tokens"
    took = f"{tokens}, ${meta['cost_usd']:.4f}, {meta['latency_ms']:.0f} ms"
    first = f", first word after {meta['first_token_ms']:.0f} ms" if meta["first_token_ms"] else ""
    print(f"    {meta['model']}, prompt {meta['prompt']}, {took}{first}")


if __name__ == "__main__":
    sys.exit(main())
