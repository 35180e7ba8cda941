"""Lock the models: write what each one is to config/models.lock, and say later which one differs."""

import json
from pathlib import Path

import httpx2

from app import files, models, settings
from app.errors import Fault
from app.models import Locked, Model, Registry
from app.settings import Settings
from ops.errors import NotReady


def lock() -> Path:
    """Hash local weights and write models.lock; raise NotReady where they are not those of models.toml."""
    config = settings.load().config_dir
    # Without the old lock, whose hashes are what is renewed here; those of models.toml still hold.
    registry = files.read_toml(config / "models.toml", Registry)
    lines = ["# Written by `uv run ops models lock`; commit it."]
    for name, model in sorted(registry.models.items()):
        told = {key: value for key, value in locked(name, model).model_dump().items() if value}
        lines += ["", f"[models.{json.dumps(name)}]", *(f"{k} = {json.dumps(v)}" for k, v in told.items())]
    files.write_atomic(config / "models.lock", "\n".join(lines) + "\n")
    return config / "models.lock"


def locked(name: str, model: Model) -> Locked:
    """A model's entry: its pin with the hash of the weights, and their size in bytes."""
    if not model.path:
        return Locked(pin=model.pin)
    path = Path(model.path)
    found = models.held(path)
    if found.startswith("nothing") or model.sha256 not in ("", found):
        raise NotReady(f"models.{name}: {path} holds {found}; fetch the weights, or mend path and sha256")
    size = sum(p.stat().st_size for p in [path, *path.rglob("*")] if p.is_file())
    return Locked(pin=model.model_copy(update={"sha256": found}).pin, sha256=found, size=size)


def verify(*, live: bool = False) -> list[Fault]:
    """What differs from models.lock; with `live`, also the models that their servers do not list."""
    config = settings.load()
    path, registry = config.config_dir / "models.lock", models.load(config.config_dir)
    now = {name: model.pin for name, model in registry.models.items()}
    was = {name: entry.pin for name, entry in models.load_lock(config.config_dir).models.items()}
    faults = models.verify(registry, config.config_dir)
    for name in sorted(now.keys() | was.keys()):
        if now.get(name) != was.get(name):
            what = f"is {now.get(name, 'gone')}, locked is {was.get(name, 'nothing')}"
            faults.append(Fault(path, f"models.{name}", f"{what}: if that is right: uv run ops models lock"))
    for name, model in registry.models.items() if live else ():
        if model.provider == "openai-compatible" and (said := not_listed(model, config)):
            faults.append(Fault(config.config_dir / "models.toml", f"models.{name}.name", said))
    return faults


def not_listed(model: Model, config: Settings) -> str:
    """What a server's GET /models says against a model, or nothing."""
    url, key = f"{model.base_url.rstrip('/')}/models", config.keys.get(model.key)
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        said = httpx2.get(url, headers=headers, timeout=10).raise_for_status().json()
        names = sorted(str(item["id"]) for item in said["data"])
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
        return f"GET {url} gives no list ({type(error).__name__}): is the server up, and the key right?"
    listed = ", ".join(names[:10]) or "none"
    return "" if model.name in names else f"'{model.name}' is not served at {url} (listed: {listed})"
