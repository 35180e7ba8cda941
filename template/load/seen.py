"""What a load program saw of each route: the file that it writes, and a table of it."""

from collections.abc import Iterable

from pydantic import Field, TypeAdapter
from rich.table import Table

from app.files import Strict

COLUMNS = {
    "requests": "requests", "per_s": "per s", "p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99 ms",
    "first_p95_ms": "first", "errors": "errors", "refused": "refused", "cached": "cached",
}  # fmt: skip


class Seen(Strict):
    """What was seen of one route asked in one way: whole, as a stream, or its search alone.

    Times are in ms, of requests that were served or failed by the app's fault; `by_second` is their p95.
    """

    feature: str
    way: str
    slow_ms: int
    requests: int = Field(ge=0)
    errors: int = Field(ge=0)
    slow: int = Field(ge=0)
    refused: int = Field(ge=0)
    cached: int = Field(ge=0)
    per_s: float = Field(ge=0)
    p50_ms: float
    p95_ms: float
    p99_ms: float
    first_p50_ms: float | None = None
    first_p95_ms: float | None = None
    said: dict[str, int] = {}
    by_second: list[float | None] = []


FILE = TypeAdapter(list[Seen])


def table(rows: Iterable[Seen]) -> Table:
    """All of it, a line for each way of asking; `first` is the p95 of the time to the first word."""
    table = Table("route", *COLUMNS.values(), box=None, padding=(0, 1, 0, 0))
    for seen in rows:
        values = [getattr(seen, name) for name in COLUMNS]
        table.add_row(f"{seen.feature} {seen.way}", *("-" if v is None else f"{v:.4g}" for v in values))
    return table
