"""Where the app is deployed to, and how: config/deploy.toml, a table for each stage."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from app import files
from app.files import Strict
from ops.errors import NotReady

FILE = Path("config/deploy.toml")
HOST = re.compile(r"local|ssh://[\w.-]+@[\w.:\[\]-]+(:\d+)?")


class Canary(Strict):
    """How a new version gets its traffic, in percent, and what takes it back.

    Each step lasts `bake_s` with at least `min_requests` on the new version; with fewer after `max_wait_s`,
    `on_quiet` decides: silence is never a pass. A share of failed requests is too high above both
    `max_error_rate` and twice that of the old version, a p95 above both `max_p95_ms` and `max_p95_ratio` times
    the old one's.
    """

    steps: list[int] = [5, 25, 50]
    bake_s: float = Field(default=60, gt=0)
    tick_s: float = Field(default=2, gt=0)
    min_requests: int = Field(default=50, gt=0)
    max_wait_s: float = Field(default=600, gt=0)
    on_quiet: Literal["rollback", "hold", "promote"] = "rollback"
    max_error_rate: float = Field(default=0.02, gt=0, lt=1)
    max_p95_ms: float = Field(default=900, gt=0)
    max_p95_ratio: float = Field(default=1.5, gt=1)
    max_cost_ratio: float = Field(default=1.3, gt=1)

    @field_validator("steps")
    @classmethod
    def rises(cls, steps: list[int]) -> list[int]:
        """Shares that rise, each above 0 and below 100."""
        if steps != sorted(set(steps)) or not all(0 < step < 100 for step in steps):
            raise ValueError("must rise and lie above 0 and below 100, like [5, 25, 50]")
        return steps


class Backup(Strict):
    """Where the stage is saved each night at `at` (UTC), and how many days, weeks and months stay.

    All snapshots of the last `keep_daily` days stay, then one a week and one a month. In S3 nothing is removed:
    the server's role there should not be able to (docs/backups.md).
    """

    repository: str = Field(default="disk", pattern=r"^(disk|s3:https?://[\w.-]+(:\d+)?/[\w./-]+)$")
    at: str = Field(default="03:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    keep_daily: int = Field(default=7, ge=1)
    keep_weekly: int = Field(default=4, ge=0)
    keep_monthly: int = Field(default=6, ge=0)


class Stage(Strict):
    """One stage: its machines (`local`, or ssh://user@host), the name that clients use, and its limits."""

    hosts: list[str] = Field(default=["local"], min_length=1)
    domain: str = Field(default="", description="empty: plain HTTP on `port`; else HTTPS by ACME on 443")
    port: int = Field(default=80, gt=0, lt=65_536)
    memory_mb: int = Field(default=512, ge=128)
    workers: int = Field(default=1, ge=0, description="processes that answer what waits")
    keep: int = Field(default=3, ge=2, description="versions that stay for a rollback")
    drain_s: int = Field(default=60, gt=0)
    canary: Canary = Canary()
    backup: Backup = Backup()

    @field_validator("hosts")
    @classmethod
    def known(cls, hosts: list[str]) -> list[str]:
        """Each is this machine or a target of ssh."""
        for host in hosts:
            if not HOST.fullmatch(host):
                raise ValueError(f"'{host}' is neither 'local' nor ssh://user@host")
        return hosts


class Stages(Strict):
    """The whole file."""

    image: str = Field(default="", description="a registry's name for the image; empty: built on each host")
    stages: dict[str, Stage] = {}


def load(name: str) -> Stage:
    """One stage; raise NotReady with the known ones, ConfigError for what is wrong in the file."""
    found = files.read_toml(FILE, Stages).stages
    if name not in found:
        raise NotReady(f"no stage '{name}' in {FILE.as_posix()} (known: {', '.join(found) or 'none'})")
    return found[name]
