"""What a request tells while it runs; the stream shows these in order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["meta", "delta", "restart", "result", "error"]


@dataclass(frozen=True)
class Event:
    """`meta` first, then `delta` per piece of text (`restart`: forget them), then `result` or `error`."""

    kind: Kind
    data: dict[str, object]


Emit = Callable[[Event], None]


def ignore(_: Event) -> None:
    """For callers that wait for the whole answer."""
