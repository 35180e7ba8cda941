"""Refuse or mend what must not reach a model or a user. What it finds is recorded as flags."""

import re
from dataclasses import dataclass

from app import pii
from app.errors import Blocked
from app.prompts import Prompt
from app.spec import Guard

# Each rule names what it saw, so that a refusal can be explained.
INJECTION = {
    "override": r"\b(?:ignor\w*|disregard\w*|forget\w*|override|bypass|drop|skip)\b.{0,40}\b(?:previous|prior|above|"
    r"earlier|preceding|all|any|your|the|system|these)\b.{0,30}\b(?:instructions?|rules?|prompts?|guidelines?|"
    r"directions?|restrictions?|orders?|commands?|context)\b",
    "new-role": r"\b(?:you are now|from now on,? you|act as|pretend (?:to be|that you|you)|roleplay as|"
    r"you (?:will|must|shall) (?:now )?(?:act|behave|respond|answer) as)\b.{0,80}\b(?:unrestricted|jailbroken|dan|"
    r"no (?:rules|limits|restrictions|filters?)|without (?:any )?(?:rules|limits|restrictions|filters?)|"
    r"developer mode|evil|uncensored|anything)\b",
    "leak": r"\b(?:reveal|show|print|repeat|output|display|tell|give|send|recite|quote|dump|copy|write|translate|"
    r"summari[sz]e|list|what (?:is|are|were|does))\b.{0,50}\b(?:your|the|these|its) (?:\w+ ){0,2}?(?:system prompt|"
    r"system message|initial prompt|hidden (?:prompt|instructions?|rules?)|prompt|instructions? (?:above|you)|"
    r"(?:secret|original|initial|internal|exact|full|own) (?:prompt|instructions?|rules?|message))",
    "before": r"\b(?:everything|all|text|words?|lines?|sentences?|anything)\b.{0,30}\b(?:above|before|precedes?|preceding)"
    r"\b.{0,30}\b(?:this|my|line|message|question|here)\b",
    "marker": r"(?:<\|?(?:im_start|system|/?inst)\|?>|\[/?INST\]|^\s*#{2,}\s*(?:system|new instructions?)\b|"
    r"\b(?:begin|end) (?:system )?prompt\b)",
    "mode": r"\b(?:developer|debug|god|sudo|admin|maintenance|jailbreak) mode (?:on|enabled|activated|is)\b|"
    r"\b(?:enable|enter|activate|switch to) (?:developer|debug|god|sudo|jailbreak) mode\b|\bDo Anything Now\b",
    "answer-only": r"\b(?:only|just|simply) (?:respond|reply|answer|say|print|output|write)\b.{0,30}"
    r"[\"'“‘].{1,60}[\"'”’]|\b(?:respond|reply|answer) only with\b",
}
RULES = {name: re.compile(rule, re.I | re.S | re.M) for name, rule in INJECTION.items()}
INSULTS = re.compile(
    r"\b(?:idiots?|morons?|imbeciles?|bastards?|assholes?|bitch(?:es)?|cunts?|retards?|scumbags?|dumbass|"
    r"fuck(?:ing|ers?|ed)?|shitheads?|worthless (?:piece|trash|garbage)|stupid (?:pig|cow|fool))\b",
    re.I,
)
NGRAM = 8


@dataclass(frozen=True)
class Checked:
    """Text that may go on, and what was found in it."""

    values: dict[str, str]
    flags: tuple[str, ...] = ()


def check_input(rules: Guard, values: dict[str, str]) -> Checked:
    """Redact and flag the caller's text by the feature's rules, or raise Blocked with what was seen."""
    whole, flags = "\n".join(values.values()), []
    seen = next((name for name, rule in RULES.items() if rule.search(whole)), "")
    if seen and rules.injection != "off":
        flags.append("injection")
        if rules.injection == "block":
            raise Blocked(f"the text reads like an attempt to change the instructions (rule '{seen}'); rephrase it")
    if rules.toxicity != "off" and INSULTS.search(whole):
        flags.append("toxicity")
        if rules.toxicity == "block":
            raise Blocked("the text contains insults; rephrase it")
        if rules.toxicity == "redact":
            values = {name: INSULTS.sub("[insult]", value) for name, value in values.items()}
    kinds = pii.kinds(whole) if rules.pii != "off" else []
    if kinds:
        flags.append("pii")
        if rules.pii == "block":
            raise Blocked(f"the text contains personal data ({', '.join(kinds)}); remove it")
        if rules.pii == "redact":
            values = {name: pii.redact(value) for name, value in values.items()}
    return Checked(values, tuple(flags))


def check_output(rules: Guard, answer: str, prompt: Prompt) -> tuple[str, ...]:
    """Flags of an answer; raise Blocked if it repeats the instructions."""
    if leaks(answer, prompt.system):
        raise Blocked("the answer repeated the instructions and was withheld")
    found = {"toxicity": rules.toxicity != "off" and INSULTS.search(answer)}
    found["pii"] = bool(rules.pii != "off" and pii.kinds(answer))
    return tuple(f"output-{name}" for name, hit in found.items() if hit)


def leaks(answer: str, instructions: str) -> bool:
    """Whether eight words in a row of the instructions stand in the answer."""
    said, secret = answer.casefold().split(), instructions.casefold().split()
    spoken = {tuple(said[i : i + NGRAM]) for i in range(len(said) - NGRAM + 1)}
    return any(tuple(secret[i : i + NGRAM]) in spoken for i in range(len(secret) - NGRAM + 1))
