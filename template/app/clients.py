"""Make the clients of the models in the registry; each speaks the same interface."""

import httpx2
from pydantic_ai.concurrency import ConcurrencyLimiter
from pydantic_ai.exceptions import ConcurrencyLimitExceeded, ModelAPIError
from pydantic_ai.models import Model as Client
from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
from pydantic_ai.settings import ModelSettings

from app.errors import ConfigError, Fault
from app.keyless import model as keyless
from app.models import IN_PROCESS, Model, Registry
from app.settings import Settings

# Each model has its own bound, max_running; this one only keeps a fault from taking every socket.
MAX_CONNECTIONS = 1_000


class Slots(ConcurrencyLimiter):
    """As many calls at once as a model takes; as many more wait, so none longer than a call may last."""

    async def acquire(self, source: str) -> None:
        """Take a slot; raise ModelAPIError, after which the next model is asked, where too many wait."""
        try:
            await super().acquire(source)
        except ConcurrencyLimitExceeded as error:
            raise ModelAPIError(source, f"busy: {error}; see max_running in models.toml") from error


def pool(registry: Registry, timeout_s: float) -> httpx2.AsyncClient:
    """The HTTP connections to all models, by aiohttp: httpx's own transport costs much more CPU a request."""
    if all(model.provider in IN_PROCESS for model in registry.models.values()):
        return httpx2.AsyncClient()
    from openai import DefaultAioHttpClient

    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS)
    made: httpx2.AsyncClient = DefaultAioHttpClient(timeout=timeout_s, limits=limits)
    return made


def connect(registry: Registry, settings: Settings, http: httpx2.AsyncClient) -> dict[str, Client]:
    """One client a chat model, all on one HTTP pool; raise ConfigError where a key or package is missing."""
    faults: list[Fault] = []
    made: dict[str, Client] = {}
    path = settings.config_dir / "models.toml"
    for name, model in registry.models.items():
        try:
            if model.key and model.key not in settings.keys:
                faults.append(Fault(path, f"models.{name}.key", no_key(model.key)))
            elif model.kind == "chat":
                made[name] = client(model, settings, http)
        except ImportError:
            remedy = f"the package of '{model.provider}' is missing: uv sync --extra {model.provider}"
            faults.append(Fault(path, f"models.{name}.provider", remedy))
    if faults:
        raise ConfigError(faults)
    return made


def no_key(name: str) -> str:
    """The remedy for a key that is named but not set."""
    return f"'{name}' is not set; put APP_KEYS__{name.upper()}=... into .env or the environment"


def client(model: Model, settings: Settings, http: httpx2.AsyncClient) -> Client:
    """The client of one model. Retries are off: the next tier is the retry."""
    if model.provider == "keyless":
        return keyless.model()
    key = settings.keys[model.key].get_secret_value() if model.key else "none"
    wait_s = model.timeout_s or settings.model_timeout_s
    limits = ModelSettings(timeout=wait_s, request_timeout=wait_s, max_retries=0)
    slots = Slots(model.max_running, max_queued=model.max_running)
    return ConcurrencyLimitedModel(remote(model, key, http, limits), slots)


def remote(model: Model, key: str, http: httpx2.AsyncClient, limits: ModelSettings) -> Client:
    """The vendor's client; raise ImportError where its extra is not installed."""
    # Imported here: a vendor's package costs seconds of every start, also of one that never calls it.
    url = model.base_url or None
    if model.provider == "anthropic":
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        anthropic = AnthropicProvider(api_key=key, base_url=url, http_client=http)
        return AnthropicModel(model.name, provider=anthropic, settings=limits)
    if model.provider == "google":
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        google = GoogleProvider(api_key=key, base_url=url, http_client=http)
        return GoogleModel(model.name, provider=google, settings=limits)
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    from app.lean import LeanOpenAI

    openai = OpenAIProvider(openai_client=LeanOpenAI(key, url, http))
    # With max_retries as a setting each request would copy the client.
    own = ModelSettings(timeout=limits["timeout"], request_timeout=limits["request_timeout"])
    return OpenAIChatModel(model.name, provider=openai, settings=own)
