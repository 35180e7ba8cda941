"""Take personal data and secrets out of values, however deep they lie: for logs, and for what is kept."""

from collections.abc import Callable
from typing import Any

from app import pii

HIDDEN = ("authorization", "key", "token", "password", "secret", "pepper", "cookie")
Redact = Callable[[str], str]


def is_hidden(name: str) -> bool:
    """Whether a field's name says that its value is a secret (`input_tokens` is a count, not one)."""
    return any(part in HIDDEN for part in name.lower().replace("-", "_").split("_"))


def deep(value: Any, redact: Redact = pii.redact, hides: Callable[[str], bool] = is_hidden) -> Any:
    """Redact text, however deep it lies, and whole fields by their names."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {k: "[hidden]" if hides(str(k)) else deep(v, redact, hides) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [deep(item, redact, hides) for item in value]
    return value


def texts(value: Any) -> Any:
    """Redact text alone: of an answer no field is a secret, whatever its name (`key_points`)."""
    return deep(value, hides=lambda _: False)
