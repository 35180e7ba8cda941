"""The indexes that are open, and the search in them: what all tenants share, and what is the caller's own."""

import asyncio
import base64
import sqlite3
import time
from dataclasses import dataclass, field

from cachetools import LRUCache

from app import cache, pgindex, retrieve, shelf
from app.cache import Answers
from app.embed import Encoder
from app.errors import EncoderDown, Unavailable
from app.passages import Passage
from app.retrieve import AnyIndex, Index
from app.shelf import Source

MAX_OPEN = 200
# How long an index that was built anew may go unnoticed.
CHECK_S = 1.0
# Above so many passages a search takes milliseconds: it leaves the loop to others.
INLINE_PASSAGES = 2_000


@dataclass
class Held:
    """An index, if there is one, and the state of its folder or the builds there were at that time."""

    index: AnyIndex | None = None
    stamp: object = None
    checked_s: float = -CHECK_S
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_fresh(self) -> bool:
        """Whether it was looked at a moment ago."""
        return time.monotonic() - self.checked_s < CHECK_S


@dataclass(frozen=True)
class Found:
    """The passages, best first; whether vectors would have helped but there were none."""

    passages: list[Passage]
    words_only: bool = False


class Library:
    """Every index that was searched lately, opened at its first use."""

    def __init__(self, encoders: dict[str, Encoder], answers: Answers, index_url: str = "") -> None:
        self.encoders, self.answers = encoders, answers
        self.store = pgindex.connect(index_url)
        self.held: LRUCache[Source, Held] = LRUCache(MAX_OPEN)

    async def search(self, source: Source, question: str, k: int, scope: str, ttl_s: int) -> Found:
        """The passages for a question: the tenant's own pages and those of the corpus, ranked together.

        The question's vector is kept for `ttl_s` seconds, for this tenant alone if `scope` names it.
        """
        asked = source, question, k, scope, ttl_s
        try:
            return await self.once(*asked)
        except Unavailable:  # the index was replaced meanwhile
            self.held.clear()
            return await self.once(*asked)

    async def once(self, source: Source, question: str, k: int, scope: str, ttl_s: int) -> Found:
        """Search in the indexes as they are known; raise Unavailable where one is gone or away."""
        found = [await self.index(source), await self.index(source.of(""))]
        indexes = [index for index in found if index]
        try:
            vector = await self.vector(source, question, scope, ttl_s) if source.encoder else b""
            return Found(await ranked(indexes, question, vector, k))
        except EncoderDown:
            return Found(await ranked(indexes, question, b"", k), words_only=True)

    async def vector(self, source: Source, question: str, scope: str, ttl_s: int) -> bytes:
        """The question's vector, kept by its content and the model's pin."""
        key = cache.key(scope, "vector", source.pin, question)
        if kept := await self.answers.get(key, ttl_s):
            return base64.b64decode(kept["vector"])
        made = await self.encoders[source.encoder].vector(question)
        await self.answers.put(key, {"vector": base64.b64encode(made).decode()}, ttl_s)
        return made

    async def index(self, source: Source) -> AnyIndex | None:
        """The index as it is now; at most once in CHECK_S it is asked whether there is another."""
        held = self.held.setdefault(source, Held())
        if held.is_fresh:
            return held.index
        async with held.opening:
            if held.is_fresh:  # somebody else has looked meanwhile
                return held.index
            stamp = await asyncio.to_thread(self.store.builds, source) if self.store else changed(source)
            if held.stamp != stamp:
                choose = (self.store.choose, source, stamp) if self.store else (look, source, held.index)
                held.index = await asyncio.to_thread(*choose)
            held.stamp, held.checked_s = stamp, time.monotonic()
        return held.index

    def close(self) -> None:
        """Release the files and the encoders."""
        for held in self.held.values():
            if isinstance(held.index, Index):
                held.index.close()
        for encoder in self.encoders.values():
            encoder.close()


async def ranked(indexes: list[AnyIndex], question: str, vector: bytes, k: int) -> list[Passage]:
    """Search on the loop where that is shorter than the way to a thread, and waits for nothing."""
    asked = (indexes, question, vector, k)
    files = all(isinstance(index, Index) for index in indexes)
    if files and sum(index.size for index in indexes) <= INLINE_PASSAGES:
        return retrieve.search(*asked)
    return await asyncio.to_thread(retrieve.search, *asked)


def changed(source: Source) -> int:
    """When a source's folder of indexes last changed, in ns."""
    return source.home.stat().st_mtime_ns if source.home.exists() else 0


def look(source: Source, before: Index | None) -> Index | None:
    """Open the newest index, unless it is the one that is open."""
    try:
        path = shelf.newest(source)
        return before if before and before.path == path else Index(path, source.nearest) if path else None
    except (OSError, sqlite3.Error):  # it was removed just now, so the folder has changed once more
        return before
