"""Where the app is deployed to, and how: config/deploy.toml, a table for each stage."""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from app import files
from app.files import Strict
from ops.errors import NotReady

FILE = Path("config/deploy.toml")
# HAProxy of another host listens there: a name could mean every address of the machine.
NUMBERS = re.compile(r"[\d.]+|[\da-f:]*:[\da-f:]*")
HOST = re.compile(r"local|ssh://[\w.-]+@[\w.:\[\]-]+(:\d+)?")


class Canary(Strict):
    """How a new version gets its traffic, in percent, and what takes it back.

    Each step lasts `bake_s` with at least `min_requests` on the new version; with fewer after `max_wait_s`,
    `on_quiet` decides: silence is never a pass. A share of failed requests may be `max_error_rate` or twice
    that of the old version; a feature's p95 `max_p95_ms` or `max_p95_ratio` times the old one's.
    """

    steps: list[int] = [5, 25, 50]
    bake_s: float = Field(default=60, gt=0)
    tick_s: float = Field(default=2, gt=0, le=5)  # below the lease of a canary, canary_lease_s
    min_requests: int = Field(default=50, gt=0)
    max_wait_s: float = Field(default=600, gt=0)
    on_quiet: Literal["rollback", "hold", "promote"] = "rollback"
    max_error_rate: float = Field(default=0.02, gt=0, lt=1)
    max_p95_ms: float = Field(default=0, ge=0, description="0: what each feature promises")
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

    All snapshots of the last `keep_daily` days stay, then one a week and one a month. In S3 nothing is
    removed: the server's role there should not be able to (docs/backups.md).
    """

    repository: str = Field(default="disk", pattern=r"^(disk|s3:https?://[\w.-]+(:\d+)?/[\w./-]+)$")
    at: str = Field(default="03:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    keep_daily: int = Field(default=7, ge=1)
    keep_weekly: int = Field(default=4, ge=0)
    keep_monthly: int = Field(default=6, ge=0)


class Stage(Strict):
    """One stage: its machines (`local`, or ssh://user@host), the name that clients use, and its limits.

    Without a domain the edge speaks plain HTTP, and only to its own machine unless `address` says more.
    With several hosts the first has the edge, and the others take its requests on `inner_port`.
    """

    hosts: list[str] = Field(default=["local"], min_length=1)
    domain: str = Field(default="", description="gets a certificate by ACME; `localhost` one of its own")
    address: str = Field(
        default="", description="where the edge listens; empty: all with a domain, else 127.0.0.1"
    )
    port: int = Field(default=80, gt=0, lt=65_536)
    https_port: int = Field(default=443, gt=0, lt=65_536)
    inner_port: int = Field(default=8080, gt=0, lt=65_536)
    build: Literal["host", "here", "registry"] = Field(default="host", description="where the image is built")
    registry: str = Field(default="", description="its name for the image, where the image goes through one")
    extras: str = Field(
        default="", description="extras of pyproject.toml that the image holds: postgres redis"
    )
    memory_mb: int = Field(default=512, ge=128)
    workers: int = Field(default=1, ge=0, description="processes that answer what waits")
    keep: int = Field(default=3, ge=2, description="versions that stay for a rollback")
    ready_s: float = Field(default=60, gt=0, description="how long a new version may take until it is ready")
    drain_s: int = Field(
        default=60, gt=0, le=60, description="how long requests of the old version may go on"
    )
    replay: int = Field(default=10, ge=0, description="golden cases a feature that a new version must answer")
    replay_faults: float = Field(default=0.1, ge=0, lt=1, description="the share of them that may go wrong")
    gate: bool = Field(default=True, description="a green report of the gate for this commit is needed")
    canary: Canary = Canary()
    backup: Backup = Backup()

    @field_validator("hosts")
    @classmethod
    def known(cls, hosts: list[str]) -> list[str]:
        """Each is this machine or a target of ssh."""
        for host in hosts:
            if not HOST.fullmatch(host):
                raise ValueError(f"'{host}' is neither 'local' nor ssh://user@host")
        for host in hosts[1:]:
            if not NUMBERS.fullmatch(address(host)):
                raise ValueError(f"'{host}': name it by the address of the network that the hosts share")
        return hosts

    @model_validator(mode="after")
    def has_a_registry(self) -> "Stage":
        """An image that goes through a registry has a name there."""
        if self.build == "registry" and not self.registry:
            raise ValueError("registry: is empty, but build is 'registry'")
        return self

    @property
    def url(self) -> str:
        """Where clients reach it."""
        scheme, port, usual = ("https", self.https_port, 443) if self.domain else ("http", self.port, 80)
        return f"{scheme}://{self.domain or self.bind}{'' if port == usual else f':{port}'}"

    @property
    def bind(self) -> str:
        """The address that the edge listens on."""
        return self.address or ("0.0.0.0" if self.domain else "127.0.0.1")  # noqa: S104

    @property
    def ports(self) -> dict[str, tuple[str, int]]:
        """The edge's ports: inside -> address and port of the machine."""
        plain = {"80/tcp": (self.bind, self.port)}
        return plain | {"443/tcp": (self.bind, self.https_port)} if self.domain else plain

    def inside(self, host: str) -> dict[str, tuple[str, int]]:
        """The port of HAProxy that the edge of the first machine asks on another one."""
        return {} if host == self.hosts[0] else {"8080/tcp": (address(host), self.inner_port)}


class Stages(Strict):
    """The whole file."""

    stages: dict[str, Stage] = {}


def address(host: str) -> str:
    """The name or address of a machine, as the other machines reach it."""
    return "127.0.0.1" if host == "local" else str(urlsplit(host).hostname)


def load(name: str) -> Stage:
    """One stage; raise NotReady with the known ones, ConfigError for what is wrong in the file."""
    found = files.read_toml(FILE, Stages).stages
    if name not in found:
        raise NotReady(f"no stage '{name}' in {FILE.as_posix()} (known: {', '.join(found) or 'none'})")
    return found[name]
