"""What runs where, on the server: one file, written before traffic moves, and the audit of who did what."""

import hashlib
import json
import secrets
from typing import Literal, get_args

from pydantic import BaseModel, Field, ValidationError

from ops.errors import NotReady
from ops.lock import Shell, me, now

FILE, AUDIT = "state.json", "audit.jsonl"
Slot = Literal["blue", "green"]
SLOTS: tuple[Slot, ...] = get_args(Slot)
Phase = Literal["idle", "starting", "canary", "promoting"]
FIRST = "0" * 64


class State(BaseModel):
    """The versions of a stage. A later version of this program reads what an older one wrote.

    `stable` serves; `coming` shall replace it, and is in `phase`; `share` is the percentage it has.
    `back` says that it is a version of before. `secrets` names the volume of each version that is kept,
    `slot_key` opens the choice of a slot by header.
    """

    phase: Phase = "idle"
    stable: str = ""
    coming: str = ""
    share: int = 0
    back: bool = False
    slots: dict[Slot, str] = Field(default_factory=lambda: dict.fromkeys(SLOTS, ""))
    secrets: dict[str, str] = {}
    past: list[str] = []
    slot_key: str = Field(default_factory=lambda: secrets.token_hex(16))

    def slot(self, version: str) -> Slot:
        """Where a version runs."""
        return next(slot for slot in SLOTS if self.slots[slot] == version)

    def settle(self, stable: str) -> None:
        """Let a version serve alone, with none on its way."""
        self.stable, self.coming, self.phase, self.share, self.back = stable, "", "idle", 0, False
        self.slots = {slot: version if version == stable else "" for slot, version in self.slots.items()}

    @property
    def idle(self) -> Slot:
        """The slot that does not serve."""
        return next(slot for slot in SLOTS if not self.stable or self.slots[slot] != self.stable)


def read(shell: Shell) -> State:
    """The state of the stage; raise NotReady for a damaged file, since a guess could stop what serves."""
    text = shell.read(FILE)
    try:
        return State.model_validate_json(text) if text.strip() else State()
    except ValidationError as error:
        fault = error.errors()[0]["msg"]
        raise NotReady(
            f"{FILE} on the server is damaged ({fault}): mend it in the volume that ends in -state"
        ) from error


def save(shell: Shell, state: State) -> None:
    """Write the state."""
    shell.write(FILE, state.model_dump_json(indent=1))


def note(shell: Shell, said: str) -> None:
    """Add a line to the audit. Each holds the hash of the one before it, so that none can be lost unseen."""
    last = shell.run('tail -n 1 "$1" 2>/dev/null || true', shell.place(AUDIT)).strip()
    line = {"at": now(), "who": me(), "said": said, "after": digest(last) if last else FIRST}
    shell.run('printf "%s\\n" "$2" >>"$1" && sync "$1"', shell.place(AUDIT), json.dumps(line))


def read_note(line: str) -> dict[str, str]:
    """A line of the audit: when, who and what; one that is torn is shown as it is."""
    try:
        held = json.loads(line)
        return {name: str(held[name]) for name in ("at", "who", "said")}
    except (ValueError, KeyError, TypeError):
        return {"at": "?", "who": "?", "said": line}


def broken(audit: str) -> int:
    """The number of the first line that does not follow from the one before it; 0 for none."""
    after = FIRST
    for number, line in enumerate(audit.splitlines(), 1):
        try:
            if json.loads(line)["after"] != after:
                return number
        except (ValueError, KeyError, TypeError):
            return number
        after = digest(line)
    return 0


def digest(line: str) -> str:
    """The hash of a line of the audit."""
    return hashlib.sha256(line.encode()).hexdigest()
