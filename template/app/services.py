"""Everything a running app holds, opened once and closed in order."""

import asyncio
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx2
from pydantic_ai.models import Model as Client
from sqlalchemy.ext.asyncio import AsyncEngine

from app import (
    agreement,
    clients,
    db,
    embed,
    features,
    flagcheck,
    flagfile,
    flags,
    flagstore,
    indexing,
    models,
    pgindex,
    policy,
    quality,
    settings,
    shape,
    shelf,
    tenants,
)
from app.access import Access, Caller
from app.breaker import Breaker
from app.cache import Answers
from app.embed import Encoder
from app.errors import ConfigError, Fault
from app.features import Feature
from app.flagcheck import Faulty, Known
from app.flagfile import Live
from app.flags import Document
from app.library import Library
from app.limits import Limits
from app.live import Stream
from app.metrics import Metrics
from app.models import Model, Registry
from app.policy import Policy
from app.record import Recorder
from app.results import Queue
from app.settings import Settings
from app.shelf import Source
from app.spec import Retrieval
from app.tiers import Target


@dataclass(frozen=True)
class Plan:
    """What the files say, checked; nothing is connected yet."""

    settings: Settings
    features: dict[str, Feature]
    registry: Registry
    policy: Policy
    flags: Document
    digests: dict[str, str]
    economical: frozenset[str]

    def faulty(self, content: Document, place: Path | None = None) -> Faulty:
        """The flags that are wrong, name what is not there, or what policy forbids."""
        known = Known(self.features, self.registry, self.policy)
        return flagcheck.faulty(content, place or self.settings.flags_file, known)

    def check_flags(self, changes: Document) -> list[Fault]:
        """The faults of the flags with these changes."""
        found = self.faulty(flagfile.merged(self.flags, changes))
        return [fault for faults in found.values() for fault in faults]

    def economises(self, feature: Feature, caller: Caller) -> bool:
        """Whether this request takes the feature's smaller tier first."""
        economy = feature.spec.economy
        return economy is not None and feature.name in self.economical and caller.share >= economy.above

    def source(self, wanted: Retrieval, tenant: str = "") -> Source:
        """The pages that a feature searches, or a tenant's own beside them."""
        model = self.registry.models.get(wanted.embeddings)
        told = wanted.embeddings, model.pin if model else "", tenant, wanted.nearest
        return Source(Path(wanted.corpus), self.settings.var_dir, *told)

    def sources(self) -> list[Source]:
        """What features search, each once."""
        named = [self.source(f.spec.retrieval) for f in self.features.values() if f.spec.retrieval]
        return list(dict.fromkeys(named))


@dataclass(frozen=True)
class Services:
    """The plan and what is open for it."""

    plan: Plan
    engine: AsyncEngine
    access: Access
    clients: dict[str, Client]
    breakers: dict[str, Breaker]
    cache: Answers
    library: Library
    limits: Limits
    recorder: Recorder
    queue: Queue
    flags: Live
    beside: set[asyncio.Task[None]] = field(default_factory=set)
    streams: dict[str, Stream] = field(default_factory=dict)
    asked: dict[tuple[str, str], Target] = field(default_factory=dict)

    def targets(self, feature: Feature, models: dict[str, Model]) -> list[Target]:
        """These models, ready to be asked by this feature."""
        return [self.target(feature, name, model) for name, model in models.items()]

    def target(self, feature: Feature, name: str, model: Model) -> Target:
        """One of them, made once: its JSON schema costs more than the rest of a request."""
        if (feature.name, name) not in self.asked:
            held = self.clients[name], self.breakers[name], *shape.wanted(feature, model)
            self.asked[feature.name, name] = Target(name, model, *held)
        return self.asked[feature.name, name]


def plan(config: Settings) -> Plan:
    """Read and check all files; raise one ConfigError with the faults of all of them."""
    faults: list[Fault] = []
    found = features.attempt(faults, features.load_all, config.features_dir)
    registry = features.attempt(faults, models.load, config.config_dir)
    rules = features.attempt(faults, policy.load, config.config_dir)
    listed = features.attempt(faults, flags.load, config.config_dir)
    if found is not None and registry and rules:
        faults += agreement.contradictions(config.var_dir, found, registry, rules)
        wrong = flagcheck.faulty(listed or flags.NONE, config.config_dir / flags.NAME, Known(found, registry))
        faults += itertools.chain(*wrong.values())
    if faults or found is None or registry is None or rules is None or listed is None:
        raise ConfigError(faults)
    states = {feature.name: digest(feature, registry) for feature in found.values()}
    economical = frozenset(f.name for f in found.values() if quality.is_enough(f, registry))
    return Plan(config, found, registry, rules, listed, states, economical)


def unindexed(found: Plan) -> list[Fault]:
    """Every corpus that has changed since its index was built, or has none."""
    what = "has no index for its present pages: run 'uv run app setup'"
    url = found.settings.index_url
    return [Fault(source.corpus, "", what) for source in found.sources() if not pgindex.fresh(source, url)]


def encoders(found: Plan, http: httpx2.AsyncClient) -> dict[str, Encoder]:
    """The embedding models that features name; raise ConfigError where one lacks something."""
    names = {source.encoder for source in found.sources()} - {""}
    return embed.connect(found.registry, names, found.settings, http)


async def index(found: Plan, tenant: str, tick: Callable[[Source, int, int], None]) -> dict[Source, Path]:
    """Build the indexes of one tenant's pages, or with no name of all; gives those that there are now."""
    if tenant:
        tenants.require_name(tenant)  # it becomes a part of paths
    if faults := models.verify(found.registry, found.settings.config_dir):
        raise ConfigError(faults)
    shared, store = found.sources(), pgindex.connect(found.settings.index_url)
    built: dict[Source, Path] = {}
    owners = [tenant] if tenant else ["", *shelf.tenants(found.settings.var_dir)]
    async with httpx2.AsyncClient() as http:
        known = encoders(found, http)
        for source in [source.of(owner) for owner in owners for source in shared]:
            path = await indexing.build(source, known.get(source.encoder), partial(tick, source))
            present = [other.of(source.tenant) for other in shared]
            indexing.retire({other.home for other in present}, source)
            if store and (path or tenant):  # a machine without a tenant's pages takes nothing from the others
                await asyncio.to_thread(store.publish, source, path, present)
            built |= {source: path} if path else {}
    return built


async def setup(found: Plan) -> None:
    """Make what the app needs before its first start: tables and indexes. Safe to repeat."""
    engine = db.connect(found.settings.database_url)
    try:
        await db.migrate(engine)
    finally:
        await engine.dispose()
    await index(found, "", lambda *_: None)


@asynccontextmanager
async def start(found: Plan) -> AsyncIterator[Services]:
    """Open everything in the running loop; close it when the app ends."""
    if found.settings.auth == "required":
        settings.require(found.settings)
    if faults := [*models.verify(found.registry, found.settings.config_dir), *unindexed(found)]:
        raise ConfigError(faults)
    async with AsyncExitStack() as opened:
        pool = clients.pool(found.registry, found.settings.model_timeout_s)
        http = await opened.enter_async_context(pool)
        engine = db.connect(found.settings.database_url)
        opened.push_async_callback(engine.dispose)
        answers = Answers(found.settings.cache_url)
        opened.push_async_callback(answers.close)
        await db.require(engine)
        objectives_s = {f.name: f.spec.slo.p95_ms / 1000 for f in found.features.values()}
        library = Library(encoders(found, http), answers, found.settings.index_url)
        opened.callback(library.close)
        callers = clients.connect(found.registry, found.settings, http)
        recorder = Recorder(engine, Metrics(objectives_s))
        opened.push_async_callback(recorder.close)
        counters = Limits(found.settings.rate_per_minute, found.settings.limits_url)
        access = Access(engine, found.settings)
        breakers = {name: Breaker() for name in callers}
        queue = Queue(engine, found.settings.max_waiting_jobs, found.settings.tenant_waiting_jobs)
        await flagstore.mend(engine, found.settings.flags_file)
        live = Live(found.flags, found.settings.flags_file, found.faulty)
        yield Services(
            found, engine, access, callers, breakers, answers, library, counters, recorder, queue, live
        )


async def rehearse(found: Plan) -> None:
    """Open everything and close it again; raise ConfigError if something is missing."""
    async with start(found):
        pass


def digest(feature: Feature, registry: Registry) -> str:
    """A hash of all that decides a feature's answers but its prompt: for the cache and the reports."""
    told = [feature.digest, registry.digest()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
