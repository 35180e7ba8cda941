"""The project as a load test runs it: open, with files of its own, asking no model but the keyless one."""

from dataclasses import replace

from app import services, settings
from app.features import Feature
from app.models import IN_PROCESS, KEYLESS, Model, Registry
from app.policy import Policy
from app.services import Plan
from app.settings import Settings

FOLDER = "load"
# What a run shares with nobody, whatever the settings of production name.
ALONE = {"auth": "open", "index_url": "", "limits_url": "memory://", "rate_per_minute": 10**9}


def plan() -> Plan:
    """The plan; nothing that it names is beyond this machine, so load costs nobody anything."""
    found = services.plan(config(settings.load()))
    chat = {n: m for n, m in found.registry.models.items() if m.kind == "chat"}
    own = {n: m for n, m in found.registry.models.items() if m.provider in IN_PROCESS}
    keyless = {name: Model(**KEYLESS, tier=model.tier) for name, model in chat.items()}
    features = {name: searched(feature, own) for name, feature in found.features.items()}
    models = Registry(models={**own, **keyless})
    return replace(found, features=features, registry=models, policy=allowed(found.policy))


def config(given: Settings) -> Settings:
    """The settings, with a database, an index and a cache of its own and no limit on requests."""
    folder = given.var_dir / FOLDER
    url = f"sqlite+aiosqlite:///{(folder / 'app.db').as_posix()}"
    own = {"var_dir": folder, "flags_file": folder / "flags.json", "database_url": url}
    own |= {"cache_url": "mem://", "log_level": "warning"}
    return given.model_copy(update=ALONE | own)


def searched(feature: Feature, own: dict[str, Model]) -> Feature:
    """The feature; where its encoder is asked over a network, words alone find."""
    retrieval = feature.spec.retrieval
    if not retrieval or retrieval.embeddings in {"", *own}:
        return feature
    words = retrieval.model_copy(update={"embeddings": ""})
    return replace(feature, spec=feature.spec.model_copy(update={"retrieval": words}))


def allowed(policy: Policy) -> Policy:
    """The policy, and the keyless model for every use case: it stands in for those that are allowed."""
    rules = {
        name: rule.model_copy(
            update={"providers": [*rule.providers, "keyless"], "regions": [*rule.regions, "local"]}
        )
        for name, rule in policy.use_cases.items()
    }
    return policy.model_copy(update={"use_cases": rules})
