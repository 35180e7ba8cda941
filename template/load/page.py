"""Write the result of a load test: JSON for programs, and for a person a page that needs no network."""

import json
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

from app import files
from gate import report
from gate.judge import Verdict
from load.drive import HERE
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
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(content)
    files.write_atomic(folder / "load.html", page + "\n")
    return folder / "load.html"
