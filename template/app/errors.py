"""Errors a caller or an operator can act on.

AppError
├── ConfigError          the files are wrong; the app refuses to start
├── RequestError         the caller can mend it; carries an HTTP status and a code
│   ├── Unauthorized     401
│   ├── OverBudget       402
│   ├── NotAllowed       403
│   ├── NotFound         404
│   ├── TooLarge         413
│   ├── Invalid          422
│   ├── Blocked          422
│   ├── RateLimited      429
│   └── QueueFull        429
├── EncoderDown          503; a request goes on with words alone, only `app index` ends
├── TiersExhausted       503
└── Unavailable          503
"""

from dataclasses import dataclass
from pathlib import Path


class AppError(Exception):
    """Root of this package's errors; `status` is HTTP, `code` is for programs."""

    status = 500
    code = "internal"
    retry_after_s: int | None = None
    reported = False  # whether the log has it
    tenant = ""  # whose key was refused

    def __init_subclass__(cls, status: int = 0, code: str = "") -> None:
        """Take what a class says in its first line."""
        cls.status, cls.code = status or cls.status, code or cls.code


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in one file: where, what, and how to mend it."""

    path: Path
    where: str
    what: str

    def __str__(self) -> str:
        place = f"{self.path.as_posix()}: {self.where}" if self.where else self.path.as_posix()
        return f"{place}: {self.what}"


class ConfigError(AppError, code="config"):
    """Files that the app starts from are wrong; the message lists every fault."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class RequestError(AppError, status=400, code="bad_request"):
    """The request cannot be served as it is."""


class Unauthorized(RequestError, status=401, code="unauthorized"):
    """No valid API key."""


class OverBudget(RequestError, status=402, code="over_budget"):
    """The tenant's monthly budget is spent."""


class NotAllowed(RequestError, status=403, code="not_allowed"):
    """Policy allows no model for this use case, or the tenant is paused."""


class NotFound(RequestError, status=404, code="not_found"):
    """No such feature."""


class TooLarge(RequestError, status=413, code="too_large"):
    """The request does not fit the body limit or the token budget."""


class Invalid(RequestError, status=422, code="invalid"):
    """The input does not fit the feature's schema."""


class Blocked(RequestError, status=422, code="blocked"):
    """The guard refused the input or the output; `flags` say what it saw."""

    def __init__(self, message: str, flags: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.flags = flags


class RateLimited(RequestError, status=429, code="rate_limited"):
    """Too many requests from this tenant."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(RequestError, status=429, code="queue_full"):
    """Too many jobs wait."""

    retry_after_s = 5


class Unavailable(AppError, status=503, code="unavailable"):
    """The database is away."""

    retry_after_s = 5


class EncoderDown(AppError, status=503, code="encoder_down"):
    """A text gets no vector: the embedding model fails, rests, or has too much to do."""


class TiersExhausted(AppError, status=503, code="no_model"):
    """Every model failed; the reasons, `faults`, go to the log and to the gate, not to the caller."""

    retry_after_s = 5

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("no model could answer; try again in a few seconds")
