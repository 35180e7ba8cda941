"""Turn texts into vectors: the encoders that features name; questions that come together go in one call."""

import asyncio
import base64
import importlib.util
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2

from app.breaker import Breaker
from app.errors import ConfigError, EncoderDown, Fault
from app.models import Model, Registry
from app.settings import Settings

# Vectors are the bytes of float32 numbers, of length 1.
Call = Callable[[list[str]], Awaitable[list[bytes]]]
MAX_WAITING = 1_000
# A question does not wait longer than this for its vector: words alone find passages too.
QUESTION_S = 2.0
MAX_TOKENS = 512  # of one text; most encoders know no more places
PACKAGES = {"onnx": ("onnxruntime", "tokenizers", "numpy"), "vectors": ("numpy",)}

log = logging.getLogger(__name__)


class Encoder:
    """One embedding model: single texts wait a moment for others, and go to it in one call."""

    def __init__(self, name: str, model: Model, call: Call, config: Settings) -> None:
        self.name, self.call = name, call
        self.size, self.wait_s = config.embed_batch, config.embed_wait_ms / 1000
        self.gathered = 1 if model.provider == "onnx" else self.size
        self.slots = asyncio.Semaphore(model.max_running)
        self.breaker = Breaker()
        self.asked: dict[str, asyncio.Future[bytes]] = {}
        self.waiting: list[str] = []
        self.timer: asyncio.TimerHandle | None = None
        self.calls: set[asyncio.Task[None]] = set()

    async def vector(self, text: str) -> bytes:
        """The vector of one text, the same text at once asked for once; raise EncoderDown without one."""
        if text not in self.asked:
            self.ask(text)
        try:
            # One caller that leaves must not take the vector from the others.
            return await asyncio.wait_for(asyncio.shield(self.asked[text]), QUESTION_S)
        except TimeoutError:
            self.breaker.note(ok=False)
            raise EncoderDown(f"'{self.name}' gave no vector within {QUESTION_S:g} s") from None

    def ask(self, text: str) -> None:
        """Let a text wait for company: until the call is full, at most `embed_wait_ms`."""
        if len(self.asked) >= MAX_WAITING:
            raise EncoderDown(f"{MAX_WAITING} texts wait for '{self.name}'; see max_running in models.toml")
        if not self.breaker.lets_through():
            raise EncoderDown(f"'{self.name}' failed again and again; it is left alone for half a minute")
        loop = asyncio.get_running_loop()
        self.asked[text] = loop.create_future()
        self.waiting.append(text)
        if len(self.waiting) == self.gathered:
            self.send()
        elif self.timer is None:
            self.timer = loop.call_later(self.wait_s, self.send)

    def send(self) -> None:
        """Send what waits."""
        if self.timer:
            self.timer.cancel()
        texts, self.waiting, self.timer = self.waiting, [], None
        call = asyncio.create_task(self.answer(texts))
        self.calls.add(call)
        call.add_done_callback(self.calls.discard)

    async def answer(self, texts: list[str]) -> None:
        """Hand each text its vector, or all of them the error."""
        futures = [self.asked[text] for text in texts]
        try:
            for future, vector in zip(futures, await self.vectors(texts), strict=True):
                future.set_result(vector)
            self.breaker.note(ok=True)
        except EncoderDown as error:
            self.breaker.note(ok=False)
            for future in futures:
                future.set_exception(error)
                future.exception()  # nobody may be left to hear it
        finally:
            for text in texts:
                self.asked.pop(text).cancel()

    async def vectors(self, texts: list[str]) -> list[bytes]:
        """The vectors of these texts, by one call; raise EncoderDown with the reason."""
        try:
            async with self.slots:
                found = await self.call(texts)
        except Exception as error:  # whatever a model's library raises, the words still find passages
            log.warning("encoder failed", extra={"model": self.name, "error": repr(error)})
            status = getattr(getattr(error, "response", None), "status_code", "")
            raise EncoderDown(f"'{self.name}' failed: {type(error).__name__} {status}".strip()) from error
        if len(found) != len(texts):
            raise EncoderDown(f"'{self.name}' gave {len(found)} vectors for {len(texts)} texts")
        return found

    def close(self) -> None:
        """Drop the calls that run."""
        for call in self.calls:
            call.cancel()


def connect(
    registry: Registry, names: set[str], settings: Settings, http: httpx2.AsyncClient
) -> dict[str, Encoder]:
    """The named encoders; raise ConfigError where a package or a file is missing."""
    path, faults, made = settings.config_dir / "models.toml", [], {}
    for name in sorted(names):
        model = registry.models[name]
        if what := lacking(model):
            faults.append(Fault(path, f"models.{name}", what))
        else:
            call = local(model) if model.provider == "onnx" else remote(model, settings, http)
            made[name] = Encoder(name, model, call, settings)
    if faults:
        raise ConfigError(faults)
    return made


def lacking(model: Model) -> str:
    """What an embedding model lacks on this machine, with the remedy."""
    extra = "onnx" if model.provider == "onnx" else "vectors"
    if missing := [name for name in PACKAGES[extra] if not importlib.util.find_spec(name)]:
        return f"needs {', '.join(missing)}: uv sync --extra {extra}"
    needed = ("model.onnx", "tokenizer.json") if extra == "onnx" else ()
    lost = [name for name in needed if not (Path(model.path) / name).exists()]
    return f"path: '{model.path}' must be a folder with {' and '.join(lost)}" if lost else ""


def remote(model: Model, settings: Settings, http: httpx2.AsyncClient) -> Call:
    """A server that speaks OpenAI's embeddings API; a call is not repeated."""
    import numpy as np

    # Not the vendor's client: it checks each number of each vector.
    key = settings.keys[model.key].get_secret_value() if model.key in settings.keys else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url, wait_s = f"{model.base_url.rstrip('/')}/embeddings", model.timeout_s or settings.model_timeout_s

    async def call(texts: list[str]) -> list[bytes]:
        asked = {"model": model.name, "input": texts, "encoding_format": "base64"}
        said = await http.post(url, json=asked, headers=headers, timeout=wait_s)
        rows = sorted(said.raise_for_status().json()["data"], key=lambda row: row["index"])
        found = [row["embedding"] for row in rows]  # as asked, or as a list by servers that know no base64
        return unit([np.frombuffer(base64.b64decode(v), "<f4") if isinstance(v, str) else v for v in found])

    return call


def local(model: Model) -> Call:
    """An ONNX encoder in this process, with a tokenizer; the mean of its tokens' vectors is taken."""
    import numpy as np
    from onnxruntime import InferenceSession, SessionOptions
    from tokenizers import Tokenizer

    options = SessionOptions()
    # Threads that spin while they wait would take the CPU from the app.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    folder = Path(model.path)
    session = InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(min(model.context, MAX_TOKENS))
    tokenizer.no_padding()
    wanted = {item.name for item in session.get_inputs()}

    def run(text: str) -> Any:
        ids = np.array([tokenizer.encode(text).ids])
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        states = session.run(None, {name: value for name, value in given.items() if name in wanted})[0][0]
        return states.mean(axis=0) if states.ndim == 2 else states

    # One after the other: on a CPU, padding to the longest of a batch costs more than the batch saves.
    return lambda texts: asyncio.to_thread(lambda: unit([run(text) for text in texts]))


def unit(rows: Any) -> list[bytes]:
    """The rows at length 1; raise ValueError for what is no matrix of numbers."""
    import numpy as np

    matrix = np.asarray(rows, dtype="<f4")
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise ValueError("no vectors of finite numbers")
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return [row.tobytes() for row in matrix / np.maximum(lengths, np.finfo("f4").tiny)]
