"""What a request tells while it runs; the stream shows these in order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["meta", "delta", "restart", "retract", "result", "error"]


@dataclass(frozen=True)
class Event:
    """`meta`, a `delta` a piece of text, then `result` or `error`; `restart`, `retract`: forget what came."""

    kind: Kind
    data: dict[str, object]


Emit = Callable[[Event], None]


def ignore(_: Event) -> None:
    """For callers that wait for the whole answer."""
