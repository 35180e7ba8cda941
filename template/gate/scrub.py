"""Keep secrets, personal data and the canary out of recordings, and put stand-ins where they were."""

import re

from app import pii

CANARY = re.compile("[0-9a-f]{12}")
SCRUBBED = re.compile(r"\[scrubbed ([a-z]+)\]")
LOOKALIKE = "sk-" + "x" * 20
# What a replayed answer has instead: the guard and the scorers must find it still.
STAND_INS = {
    "card": "4111 1111 1111 1111", "email": "someone@example.org", "iban": "DE89 3704 0044 0532 0130 00",
    "id": "756.1234.5678.97", "ip": "203.0.113.7", "phone": "+49 30 1234567", "secret": LOOKALIKE,
}  # fmt: skip


def split(instructions: str) -> tuple[str, str]:
    """The instructions without what leak.marked put below them, and that: it differs with each pepper."""
    bare, _, canary = instructions.rpartition("\n\n")
    return (bare, canary) if CANARY.fullmatch(canary) else (instructions, "")


def out(said: str, known: str, canary: str) -> str:
    """Words as they may stand in git; what the request held stands in the cases, pages and prompts anyway."""
    said = said.encode("utf-8", "replace").decode()
    if canary:  # also one that is spelled out
        said = re.sub(r"\W*".join(canary), "[scrubbed canary]", said, flags=re.IGNORECASE)
    for kind in pii.known().values():
        mark = f"[scrubbed {kind.label}]"
        said = kind.sub(said, lambda value, mark=mark: value if value in known else mark)  # type: ignore[misc]
    return said.replace("\\[scrubbed", "\\n[scrubbed")  # of `\njane@...` in JSON the n was taken for a letter


def back(said: str, canary: str) -> str:
    """The words with a stand-in for each thing that was taken out, and this machine's canary."""
    values = {**STAND_INS, "canary": canary}
    return SCRUBBED.sub(lambda found: values.get(found[1], found[0]), said)
