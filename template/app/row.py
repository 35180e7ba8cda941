"""What is known of one request: the usage row that it will leave."""

import time
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from app import db

# Outcomes that are our fault. `ok` and these were served; all others are refusals that the caller can mend.
OURS = ("internal", "config", "no_model", "unavailable", "cut")
SERVED = ("ok", *OURS)


@dataclass
class Row:
    """What is known of a request so far; `outcome` is `ok` or an error's code."""

    id: str
    feature: str
    tenant_id: str = ""
    user_id: str = ""
    prompt: str = ""
    variant: str = ""
    model: str = ""
    policy: str = ""
    outcome: str = "cut"
    cached: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = Decimal(0)
    latency_ms: float = 0
    first_token_ms: float | None = None
    flags: list[str] = field(default_factory=list)
    failed_models: int = 0
    estimated: bool = False
    arm: str = ""
    quality: float | None = None
    at: datetime = field(default_factory=db.now)
    started: float = field(default_factory=time.perf_counter)

    def elapsed_ms(self) -> float:
        """Milliseconds since the request came in."""
        return (time.perf_counter() - self.started) * 1000

    def values(self) -> dict[str, Any]:
        """The columns of the usage table."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = tuple(f.name for f in fields(Row) if f.name != "started")
