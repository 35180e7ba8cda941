"""What a stage holds, saved and brought back: its database and the other files of its volume."""

import fcntl
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from postgres_db import Postgres
from restic import Refused, Repository
from sqlite_files import SqliteFiles, publish

Json = dict[str, Any]
MANIFEST, DATABASE_URL = "manifest.json", "app_database_url"
# What is not saved of the volume: databases (their copies are), what the app builds again, what is half done.
WITHOUT = ("*.db", "*.db-wal", "*.db-shm", "*.db-journal", "index", ".*", "*.lock", "*.tmp")


@dataclass(frozen=True)
class Places:
    """The app's volume, the volume of backups, the folder of secrets, and one for a drill."""

    var: Path = Path("/app/var")
    kept: Path = Path("/backups")
    secrets: Path = Path("/run/secrets")
    scratch: Path = Path("/scratch")

    def database(self) -> SqliteFiles | Postgres:
        """What the app's secrets name; SQLite if they name none."""
        named = self.secrets / DATABASE_URL
        url = named.read_text("utf-8").strip() if named.is_file() else ""
        return Postgres(url) if url and not url.startswith("sqlite") else SqliteFiles(self.var)


def save(places: Places, repository: Repository, *tags: str) -> Json:
    """Copy the database as it is at one moment, and put it with the other files into the repository."""
    began, database = time.monotonic(), places.database()
    if database.is_empty():
        raise Refused(f"no database: none in {places.var}, and {DATABASE_URL} names none that has tables")
    with emptied(places.kept / "stage") as stage:
        tables = database.save(stage)
        manifest = {"at": now().isoformat(), "database": database.kind, "tables": tables}
        (stage / MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
        without = [f"{places.var}/{pattern}" for pattern in WITHOUT]
        told = repository.save([stage, places.var], list(tags), without)
    return {
        "id": told["snapshot_id"][:8], "tags": tags, "tables": len(tables), "seconds": since(began),
        "rows": sum(int(rows) for rows, _ in tables.values()), "bytes": told["total_bytes_processed"],
    }  # fmt: skip


def restore(places: Places, repository: Repository, which: str, save_as: str) -> Json:
    """Save the present under a tag, then put a snapshot in its place; files that came later stay."""
    began, name, database = time.monotonic(), repository.find(which)["id"], places.database()
    saved = save(places, repository, save_as) if save_as and not database.is_empty() else None
    with emptied(places.var / ".restore") as folder:
        stage, manifest = fetch(places, repository, name, folder)
        if manifest["database"] != database.kind:
            kinds = f"{name} is of {manifest['database']}, the stage has {database.kind}"
            raise Refused(f"{kinds}: change APP_DATABASE_URL first")
        if differing := database.restore(stage, manifest["tables"]):
            raise Refused(f"{name} is not what was saved: " + "; ".join(differing))
        files = put_files(below(folder, places.var), places.var)
    return {"id": name, "saved": saved and saved["id"], "files": files, "seconds": since(began)}


def put_files(source: Path, target: Path) -> int:
    """Put each file in its place; returns how many there were."""
    found = [path for path in source.rglob("*") if path.is_file()]
    for path in found:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        publish(path, place)
    return len(found)


def drill(places: Places, repository: Repository, which: str) -> Json:
    """Restore a snapshot beside the stage, and compare every table with what was noted when it was saved."""
    began, name = time.monotonic(), repository.find(which)["id"]
    with emptied(places.scratch / "drill") as folder:
        stage, manifest = fetch(places, repository, name, folder)
        database = places.database() if manifest["database"] == Postgres.kind else SqliteFiles(stage)
        differing = database.drill(stage, manifest["tables"])
    tables = manifest["tables"].values()
    return {
        "id": name, "differences": differing, "tables": len(tables), "rows": sum(rows for rows, _ in tables),
        "saved_at": manifest["at"], "seconds": since(began),
    }  # fmt: skip


def fetch(places: Places, repository: Repository, name: str, folder: Path) -> tuple[Path, Json]:
    """Get a snapshot; returns where its database lies and what was noted of it."""
    repository.fetch(name, folder)
    stage = below(folder, places.kept / "stage")
    return stage, json.loads((stage / MANIFEST).read_text("utf-8"))


def below(folder: Path, path: Path) -> Path:
    """Where restic puts what lay at an absolute path."""
    return folder / path.relative_to("/")


@contextmanager
def alone(places: Places) -> Iterator[None]:
    """Work while no other container does: a deploy, a drill and the night wait for each other."""
    with (places.kept / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards; what a killed run left in it goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


def since(began: float) -> float:
    """Seconds that passed."""
    return round(time.monotonic() - began, 2)
