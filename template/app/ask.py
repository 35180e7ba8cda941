"""What is asked of which feature, and by whom."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel

from app.access import Caller
from app.features import Feature
from app.passages import Passage
from app.row import Row


@dataclass(frozen=True)
class Ask:
    """One request.

    A job names its `caller`, who was checked when it was taken; evals put `planted` passages first.
    A `release` is answered whatever is drawn by lot, "" being the stable one. A `shadow` uses no tools, and
    its row goes to who asked, and nowhere else.
    A `durable` request can be fetched by its id meanwhile, and is finished by a worker if this process dies.
    """

    feature: Feature
    given: BaseModel
    key: str = ""
    caller: Caller | None = None
    user: str = ""
    conversation: str = ""
    planted: tuple[Passage, ...] = ()
    tier: str = ""
    release: str | None = None
    shadow: Callable[[Row], None] | None = None
    durable: bool = False
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
