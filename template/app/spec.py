"""What feature.toml may say. The annotated example is docs/feature-toml.md."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from app.files import Strict

Action = Literal["block", "redact", "flag", "off"]


class Slo(Strict):
    """Service level objectives of the route."""

    p95_ms: int = Field(gt=0)
    error_rate: float = Field(gt=0, lt=1)
    budget_usd: float = Field(gt=0, description="dollars per request")


class Nearest(Strict):
    """How the nearest vectors are found: `gate retrieval --write` chose it, at so many `rows`, `on` a day."""

    index: Literal["auto", "flat", "hnsw"] = "auto"
    dims: int = Field(default=0, ge=0, description="look along so few axes; 0: at all numbers")
    cut: Literal["pca", "first"] = Field(default="pca", description="which axes: the principal, the first")
    rerank: int = Field(default=0, ge=0, description="so many are compared again by all numbers")
    ef: int = Field(default=256, gt=0)
    rows: int = Field(default=0, ge=0)
    on: date | None = None


AUTO = Nearest()


class Retrieval(Strict):
    """Where the passages come from; `query` names the input field that is searched for."""

    corpus: str
    query: str
    k: int = Field(default=6, gt=0, le=50)
    embeddings: str = Field(default="", description="a model of models.toml; without one, words alone")
    nearest: Nearest = AUTO


class Guard(Strict):
    """What happens when the guard finds something, per kind."""

    injection: Literal["block", "flag", "off"] = "block"
    pii: Action = "redact"
    toxicity: Action = "redact"
    leak: Literal["block", "flag", "off"] = "block"


class Conversation(Strict):
    """How much of what was said before is sent along; older turns are summarised."""

    max_tokens: int = Field(default=1_000, gt=0)
    keep_days: int = Field(default=30, gt=0)


class Economy(Strict):
    """A smaller tier for a feature that is not critical, once a tenant has used this share of its budget.

    It is taken only while the last accepted run of the gate gave that tier at least `min_score`.
    """

    tier: str
    min_score: float = Field(ge=0, le=1)
    above: float = Field(default=0.8, ge=0, le=1)


class Judge(Strict):
    """A model that grades golden answers; it counts while it agrees with labels.yaml (Cohen's kappa)."""

    model: str
    rubric: str = Field(min_length=1)
    min_kappa: float = Field(default=0.6, ge=0, le=1)


class Shadow(Strict):
    """How a candidate is asked beside the stable version before anybody sees its answers."""

    share: float = Field(default=0.2, gt=0, le=1, description="of the requests")
    requests: int = Field(default=100, ge=0, description="0: no shadow")
    daily_tokens: int = Field(default=200_000, gt=0)


class Rollout(Strict):
    """How a new prompt or tier comes to all requests, and how much worse it may be there.

    Rises are in shares of the requests, that of cost as a ratio; `slow` are requests that take longer than 95
    of 100 of the stable version.
    """

    steps: list[Annotated[int, Field(gt=0, lt=100)]] = [5, 25, 50]
    unit: Literal["tenant", "user", "request"] = "user"
    min_requests: int = Field(default=50, gt=0, description="of the candidate, in each step")
    min_minutes: float = Field(default=5, ge=0, description="of each step")
    max_error_rise: float = Field(default=0.01, gt=0, lt=1)
    max_slow_rise: float = Field(default=0.05, gt=0, lt=1)
    max_cost_rise: float = Field(default=0.15, gt=0)
    max_quality_drop: float = Field(default=0.025, gt=0, lt=1)
    on_quiet: Literal["hold", "rollback"] = "hold"
    quiet_hours: float = Field(default=24, gt=0, description="without a verdict, until on_quiet")
    shadow: Shadow = Shadow()

    @field_validator("steps")
    @classmethod
    def rises(cls, steps: list[int]) -> list[int]:
        """Refuse steps that do not rise."""
        if steps != sorted(set(steps)):
            raise ValueError("must rise: [5, 25, 50]")
        return steps


class Gate(Strict):
    """What the gate allows before it says no; shares run from 0 to 1.

    A set or slice that cannot see a drop of `margin` is too small to judge. `repeats` is how often each case
    is run: more than once where the model does not answer the same twice.
    """

    min_score: float = Field(default=0.0, ge=0, le=1)
    max_drop: float = Field(default=0.0, ge=0, lt=1)
    max_token_rise: float = Field(default=0.05, ge=0)
    margin: float = Field(default=0.15, gt=0, le=1)
    repeats: int = Field(default=1, ge=1, le=20)
    judge: Judge | None = None
    max_attack_success: float = Field(default=0.05, ge=0, le=1)
    max_over_refusal: float = Field(default=0.05, ge=0, le=1)


class Spec(Strict):
    """The content of feature.toml."""

    summary: str = Field(min_length=1)
    use_case: str = Field(min_length=1)
    prompt: str
    output: Literal["json", "text"] = "json"
    tiers: list[str] = Field(default=["standard"], min_length=1)
    max_tokens: int = Field(gt=0)
    max_input_tokens: int = Field(default=8_000, gt=0)
    over_budget: Literal["trim", "refuse"] = "trim"
    cache_ttl_s: int = Field(default=0, ge=0)
    shared_cache: bool = False
    keep_days: int = Field(default=7, ge=0, description="how long a result can be fetched again")
    restart: bool = Field(default=True, description="a stream may begin again with the next model")
    max_steps: int = Field(default=4, gt=0, description="model calls of one request that uses tools")
    examples: dict[str, list[dict[str, Any]]] = Field(default={}, description="inputs to try, by language")
    slo: Slo
    retrieval: Retrieval | None = None
    guard: Guard = Guard()
    conversation: Conversation = Conversation()
    economy: Economy | None = None
    gate: Gate = Gate()
    rollout: Rollout = Rollout()
