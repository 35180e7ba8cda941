"""uv run python -m benchmarks.choice: what `gate retrieval --write` chooses for real text and a real encoder.

The handbook and its golden questions, among sentences of this machine's documentation as pages of the same
corpus; a tenant has pages of its own. all-MiniLM-L6-v2 (int8) encodes them. The report is kept in --out.
"""

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import minilm, sentences
from benchmarks.retrieval import KEPT, machine, rendered
from tests import frontends

PAGE = 100
ENCODER = """
[models.encoder]
provider = "onnx"
kind = "embedding"
path = "var/models/encoder"
context = 128
"""


def main() -> None:
    """Render, write pages, choose, judge the choice; the exit code is the gate's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=12_000, help="sentences beside the handbook")
    parser.add_argument("--out", type=Path, default=Path("choice"), help="folder for the report")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = rendered(Path(folder), "onnx")
        prepare(project, given.rows)
        print(machine())
        code = max(run(project, *words) for words in COMMANDS)
        shutil.copytree(project / "var" / "reports", given.out, dirs_exist_ok=True)
    raise SystemExit(code)


COMMANDS = (
    ("ops", "models", "lock"),
    ("app", "index"),
    ("gate", "retrieval", "answer", "--write"),
    ("gate", "retrieval", "answer"),
)


def prepare(project: Path, rows: int) -> None:
    """Let the feature `answer` search the handbook and the sentences with the encoder."""
    shutil.copytree(minilm.ready(KEPT / "minilm"), project / "var/models/encoder")
    with (project / "config/models.toml").open("a", encoding="utf-8") as models:
        models.write(ENCODER)
    toml = project / "features/answer/feature.toml"
    text = toml.read_text(encoding="utf-8")
    corpus = 'corpus = "data/seed/handbook"'
    toml.write_text(text.replace(corpus, 'corpus = "data/mixed"\nembeddings = "encoder"'), encoding="utf-8")
    shutil.copytree(project / "data/seed/handbook", project / "data/mixed")
    texts = sentences.collect(rows + rows // 10)
    write(project / "data/mixed/more", texts[:rows])
    write(project / "var/documents/acme/mixed", texts[rows:])


def write(folder: Path, texts: list[str]) -> None:
    """Pages of many short sections, each a passage of its own."""
    folder.mkdir(parents=True)
    for start in range(0, len(texts), PAGE):
        parts = [f"## {start + number}\n\n{text}" for number, text in enumerate(texts[start : start + PAGE])]
        (folder / f"{start:06}.md").write_text("\n\n".join(["# Sentences", *parts]), encoding="utf-8")


def run(project: Path, *words: str) -> int:
    """Run a command of the project as its owner does, and say how long it took."""
    started = time.perf_counter()
    environment = {**frontends.environment(), "COLUMNS": "120"}
    code = subprocess.run(
        ["uv", "run", "--quiet", "--extra", "onnx", *words], cwd=project, env=environment, check=False
    ).returncode
    took = f"exit code {code}, {time.perf_counter() - started:.0f} s"
    print(f"$ uv run {' '.join(words)}  # {took}", flush=True)
    return code


if __name__ == "__main__":
    main()
