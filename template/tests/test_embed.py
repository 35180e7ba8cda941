"""Encoders: texts that come together go in one call, and no caller pays for another."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from app import embed, settings
from app.embed import Encoder
from app.errors import ConfigError, EncoderDown
from app.models import Model, Registry
from tests import embedder, kit

pytest.importorskip("numpy", reason="uv sync --extra vectors")


@asynccontextmanager
async def encoder(served: embedder.Embedder, **given: object) -> AsyncIterator[Encoder]:
    """An encoder of this server; `max_running` is the model's, the rest are settings."""
    told = {"provider": "openai-compatible", "kind": "embedding", "name": "e", "region": "local"}
    own = {name: given.pop(name) for name in ("max_running", "key") if name in given}
    with kit.serve(served.app) as url:
        model = Model(**told, **own, base_url=f"{url}/v1", retention_days=0)
        async with httpx2.AsyncClient() as http:
            made = embed.connect(Registry(models={"e": model}), {"e"}, settings.load(**given), http)["e"]
            yield made
            made.close()


def numbers(vector: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


async def test_texts_that_come_together_go_in_one_call_and_each_gets_its_own_vector(project):
    served, texts = embedder.Embedder(), [f"word{n}" for n in range(10)]
    async with encoder(served) as made:
        vectors = await asyncio.gather(*map(made.vector, texts))
    assert served.heard == [texts]
    assert [numbers(vector) for vector in vectors] == [served.vector(text) for text in texts]


async def test_a_full_call_does_not_wait_for_more(project):
    served = embedder.Embedder()
    async with encoder(served, embed_batch=2, embed_wait_ms=60_000) as made:
        await asyncio.gather(*map(made.vector, "abcd"))
    assert sorted(served.heard) == [["a", "b"], ["c", "d"]]


async def test_a_lone_text_goes_after_the_delay(project):
    served = embedder.Embedder()
    async with encoder(served, embed_wait_ms=1) as made:
        await made.vector("alone")
    assert served.heard == [["alone"]]


async def test_the_same_text_at_once_is_asked_for_once(project):
    served = embedder.Embedder(pause_s=0.05)
    async with encoder(served, embed_wait_ms=0) as made:
        first = asyncio.create_task(made.vector("same"))
        await asyncio.sleep(0.03)
        assert await made.vector("same") == await first
    assert served.texts == ["same"]


async def test_a_failure_reaches_every_caller_once_and_the_next_text_is_asked_for_again(project):
    served = embedder.Embedder(status=500)
    async with encoder(served) as made:
        said = await asyncio.gather(*map(made.vector, "abc"), return_exceptions=True)
        assert [str(error) for error in said] == ["'e' failed: HTTPStatusError 500"] * 3
        assert len(served.heard) == 1
        served.status = 200
        assert await made.vector("a")


async def test_a_caller_that_leaves_takes_no_vector_from_the_others(project):
    async with encoder(embedder.Embedder(pause_s=0.05)) as made:
        first, second = (asyncio.create_task(made.vector("same")) for _ in range(2))
        await asyncio.sleep(0.02)
        first.cancel()
        assert await second


async def test_more_texts_than_may_wait_are_refused(project, monkeypatch):
    monkeypatch.setattr(embed, "MAX_WAITING", 2)
    async with encoder(embedder.Embedder()) as made:
        said = await asyncio.gather(*map(made.vector, "abc"), return_exceptions=True)
    assert [isinstance(item, bytes) for item in said] == [True, True, False]
    assert "2 texts wait for 'e'; see max_running" in str(said[2])


@pytest.mark.slow
async def test_an_encoder_that_hangs_costs_a_question_two_seconds_and_after_five_nothing(
    project, monkeypatch
):
    monkeypatch.setattr(embed, "QUESTION_S", 0.05)
    served = embedder.Embedder(pause_s=5)
    async with encoder(served, embed_wait_ms=0, max_running=9) as made:
        for text in "abcde":
            with pytest.raises(EncoderDown, match="no vector within"):
                await made.vector(text)
        with pytest.raises(EncoderDown, match="left alone"):
            await made.vector("f")
        served.pause_s = 0
    assert "f" not in served.texts


@pytest.mark.parametrize("lists", [True, False])
async def test_vectors_come_as_lists_or_in_base64(project, lists):
    served = embedder.Embedder()
    served.lists = lists
    async with encoder(served) as made:
        assert numbers(await made.vector("one")) == served.vector("one")


@pytest.mark.parametrize("row", [["x"], "AAAA", [[1.0]], [], "AADAfw=="])  # the last is not a number
async def test_what_is_no_vector_is_refused(project, monkeypatch, row):
    served = embedder.Embedder()
    monkeypatch.setattr(served, "shown", lambda said: row if said == "a" else [1.0])
    async with encoder(served) as made:
        with pytest.raises(EncoderDown, match="ValueError"):
            await asyncio.gather(made.vector("a"), made.vector("b"))


async def test_a_vector_too_few_is_no_other_texts_vector(project):
    served = embedder.Embedder()
    async with encoder(served) as made:

        async def short(texts: list[str]) -> list[bytes]:
            return [b"1234"] * (len(texts) - 1)

        made.call = short
        with pytest.raises(EncoderDown, match="1 vectors for 2 texts"):
            await asyncio.gather(made.vector("a"), made.vector("b"))


async def test_the_models_key_is_sent_and_vectors_have_length_one(project):
    served = embedder.Embedder()
    async with encoder(served, key="far", keys={"far": "secret-key"}) as made:
        vector = numbers(await made.vector("one two two"))
    assert served.headers["authorization"] == "Bearer secret-key"
    assert math.hypot(*vector) == pytest.approx(1)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(embed.PACKAGES, "onnx", ("numpy", "not_installed"))
    model = Model(provider="onnx", kind="embedding", path=".")
    assert embed.lacking(model) == "needs not_installed: uv sync --extra onnx"


def test_an_encoder_without_its_files_names_them(tmp_path):
    pytest.importorskip("onnxruntime", reason="uv sync --extra onnx")
    (tmp_path / "model.onnx").write_bytes(b"")
    model = Model(provider="onnx", kind="embedding", path=str(tmp_path))
    with pytest.raises(ConfigError, match=r"models\.e: path: .*must be a folder with tokenizer\.json"):
        embed.connect(Registry(models={"e": model}), {"e"}, settings.load(), httpx2.AsyncClient())


@pytest.fixture
def tiny(tmp_path) -> Path:
    """An ONNX encoder of three words: each token's vector is a row of a table."""
    table = struct.pack("<8f", *[9, 9], *[1, 0], *[0, 1], *[3, 4])  # padding, red, green, blue
    weights = tensor(b"table", [4, 2], table)
    node = part(1, b"table") + part(1, b"input_ids") + part(2, b"states") + part(4, b"Gather")
    ends = part(11, port(b"input_ids", 7, 2)) + part(11, port(b"attention_mask", 7, 2))
    graph = part(1, node) + part(2, b"tiny") + part(5, weights) + ends + part(12, port(b"states", 1, 3))
    (tmp_path / "model.onnx").write_bytes(b"\x08\x09" + part(7, graph) + part(8, b"\x10\x12"))
    tokenizers = pytest.importorskip("tokenizers", reason="uv sync --extra onnx")
    words = tokenizers.models.WordLevel({"[PAD]": 0, "red": 1, "green": 2, "blue": 3}, unk_token="[PAD]")
    made = tokenizers.Tokenizer(words)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_padding(length=8)  # as many encoders come; it must not count
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def part(number: int, content: bytes) -> bytes:
    """A field of protobuf, up to 16 kB."""
    size = len(content)
    return (
        bytes([number << 3 | 2])
        + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7]))
        + content
    )


def tensor(name: bytes, shape: list[int], values: bytes) -> bytes:
    """A tensor of floats."""
    return b"".join(bytes([8, size]) for size in shape) + b"\x10\x01" + part(8, name) + part(9, values)


def port(name: bytes, kind: int, rank: int) -> bytes:
    """An input or output with open dimensions."""
    shape = b"".join(part(1, part(2, bytes([97 + n]))) for n in range(rank))
    return part(1, name) + part(2, part(1, bytes([8, kind]) + part(2, shape)))


async def test_an_onnx_encoder_takes_the_mean_of_the_tokens(project, tiny):
    pytest.importorskip("onnxruntime", reason="uv sync --extra onnx")
    model = Model(provider="onnx", kind="embedding", path=str(tiny))
    async with httpx2.AsyncClient() as http:
        made = embed.connect(Registry(models={"e": model}), {"e"}, settings.load(), http)["e"]
        short, long = await asyncio.gather(made.vector("blue"), made.vector("red green red green"))
    assert numbers(short) == pytest.approx([0.6, 0.8])
    assert numbers(long) == pytest.approx([0.5**0.5, 0.5**0.5])
