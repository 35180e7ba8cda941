"""Write the result of a load test: JSON for programs, and for a person a page that needs no network."""

import json
from datetime import UTC, datetime
from pathlib import Path

from app import files
from gate import paper, report
from gate.judge import Verdict
from load.seen import Seen
from load.work import Work


def write(var: Path, rows: list[tuple[Seen, Verdict]], told: Work, tool: str) -> Path:
    """Write load.json and load.html below `var`; returns the page."""
    folder = var / report.FOLDER
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "passed": not any(verdict.stops for _, verdict in rows),
        "asked": {"tool": tool, **told.model_dump(exclude={"routes"})},
        "rows": [{**seen.model_dump(), "verdict": vars(verdict)} for seen, verdict in rows],
    }
    files.write_atomic(folder / "load.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return paper.write(folder / "load.html", content)
