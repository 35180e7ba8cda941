"""Make the clients of the models in the registry; each speaks the same interface."""

import httpx2
from pydantic_ai.models import Model as Client

from app.errors import ConfigError, Fault
from app.keyless import model as keyless
from app.models import Model, Registry
from app.settings import Settings


def connect(registry: Registry, settings: Settings, http: httpx2.AsyncClient) -> dict[str, Client]:
    """One client a model, all on one HTTP pool; raise ConfigError where a model's key is not set."""
    missing = [
        Fault(settings.config_dir / "models.toml", f"models.{name}.key", no_key(model.key))
        for name, model in registry.models.items()
        if model.key and model.key not in settings.keys
    ]
    if missing:
        raise ConfigError(missing)
    return {name: client(model, settings, http) for name, model in registry.models.items()}


def no_key(name: str) -> str:
    """The remedy for a key that is named but not set."""
    return f"'{name}' is not set; put APP_KEYS__{name.upper()}=... into .env or the environment"


def client(model: Model, settings: Settings, http: httpx2.AsyncClient) -> Client:
    """The client of one model. Retries are off: the next tier is the retry."""
    if model.provider == "keyless":
        return keyless.model()
    # Imported here: the vendor's package costs a second of every start, also of one that never calls it.
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    key = settings.keys[model.key].get_secret_value() if model.key else "none"
    provider = OpenAIProvider(base_url=model.base_url, api_key=key, http_client=http)
    wait_s = model.timeout_s or settings.model_timeout_s
    limits = {"timeout": wait_s, "request_timeout": wait_s, "max_retries": 0}
    return OpenAIChatModel(model.name, provider=provider, settings=limits)  # type: ignore[arg-type]
