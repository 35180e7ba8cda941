"""Refuse or mend what must not reach a model or a user. What it finds is recorded as flags."""

import re
from dataclasses import dataclass
from functools import cache

from app import injection, leak, pii, text
from app.errors import Blocked
from app.pii import Vault
from app.prompts import Prompt
from app.spec import Guard


@cache
def insults() -> re.Pattern[str]:
    """The insults of words.toml as one pattern."""
    forms = [form for listed in text.word_lists()["insults"].values() for form in listed.split()]
    return re.compile(rf"\b(?:{'|'.join(forms)})\b", re.I)


@dataclass(frozen=True)
class Checked:
    """Text that may go on, what was found in it and taken out; `classes` are of what is left in it."""

    values: dict[str, str]
    flags: tuple[str, ...]
    vault: Vault
    classes: frozenset[str]


@dataclass(frozen=True)
class Output:
    """An answer that may be given, and what was found in it."""

    text: str
    flags: tuple[str, ...]


def check_input(rules: Guard, values: dict[str, str]) -> Checked:
    """Redact and flag the caller's text by the feature's rules, or raise Blocked with what was seen."""
    whole, flags, vault = "\n".join(values.values()), [], Vault()
    if rules.injection != "off" and (judged := injection.judge(whole)).is_attack:
        flags.append("injection")
        if rules.injection == "block":
            what = f"the text reads like an attack on the instructions ({judged}); rephrase it"
            raise Blocked(what, tuple(flags))
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
            what = f"the text contains personal data ({', '.join(kinds)}); remove it"
            raise Blocked(what, tuple(flags))
        if rules.pii == "redact":
            values, kinds = {name: vault.hide(value) for name, value in values.items()}, []
    classes = {"secret" if kind == "secret" else "personal" for kind in kinds}
    return Checked(values, tuple(flags), vault, frozenset(classes))


def check_output(rules: Guard, answer: str, prompt: Prompt, reference: str) -> Output:
    """An answer by the feature's rules; raise Blocked where they say so. A placeholder is no finding."""
    flags = []
    if rules.leak != "off" and leak.leaks(answer, prompt.system, reference):
        if rules.leak == "block":
            raise Blocked("the answer repeated the instructions and was withheld", ("leak",))
        flags.append("leak")
    found = mended(rules, answer)
    return Output(found.text, (*flags, *found.flags))


def mended(rules: Guard, answer: str) -> Output:
    """A part of an answer or all of it, without insults and personal data where the rules say so."""
    flags = []
    if rules.toxicity != "off" and insults().search(answer):
        flags.append("output-toxicity")
        answer = acted(rules.toxicity, answer, insults().sub("[insult]", answer), "output-toxicity")
    if rules.pii != "off" and pii.kinds(answer):
        flags.append("output-pii")
        answer = acted(rules.pii, answer, pii.redact(answer), "output-pii")
    return Output(answer, tuple(flags))


def acted(action: str, answer: str, redacted: str, flag: str) -> str:
    """The answer after the rule's action; raise Blocked for `block`."""
    if action == "block":
        raise Blocked("the answer contained what this feature may not say and was withheld", (flag,))
    return redacted if action == "redact" else answer
