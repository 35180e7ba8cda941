"""Everything a running app holds, opened once and closed in order."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from openfeature.contrib.tools.flagd.core import FlagdCore
from pydantic_ai.models import Model as Client
from sqlalchemy.ext.asyncio import AsyncEngine

from app import clients, db, features, flags, models, policy, quality, retrieve, settings, shape
from app.access import Access, Caller
from app.breaker import Breaker
from app.cache import Answers
from app.errors import ConfigError, Fault
from app.features import Feature
from app.limits import Limits
from app.metrics import Metrics
from app.models import Model, Registry
from app.policy import Policy
from app.record import Recorder
from app.results import Queue
from app.retrieve import Index
from app.settings import Settings
from app.tiers import Target


@dataclass(frozen=True)
class Plan:
    """What the files say, checked; nothing is connected yet."""

    settings: Settings
    features: dict[str, Feature]
    registry: Registry
    policy: Policy
    flags: FlagdCore
    digests: dict[str, str]
    economical: frozenset[str]

    def economises(self, feature: Feature, caller: Caller) -> bool:
        """Whether this request takes the feature's smaller tier first."""
        economy = feature.spec.economy
        return economy is not None and feature.name in self.economical and caller.share >= economy.above


@dataclass(frozen=True)
class Services:
    """The plan and what is open for it."""

    plan: Plan
    engine: AsyncEngine
    access: Access
    clients: dict[str, Client]
    breakers: dict[str, Breaker]
    cache: Answers
    indexes: dict[str, Index]
    limits: Limits
    recorder: Recorder
    queue: Queue
    streams: dict[str, object] = field(default_factory=dict)
    asked: dict[tuple[str, str], Target] = field(default_factory=dict)

    def targets(self, feature: Feature, models: dict[str, Model]) -> list[Target]:
        """These models, ready to be asked by this feature."""
        return [self.target(feature, name, model) for name, model in models.items()]

    def target(self, feature: Feature, name: str, model: Model) -> Target:
        """One of them, made once: its JSON schema costs more than the rest of a request."""
        if (feature.name, name) not in self.asked:
            wanted = shape.wanted(feature, model)
            self.asked[feature.name, name] = Target(
                name, model, self.clients[name], self.breakers[name], *wanted
            )
        return self.asked[feature.name, name]


def plan(config: Settings) -> Plan:
    """Read and check all files; raise one ConfigError with the faults of all of them."""
    faults: list[Fault] = []
    found = features.attempt(faults, lambda: features.load_all(config.features_dir))
    registry = features.attempt(faults, lambda: models.load(config.config_dir))
    rules = features.attempt(faults, lambda: policy.load(config.config_dir))
    core = features.attempt(faults, lambda: flags.load(config.config_dir))
    if found is not None and registry and rules:
        faults += contradictions(config, found, registry, rules)
        tiers = {model.tier for model in registry.models.values()}
        faults += flags.faults(config.config_dir, found, tiers) if core else []
    if faults or found is None or registry is None or rules is None or core is None:
        raise ConfigError(faults)
    states = {feature.name: digest(feature, registry) for feature in found.values()}
    economical = frozenset(f.name for f in found.values() if quality.is_enough(f, registry))
    return Plan(config, found, registry, rules, core, states, economical)


def contradictions(
    config: Settings, found: dict[str, Feature], registry: Registry, rules: Policy
) -> list[Fault]:
    """What features name and other files lack: tiers, use cases, corpora."""
    tiers = {model.tier for model in registry.models.values()}
    faults: list[Fault] = []
    for feature in found.values():
        toml, spec = feature.folder / "feature.toml", feature.spec
        for tier in set(spec.tiers) - tiers:
            listed = ", ".join(sorted(tiers))
            faults.append(
                Fault(toml, "tiers", f"no model has tier '{tier}' in models.toml (known: {listed})")
            )
        if spec.use_case not in rules.use_cases:
            what = f"'{spec.use_case}' is not in policy.toml (known: {policy.known(rules)})"
            faults.append(Fault(toml, "use_case", what))
        if spec.retrieval and not retrieve.pages(Path(spec.retrieval.corpus)):
            what = f"'{spec.retrieval.corpus}' holds no markdown page"
            faults.append(Fault(toml, "retrieval.corpus", what))
    return faults


def corpora(found: Plan) -> list[Path]:
    """The folders that features search, each once."""
    named = [f.spec.retrieval.corpus for f in found.features.values() if f.spec.retrieval]
    return [Path(name) for name in dict.fromkeys(named)]


def open_index(found: Plan, corpus: Path) -> Index:
    """The index of a corpus; raise ConfigError where `app setup` has not built it."""
    path = retrieve.path_for(corpus, found.settings.var_dir)
    if not path.exists():
        raise ConfigError([Fault(corpus, "", "has no index for its present pages: run 'uv run app setup'")])
    return Index(path)


async def setup(found: Plan) -> None:
    """Make what the app needs before its first start: tables and indexes. Safe to repeat."""
    engine = db.connect(found.settings.database_url)
    try:
        await db.migrate(engine)
    finally:
        await engine.dispose()
    for corpus in corpora(found):
        retrieve.build(corpus, found.settings.var_dir)


@asynccontextmanager
async def start(found: Plan) -> AsyncIterator[Services]:
    """Open everything in the running loop; close it when the app ends."""
    if found.settings.auth == "required":
        settings.pepper(found.settings)
    if faults := models.verify(found.registry, found.settings.config_dir):
        raise ConfigError(faults)
    engine = db.connect(found.settings.database_url)
    store = Answers(found.settings.cache_url)
    async with clients.pool(found.registry, found.settings.model_timeout_s) as http:
        recorder = None
        indexes: dict[str, Index] = {}
        try:
            await db.require(engine)
            for corpus in corpora(found):
                indexes[str(corpus)] = open_index(found, corpus)
            objectives_s = {f.name: f.spec.slo.p95_ms / 1000 for f in found.features.values()}
            callers = clients.connect(found.registry, found.settings, http)
            recorder = Recorder(engine, Metrics(objectives_s))
            counters = Limits(found.settings.rate_per_minute, found.settings.limits_url)
            access = Access(engine, found.settings)
            breakers = {name: Breaker() for name in callers}
            queue = Queue(engine, found.settings.max_waiting_jobs, found.settings.tenant_waiting_jobs)
            yield Services(
                found, engine, access, callers, breakers, store, indexes, counters, recorder, queue
            )
        finally:
            if recorder:
                await recorder.close()
            for index in indexes.values():
                index.close()
            await store.close()
            await engine.dispose()


async def rehearse(found: Plan) -> None:
    """Open everything and close it again; raise ConfigError if something is missing."""
    async with start(found):
        pass


def digest(feature: Feature, registry: Registry) -> str:
    """A hash of all that decides a feature's answers but its prompt: for the cache and the reports."""
    told = [feature.digest, registry.digest()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
