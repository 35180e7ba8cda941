"""The live flags of a process: config/flags.json, and over it what was changed since."""

import logging
import time
from pathlib import Path
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore

from app import flags
from app.errors import ConfigError
from app.features import Feature
from app.flags import Document

log = logging.getLogger(__name__)
LOOK_S = 0.2
Stamp = tuple[int, int, int]


class Live:
    """The flags as they are now, read again when the file changes.

    A file that is broken, or names what is not there, changes nothing; `fault` says why.
    """

    def __init__(self, seed: Document, path: Path, features: dict[str, Feature], tiers: set[str]) -> None:
        self.seed, self.path, self.features, self.tiers = seed, path, features, tiers
        self.held = flags.core(seed, path)
        self.stamp: Stamp | None = None
        self.looked_s = -LOOK_S
        self.fault = ""

    @property
    def core(self) -> FlagdCore:
        """The evaluator; the file is looked at a few times a second at most."""
        now = time.monotonic()
        if now - self.looked_s >= LOOK_S:
            self.looked_s = now
            self.look()
        return self.held

    def look(self) -> None:
        """Read the file again if it is another one than at the last look."""
        if (stamp := stamped(self.path)) == self.stamp:
            return
        self.stamp = stamp
        try:
            content = merged(self.seed, flags.read(self.path))
            if found := flags.faults(content, self.path, self.features, self.tiers):
                raise ConfigError(found)
            self.held, self.fault = flags.core(content, self.path), ""
        except (ConfigError, OSError) as error:
            self.fault = str(error)
            log.error("flags stay as they were", extra={"fault": self.fault})


def stamped(path: Path) -> Stamp | None:
    """What tells one state of a file from another: an older time is news too; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def merged(seed: Document, changes: Document) -> dict[str, Any]:
    """The flags of the repository with those that were changed since in their place."""
    return {"flags": {**seed.get("flags", {}), **changes.get("flags", {})}}
