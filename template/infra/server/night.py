"""Each night: save, forget what is too old, check once a week; how it went stands in a file."""

import json
import sqlite3
import sys
import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import saving
from restic import Refused, Repository
from saving import Places

Json = dict[str, Any]
STATUS, TAG = "status.json", "nightly"
# A night that failed is tried again after this; the whole repository is read once in this time.
RETRY, CHECK_EVERY = timedelta(minutes=10), timedelta(days=7)


def night(places: Places, repository: Repository, keep: list[int], status: Json) -> Json:
    """Save, forget what is too old (where this machine may), check once a week; returns the new status."""
    saved = saving.save(places, repository, TAG)
    checked = status.get("checked_at", "")
    repository.unlock()
    if repository.on_disk:
        repository.forget(*keep)
    if not checked or saving.now() - datetime.fromisoformat(checked) > CHECK_EVERY:
        repository.check()
        checked = saving.now().isoformat()
    return {**saved, "ok": True, "at": saving.now().isoformat(), "checked_at": checked}


def repeat(places: Places, repository: Repository, keep: list[int], at: str) -> None:
    """Save each night at HH:MM in UTC, for ever; raise Refused at the first night that fails, and note it."""
    started = saving.now()
    while True:
        status = read_status(places)
        wait = due(status, at, started) - saving.now()
        print(
            f"the next snapshot is due at {saving.now() + wait:%Y-%m-%d %H:%M} UTC",
            file=sys.stderr,
            flush=True,
        )
        time.sleep(max(0.0, wait.total_seconds()))
        try:
            with saving.alone(places):
                status = night(places, repository, keep, status)
            print(json.dumps(status), flush=True)
        except (Refused, OSError, sqlite3.Error) as error:
            status = {**status, "ok": False, "at": saving.now().isoformat(), "said": str(error)}
            raise
        finally:
            with suppress(OSError):  # a full disk is told by the exit code
                write_status(places, status)


def due(status: Json, at: str, started: datetime) -> datetime:
    """When to save next: soon after a failure, else at the first HH:MM after the last time."""
    last = datetime.fromisoformat(status["at"]) if status else started
    if status and not status["ok"]:
        return last + RETRY
    hour, minute = map(int, at.split(":"))
    today = last.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today > last else today + timedelta(days=1)


def read_status(places: Places) -> Json:
    """How the last night went; empty before the first."""
    place = places.kept / STATUS
    return dict(json.loads(place.read_text("utf-8"))) if place.exists() else {}


def write_status(places: Places, status: Json) -> None:
    """Note how the night went, whole or not at all."""
    scratch = places.kept / f".{STATUS}"
    scratch.write_text(json.dumps(status), "utf-8")
    scratch.replace(places.kept / STATUS)
