"""The body of an answer: the feature's output, and what it took."""

from typing import Any

from pydantic import BaseModel, Field, create_model

from app.features import Feature
from app.row import Row


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
    cut_passages: int = Field(description="passages that did not fit the token budget")
    summarised_turns: int = Field(description="turns of the conversation that were sent as a summary")


def body(output: BaseModel, row: Row, cut_passages: int, summarised_turns: int) -> dict[str, Any]:
    """The response as plain data, the same for JSON, for the stream's last event and for a kept result."""
    meta = {name: getattr(row, name) for name in Meta.model_fields if hasattr(row, name)}
    meta |= {"cost_usd": None if row.cost_usd is None else float(row.cost_usd)}
    meta |= {"latency_ms": round(row.elapsed_ms(), 1), "flags": list(row.flags)}
    meta |= {"cut_passages": cut_passages, "summarised_turns": summarised_turns}
    return {"output": output.model_dump(mode="json"), "meta": meta}


def model(feature: Feature) -> type[BaseModel]:
    """The response's schema, named after the feature for the API's documents."""
    name = feature.Output.__name__.removesuffix("Output") + "Response"
    fields: dict[str, Any] = {"output": (feature.Output, ...), "meta": (Meta, ...)}
    return create_model(name, **fields)
