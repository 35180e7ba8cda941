"""Refuse or mend what must not reach a model or a user. What it finds is recorded as flags."""

import json
import re
from dataclasses import dataclass
from functools import cache

from app import injection, leak, pii, text
from app.errors import Blocked
from app.pii import Vault
from app.prompts import Prompt
from app.spec import Guard

ESCAPES = re.compile(r'(?:\\(?:u[\da-fA-F]{4}|["\\/bfnrt]))+')
# The letters of escapes, and in their places spaces that no answer holds.
HIDDEN = str.maketrans("bfnrt", "\x1c\x1d\x1e\x1f\u1680")
LETTERS = str.maketrans("\x1c\x1d\x1e\x1f\u1680", "bfnrt")


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
    flags: list[str] = []
    whole, vault = "\n".join(values.values()), Vault()
    if rules.injection != "off" and (judged := injection.judge(whole)).is_attack:
        what = f"the text reads like an attack on the instructions ({judged}); rephrase it"
        note(flags, rules.injection, "injection", what)
    if rules.toxicity != "off" and insults().search(whole):
        note(flags, rules.toxicity, "toxicity", "the text contains insults; rephrase it")
        if rules.toxicity == "redact":
            values = {name: without_insults(value) for name, value in values.items()}
    if kinds := pii.kinds(whole) if rules.pii != "off" else []:
        note(flags, rules.pii, "pii", f"the text contains personal data ({', '.join(kinds)}); remove it")
        if rules.pii == "redact":
            values, kinds = {name: vault.hide(value) for name, value in values.items()}, []
    classes = {"secret" if kind == "secret" else "personal" for kind in kinds}
    return Checked(values, tuple(flags), vault, frozenset(classes))


def check_output(rules: Guard, answer: str, prompt: Prompt, reference: str) -> Output:
    """An answer by the feature's rules; raise Blocked where they say so. A placeholder is no finding."""
    flags: list[str] = []
    if rules.leak != "off" and leak.leaks(answer, prompt.system, reference):
        note(flags, rules.leak, "leak", "the answer repeated the instructions and was withheld")
    found = mended(rules, answer)
    return Output(found.text, (*flags, *found.flags))


def mended(rules: Guard, answer: str) -> Output:
    """A part of an answer or all of it, without insults and personal data where the rules say so."""
    flags: list[str] = []
    findings = ("output-toxicity", rules.toxicity, without_insults), ("output-pii", rules.pii, pii.redact)
    for flag, action, redact in findings:
        plain = ESCAPES.sub(unescaped, answer)
        if action != "off" and (clean := redact(plain)) != plain:
            note(flags, action, flag, "the answer contained what this feature may not say and was withheld")
            answer = clean.translate(LETTERS) if action == "redact" else answer
    return Output(answer, tuple(flags))


def unescaped(found: re.Match[str]) -> str:
    """JSON escapes as the signs that they stand for; a letter that must stay is hidden and begins no word."""
    signs: str = json.loads(f'"{found[0]}"')
    return json.dumps(signs, ensure_ascii=False)[1:-1].translate(HIDDEN)


def without_insults(text: str) -> str:
    """The text with `[insult]` in the place of each."""
    return insults().sub("[insult]", text)


def note(flags: list[str], action: str, flag: str, what: str) -> None:
    """Add what was found to the flags; raise Blocked where that is the rule."""
    flags.append(flag)
    if action == "block":
        raise Blocked(what, tuple(flags))
