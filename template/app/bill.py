"""What the models of one request took."""

from dataclasses import dataclass, field
from decimal import Decimal

from app.models import Model


@dataclass
class Bill:
    """What all calls of one request took; tokens that no endpoint counted are estimated, and that is said."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = Decimal(0)
    estimated: bool = False
    faults: list[str] = field(default_factory=list)

    @property
    def failed_models(self) -> int:
        """How many models did not answer."""
        return len(self.faults)

    def add(self, model: Model, given: int, made: int) -> None:
        """Add one call."""
        self.input_tokens += given
        self.output_tokens += made
        cost = model.cost_usd(given, made)
        self.cost_usd = None if cost is None or self.cost_usd is None else self.cost_usd + cost
