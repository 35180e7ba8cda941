"""The model registry: what config/models.toml lists, by tier."""

import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Literal

from genai_prices import Usage, calc_price
from pydantic import Field, model_validator

from app import files
from app.files import Strict

VERSION = "keyless-2"


class Price(Strict):
    """Dollars per million tokens."""

    input_usd: Decimal = Field(ge=0)
    output_usd: Decimal = Field(ge=0)


class Model(Strict):
    """One model: where it is, what it may be used for, what it costs."""

    provider: Literal["keyless", "openai-compatible"]
    tier: str = "standard"
    name: str = VERSION
    base_url: str = ""
    key: str = Field(default="", pattern=r"^[a-z0-9_]*$")
    region: str = "local"
    retention_days: int = Field(default=0, ge=0)
    revision: str = ""
    timeout_s: float | None = Field(default=None, gt=0)
    json_mode: Literal["prompt", "object", "schema"] = "schema"
    price: Price | None = None

    @model_validator(mode="after")
    def endpoint_is_known(self) -> "Model":
        """A provider behind an API needs its address."""
        if self.provider != "keyless" and not self.base_url.startswith(("http://", "https://")):
            raise ValueError("base_url is required, e.g. https://api.example.com/v1")
        return self

    @property
    def pin(self) -> str:
        """What names this model's behaviour: answers of another pin are not comparable."""
        return "@".join(part for part in (self.name, self.revision) if part)

    def cost_usd(self, input_tokens: int, output_tokens: int) -> Decimal | None:
        """Dollars of one call; None where no price is known (unknown is not free)."""
        if self.price:
            spent = input_tokens * self.price.input_usd + output_tokens * self.price.output_usd
            return spent / 1_000_000
        if self.provider == "keyless":
            return Decimal(0)
        try:
            usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
            return calc_price(usage, self.name, provider_api_url=self.base_url).total_price
        except LookupError:
            return None


class Registry(Strict):
    """The content of config/models.toml; without it the keyless model stands alone."""

    models: dict[str, Model] = {"keyless": Model(provider="keyless")}

    def in_tiers(self, tiers: list[str]) -> dict[str, Model]:
        """The models of these tiers, in the tiers' order, then in the file's."""
        return {n: m for tier in tiers for n, m in self.models.items() if m.tier == tier}

    def digest(self) -> str:
        """A hash of every model's pin, for reports and the cache."""
        pins = json.dumps({name: model.pin for name, model in self.models.items()}, sort_keys=True)
        return hashlib.sha256(pins.encode()).hexdigest()[:12]


def load(config: Path) -> Registry:
    """Read config/models.toml; raise ConfigError with every fault."""
    return files.read_toml(config / "models.toml", Registry)
