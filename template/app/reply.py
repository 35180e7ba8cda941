"""The body of an answer: the feature's output, and what it took."""

from typing import Any

from pydantic import BaseModel, Field, create_model

from app.features import Feature
from app.pipeline import Answer


class Meta(BaseModel):
    """What answered and what it took; a cost of null means that the model's price is unknown."""

    id: str
    feature: str
    prompt: str = Field(description="version of the prompt file")
    model: str = Field(description="name in config/models.toml")
    cached: bool
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    latency_ms: float
    first_token_ms: float | None
    flags: list[str] = Field(description="what the guard found, e.g. pii")


def body(answer: Answer) -> dict[str, object]:
    """The response as plain data, the same for JSON and for the stream's last event."""
    row = answer.row
    cost = None if row.cost_usd is None else float(row.cost_usd)
    meta = Meta.model_validate({**vars(row), "cost_usd": cost, "latency_ms": round(row.elapsed_ms(), 1)})
    return {"output": answer.output.model_dump(mode="json"), "meta": meta.model_dump(mode="json")}


def model(feature: Feature) -> type[BaseModel]:
    """The response's schema, named after the feature for the API's documents."""
    name = feature.Output.__name__.removesuffix("Output") + "Response"
    fields: dict[str, Any] = {"output": (feature.Output, ...), "meta": (Meta, ...)}
    return create_model(name, **fields)
