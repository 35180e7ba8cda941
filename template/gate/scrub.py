"""Keep secrets, personal data and the canary out of recordings, and put stand-ins where they were."""

import re

from app import pii

# As leak.marked ends the instructions: another canary with each pepper.
CANARY = re.compile(r"\n\n([0-9a-f]{12})\Z")
SCRUBBED = re.compile(r"\[scrubbed ([a-z]+)\]")
# What a replayed answer has instead: the guard and the scorers must find it still.
STAND_INS = {
    "card": "4111 1111 1111 1111", "email": "someone@example.org", "iban": "DE89 3704 0044 0532 0130 00",
    "id": "756.1234.5678.97", "ip": "203.0.113.7", "phone": "+49 30 1234567", "secret": "sk-" + "x" * 20,
}  # fmt: skip


def canary(instructions: str) -> str:
    """The canary in these instructions, if there is one."""
    found = CANARY.search(instructions)
    return found[1] if found else ""


def bare(instructions: str) -> str:
    """The instructions without it."""
    return CANARY.sub("", instructions)


def out(said: str, known: str, reference: str) -> str:
    """Words as they may stand in git; what the request held stands in the cases, pages and prompts anyway."""
    said = said.encode("utf-8", "replace").decode()
    if reference:  # also one that is spelled out
        said = re.sub(r"\W*".join(reference), "[scrubbed canary]", said, flags=re.IGNORECASE)
    for kind in pii.known().values():
        mark = f"[scrubbed {kind.label}]"
        said = kind.sub(said, lambda value, mark=mark: value if value in known else mark)  # type: ignore[misc]
    return said


def back(said: str, reference: str) -> str:
    """The words with a stand-in for each thing that was taken out, and this machine's canary."""
    values = {**STAND_INS, "canary": reference}
    return SCRUBBED.sub(lambda found: values.get(found[1], found[0]), said)
