"""The model registry: what config/models.toml lists, by tier, and which weights models.lock holds it to."""

import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from genai_prices import Usage, calc_price
from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from app import files
from app.errors import Fault
from app.files import Strict

VERSION = "keyless-3"
Provider = Literal["keyless", "openai-compatible", "anthropic", "google", "onnx"]
# They run in this process: what they are given goes nowhere. The value is the name if the file gives none.
IN_PROCESS = {"keyless": VERSION, "onnx": "onnx"}
KEYLESS: dict[str, Any] = {"provider": "keyless"}
VENDORS = ("anthropic", "google")


class Price(Strict):
    """Dollars per million tokens."""

    input_usd: Decimal = Field(ge=0)
    output_usd: Decimal = Field(ge=0)


class Model(Strict):
    """One model: where it is, what it may be used for, what it costs. `context` is in tokens."""

    provider: Provider
    kind: Literal["chat", "embedding"] = Field(default="chat", validate_default=True)
    tier: str = "standard"
    name: str = Field(min_length=1)
    base_url: str = Field(default="", validate_default=True)
    key: str = Field(default="", pattern=r"^[a-z0-9_]*$", validate_default=True)
    region: str = Field(min_length=1)
    retention_days: int = Field(ge=0)
    revision: str = ""
    path: str = Field(default="", validate_default=True)
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    context: int = Field(default=8_192, gt=0)
    matryoshka: bool = False
    max_running: int = Field(default=32, gt=0)
    timeout_s: float | None = Field(default=None, gt=0)
    json_mode: Literal["prompt", "object", "schema"] = "schema"
    price: Price | None = Field(default=None, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def in_process_is_local(cls, given: object) -> object:
        """What runs in this process is local and keeps nothing; of every other model it must be said."""
        if isinstance(given, dict) and (name := IN_PROCESS.get(str(given.get("provider")))):
            return {"name": name, "region": "local", "retention_days": 0, **given}
        return given

    @field_validator("kind", "base_url", "key", "path", "price")
    @classmethod
    def fits(cls, value: object, told: ValidationInfo) -> object:
        """What the provider asks of a field: one check a field, so that all faults are reported together."""
        if said := misfit(told.field_name, value, told.data):
            raise PydanticCustomError("misfit", "{said}", {"said": said})
        return value

    @property
    def pin(self) -> str:
        """What names this model's behaviour: answers of another pin are not comparable."""
        told = {"": self.name, "@": self.revision, "#": self.sha256, " at ": self.base_url}
        maker = "" if self.provider == "keyless" else f"{self.provider}:"
        return maker + "".join(f"{sign}{value}" for sign, value in told.items() if value)

    def cost_usd(self, input_tokens: int, output_tokens: int) -> Decimal | None:
        """Dollars of one call; None where no price is known (unknown is not free)."""
        if self.price:
            spent = input_tokens * self.price.input_usd + output_tokens * self.price.output_usd
            return spent / 1_000_000
        return listed_usd(vars(self), input_tokens, output_tokens)


class Registry(Strict):
    """The content of config/models.toml; without it the keyless model stands alone."""

    models: dict[str, Model] = Field(default_factory=lambda: {"keyless": Model(**KEYLESS)})

    def in_tiers(self, tiers: list[str]) -> dict[str, Model]:
        """The chat models of these tiers, in the tiers' order, then in the file's."""
        chat = {name: model for name, model in self.models.items() if model.kind == "chat"}
        return {n: m for tier in tiers for n, m in chat.items() if m.tier == tier}

    @property
    def tiers(self) -> set[str]:
        """Every tier that a model has."""
        return {model.tier for model in self.models.values()}

    def digest(self) -> str:
        """A hash of every model's pin, for reports and the cache."""
        pins = json.dumps({name: model.pin for name, model in self.models.items()}, sort_keys=True)
        return hashlib.sha256(pins.encode()).hexdigest()[:12]


class Locked(Strict):
    """One model as it was locked; `sha256` and `size` (bytes) are of local weights."""

    pin: str
    sha256: str = ""
    size: int = 0


class Lock(Strict):
    """The content of config/models.lock, which `ops models lock` writes."""

    models: dict[str, Locked] = {}


def load(config: Path) -> Registry:
    """Read models.toml, and the hashes that it leaves to models.lock; raise ConfigError with every fault."""
    registry, lock = files.read_toml(config / "models.toml", Registry), load_lock(config)
    known = {
        name: model.model_copy(update={"sha256": lock.models[name].sha256})
        for name, model in registry.models.items()
        if model.path and not model.sha256 and name in lock.models
    }
    return Registry(models={**registry.models, **known})


def load_lock(config: Path) -> Lock:
    """Read config/models.lock; empty where there is none."""
    return files.read_toml(config / "models.lock", Lock)


def verify(registry: Registry, config: Path) -> list[Fault]:
    """What is wrong with local weights: missing, never pinned, or not those of models.toml or models.lock."""
    lock, faults = load_lock(config).models, []
    for name, model in registry.models.items():
        pinned = {model.sha256, lock[name].sha256 if name in lock else ""} - {""}
        if model.path and pinned != {found := held(Path(model.path))}:
            what = f"{model.path} holds {found}, pinned is {' and '.join(sorted(pinned)) or 'nothing'}"
            remedy = "fetch the weights again, or, if they are right: uv run ops models lock"
            faults.append(Fault(config / "models.toml", f"models.{name}.path", f"{what}; {remedy}"))
    return faults


def held(path: Path) -> str:
    """The sha256 of a file, or over hash and name of each file in a folder; else why there is none."""
    try:
        if path.is_dir():
            inner = [p for p in sorted(path.rglob("*")) if p.is_file()]
            told = "".join(f"{held(p)}  {p.relative_to(path).as_posix()}\n" for p in inner)
            return hashlib.sha256(told.encode()).hexdigest()
        with path.open("rb") as weights:
            return hashlib.file_digest(weights, "sha256").hexdigest()
    except OSError as error:
        return f"nothing that can be read ({error.strerror})"


def misfit(field: str | None, value: object, told: dict[str, Any]) -> str:
    """What is wrong with a field of a model, given the fields before it."""
    provider = told.get("provider")
    if field == "kind" and provider == "onnx" and value != "embedding":
        return 'an onnx model only embeds: kind = "embedding"'
    if field == "base_url" and not value and provider == "openai-compatible":
        return "base_url is required, e.g. https://api.example.com/v1"
    if field == "base_url" and value and not str(value).startswith(("https://", "http://")):
        return "base_url must start with https:// or http://"
    if field == "key" and not value and provider in VENDORS:
        return f'is required: key = "{provider}", and APP_KEYS__{str(provider).upper()} in .env'
    if field == "path" and not value and provider == "onnx":
        return "is required: the file or folder of the weights"
    if field == "price" and not value and told.get("kind") == "chat" and listed_usd(told, 1, 1) is None:
        return "is not known and would escape every budget: add price = { input_usd = 1, output_usd = 2 }"
    return ""


def listed_usd(told: dict[str, Any], input_tokens: int, output_tokens: int) -> Decimal | None:
    """Dollars by the list of genai-prices, none in this process; None where the list lacks the model."""
    provider, name, url = (told.get(key, "") for key in ("provider", "name", "base_url"))
    if provider in IN_PROCESS:
        return Decimal(0)
    where: dict[str, Any] = {"provider_id": provider} if provider in VENDORS else {"provider_api_url": url}
    try:
        used = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return calc_price(used, name, **where).total_price
    except LookupError:
        return None
