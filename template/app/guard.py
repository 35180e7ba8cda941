"""Refuse or mend what must not reach a model or a user. What it finds is recorded as flags."""

import re
from dataclasses import dataclass
from functools import cache

from app import injection, pii, text
from app.errors import Blocked
from app.prompts import Prompt
from app.spec import Guard

NGRAM = 8


@cache
def insults() -> re.Pattern[str]:
    """The insults of words.toml as one pattern."""
    forms = [form for listed in text.word_lists()["insults"].values() for form in listed.split()]
    return re.compile(rf"\b(?:{'|'.join(forms)})\b", re.I)


@dataclass(frozen=True)
class Checked:
    """Text that may go on, and what was found in it."""

    values: dict[str, str]
    flags: tuple[str, ...] = ()


def check_input(rules: Guard, values: dict[str, str]) -> Checked:
    """Redact and flag the caller's text by the feature's rules, or raise Blocked with what was seen."""
    whole, flags = "\n".join(values.values()), []
    seen = injection.rule_in(whole)
    if seen and rules.injection != "off":
        flags.append("injection")
        if rules.injection == "block":
            raise Blocked(
                f"the text reads like an attack on the instructions (rule '{seen}'); rephrase it",
                tuple(flags),
            )
    if rules.toxicity != "off" and insults().search(whole):
        flags.append("toxicity")
        if rules.toxicity == "block":
            raise Blocked("the text contains insults; rephrase it", tuple(flags))
        if rules.toxicity == "redact":
            values = {name: insults().sub("[insult]", value) for name, value in values.items()}
    kinds = pii.kinds(whole) if rules.pii != "off" else []
    if kinds:
        flags.append("pii")
        if rules.pii == "block":
            seen = ", ".join(kinds)
            raise Blocked(f"the text contains personal data ({seen}); remove it", tuple(flags))
        if rules.pii == "redact":
            values = {name: pii.redact(value) for name, value in values.items()}
    return Checked(values, tuple(flags))


def check_output(rules: Guard, answer: str, prompt: Prompt) -> tuple[str, ...]:
    """Flags of an answer; raise Blocked if it repeats the instructions."""
    if leaks(answer, prompt.system):
        raise Blocked("the answer repeated the instructions and was withheld", ("leak",))
    toxic = rules.toxicity != "off" and bool(insults().search(answer))
    personal = rules.pii != "off" and bool(pii.kinds(answer))
    found = {"output-toxicity": toxic, "output-pii": personal}
    return tuple(name for name, hit in found.items() if hit)


def leaks(answer: str, instructions: str) -> bool:
    """Whether eight words in a row of the instructions stand in the answer."""
    said, secret = answer.casefold().split(), instructions.casefold().split()
    spoken = {tuple(said[i : i + NGRAM]) for i in range(len(said) - NGRAM + 1)}
    return any(tuple(secret[i : i + NGRAM]) in spoken for i in range(len(secret) - NGRAM + 1))
