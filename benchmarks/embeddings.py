"""uv run python -m benchmarks.embeddings: texts a second of the app's encoders, alone and in batches.

64 clients each ask for one text after the other: of an embeddings API that takes 20 ms for a call, whatever
is in it, for all calls at once or for one after the other, and of an ONNX encoder in the process. `alone` is
a batch of one; the app gathers no batches for an ONNX encoder, so its two columns differ by chance only.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import minilm
from benchmarks.retrieval import KEPT, ROOT, inside, machine, rendered
from tests.services import free_port, wait

MIN_RATIO = 4.0
LATENCY_MS = 20
NAMES = {
    "parallel": f"API that takes {LATENCY_MS} ms, calls at once",
    "serial": f"API that takes {LATENCY_MS} ms, one call at a time",
    "onnx": "ONNX, int8 MiniLM",
}


def main() -> None:
    """Measure and print; exit code 1 where the goal is missed."""
    encoder = minilm.ready(KEPT / "minilm")
    with tempfile.TemporaryDirectory() as folder, stub() as url:
        told = inside(rendered(Path(folder), "onnx"), "batches", str(encoder), url)
    print(f"{machine()}; 64 clients, medians of 3 alternating rounds.\n")
    print(
        "| encoder | alone, texts/s | batched, texts/s | ratio | goal | met |\n|---|---:|---:|---:|---|---|"
    )
    ratios = {name: ways["batched"] / ways["alone"] for name, ways in told.items()}
    for name, ways in told.items():
        goal = f">= {MIN_RATIO:g}x" if name != "onnx" else ""
        met = ("yes" if ratios[name] >= MIN_RATIO else "**no**") if goal else ""
        rates = f"{ways['alone']:.0f} | {ways['batched']:.0f} | {ratios[name]:.1f}"
        print(f"| {NAMES[name]} | {rates} | {goal} | {met} |")
    raise SystemExit(0 if min(ratios["parallel"], ratios["serial"]) >= MIN_RATIO else 1)


@contextmanager
def stub() -> Iterator[str]:
    """The API as a process of its own; gives its address."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.stub", "--port", str(port), "--latency-ms", str(LATENCY_MS)]
    process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ))
    try:
        wait(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


if __name__ == "__main__":
    main()
