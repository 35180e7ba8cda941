"""Show what `gate retrieval` measured: as JSON, as a page with the frontier, as a table in the terminal."""

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from app import files
from app.spec import Nearest
from gate import paper
from gate.screen import out
from load import nearest


def write(folder: Path, features: list[dict[str, Any]], promise: object) -> None:
    """Write retrieval.json and retrieval.html, and print the ways that matter."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"at": at, "promise": promise, "features": features}
    files.write_atomic(folder / "retrieval.json", json.dumps(content, default=plain, indent=1) + "\n")
    paper.write(folder / "retrieval.html", content | {"log10": math.log10, "name": nearest.name})
    for feature in features:
        if feature["ways"]:
            out.print(table(feature))


def table(feature: dict[str, Any]) -> Table:
    """The present way, the cheapest one and the comparison with all vectors, on each index."""
    found, now, best = feature["found"], feature["now"], feature["best"]
    asked = f"{found.golden} golden questions, {found.sentences} sentences of pages"
    shown = Table("index", "way", title=f"{found.feature}: {asked}", title_justify="left", box=None)
    for column in ("passages", "recall@10", "from", "p50 ms", "p95 ms", "MB", "built s"):
        shown.add_column(column, justify="right")
    wanted = {"flat", *(nearest.name(one.way) for one in (now, best) if one)}
    for row in (row for row in found.seen if nearest.name(row.way) in wanted):
        numbers = (row.recall, row.low, row.p50_ms, row.p95_ms, row.memory_mb, row.built_s)
        digits = (4, 4, 2, 2, 1, 1)
        shown.add_row(
            row.where or "corpus",
            nearest.name(row.way),
            str(row.rows),
            *(f"{number:.{places}f}" for number, places in zip(numbers, digits, strict=True)),
        )
    return shown


def plain(value: Any) -> Any:
    """What JSON does not know, as what it knows."""
    return value.model_dump(mode="json") if isinstance(value, Nearest) else asdict(value)
