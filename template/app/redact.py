"""Take personal data and secrets out of values, however deep they lie: for logs, and for what is kept."""

from collections.abc import Callable
from typing import Any

from app import pii

HIDDEN = ("authorization", "key", "token", "password", "secret", "pepper", "cookie")
Redact = Callable[[str], str]


def is_hidden(name: str) -> bool:
    """Whether a field's name says that its value is a secret (`input_tokens` is a count, not one)."""
    return any(part in HIDDEN for part in name.lower().replace("-", "_").split("_"))


def deep(value: Any, redact: Redact = pii.redact) -> Any:
    """Redact text, however deep it lies."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {k: "[hidden]" if is_hidden(str(k)) else deep(v, redact) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [deep(item, redact) for item in value]
    return value
