"""The live flags of a process: config/flags.json, and over it what was changed since."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app import flagcheck, flags
from app.errors import ConfigError
from app.flagcheck import Faulty
from app.flags import Core, Document

log = logging.getLogger(__name__)
LOOK_S = 0.2
Stamp = tuple[int, int, int]


class Live:
    """The flags as they are now, read again when the file changes.

    A file that is gone or broken changes nothing, nor does a faulty flag in it; `fault` says why. A flag that
    was faulty from the start is left to feature.toml, and a kill switch is then off.
    """

    def __init__(self, seed: Document, path: Path, check: Callable[[Document], Faulty]) -> None:
        self.seed, self.path, self.check = seed, path, check
        self.held, self.stamp = flags.core(seed, path), stamped(path)
        self.good = None if self.stamp else seed
        self.looked_s = -LOOK_S
        self.fault = ""
        if self.stamp:
            self.take()

    @property
    def core(self) -> Core:
        """The evaluator; the file is looked at a few times a second at most."""
        now = time.monotonic()
        if now - self.looked_s >= LOOK_S:
            self.looked_s = now
            self.look()
        return self.held

    def look(self) -> None:
        """Read the file again if it is another one than at the last look."""
        if (stamp := stamped(self.path)) not in (None, self.stamp):
            self.stamp = stamp
            self.take()

    def take(self) -> None:
        """Hold what is sound of the file."""
        try:
            content = merged(self.seed, flags.read(self.path))
            without = self.check(content)
            self.good = flagcheck.sound(content, without, self.good)
            self.held = flags.core(self.good, self.path)
            self.fault = "\n".join(str(fault) for found in without.values() for fault in found)
        except ConfigError as error:
            self.fault = str(error)
        if self.fault:
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
    return {"flags": {**seed["flags"], **changes["flags"]}}
