"""Rules that recognise an attempt to change the instructions; each has a name, so a refusal can be explained.

They see wording, not intent: an ordinary task hidden in a document passes them. Against that only structure
helps: delimited text, no caller's words in the instructions, checks of the output.
"""

import re

WORDING = r"(?:instructions?|rules?|prompts?|guidelines?|directions?|restrictions?|orders?|commands?)"
NO_LIMITS = r"(?:no|without(?: any)?) (?:rules|limits|restrictions|filters?)"
RULES = {
    "override": (
        r"\b(?:ignor\w*|disregard\w*|forget\w*|override|bypass|drop|skip)\b.{0,40}"
        r"\b(?:previous|prior|above|earlier|preceding|all|any|your|the|system|these)\b.{0,30}"
        rf"\b{WORDING}\b"
    ),
    "override-de": (
        r"\b(?:vergiss|vergesst|ignorier\w*|missachte\w*)\b.{0,60}\b(?:anweisungen|regeln|vorgaben|befehle)\b"
    ),
    "override-es": r"\b(?:olvida\w*|ignora\w*)\b.{0,60}\b(?:instrucciones|reglas|indicaciones)\b",
    "void": (
        r"\b(?:instructions?|rules?|guidelines?|restrictions?)\b.{0,40}"
        r"\b(?:no longer (?:apply|count|hold)|(?:are|is) (?:void|cancell?ed|suspended))\b"
    ),
    "new-role": (
        r"\b(?:you are now|from now on,? you|act as|pretend (?:to be|that you|you)|roleplay as|"
        r"you (?:will|must|shall) (?:now )?(?:act|behave|respond|answer) as)\b.{0,80}"
        rf"\b(?:unrestricted|jailbroken|dan|{NO_LIMITS}|developer mode|evil|uncensored|anything)\b"
    ),
    "leak": (
        r"\b(?:reveal|show|print|repeat|output|display|give|send|recite|quote|dump|copy|write|translate|"
        r"summari[sz]e|list|tell|what (?:is|are|were|does))(?: \w+){0,3}? "
        r"(?:(?:your|these) (?:\w+ ){0,2}?|the |its )(?:(?:system|exact|full|own|original) )*"
        r"(?:(?:system|initial|hidden) prompt|system message|(?:secret|hidden|initial|internal) \w+|"
        r"(?:prompt|instructions?|rules?|message) (?:above|you)|(?<=your )(?:prompt|instructions?|rules?))\b"
    ),
    "given": (
        r"\b(?:rules?|instructions?|prompts?|guidelines?|message)\b (?:that )?you "
        r"(?:were|have been|had been|got|received)(?: given| told| shown)?\b.{0,60}"
        r"\b(?:start|beginning|list|before|above|first|earlier|print|repeat)"
    ),
    "before": (
        r"\b(?:everything|all|text|words?|lines?|sentences?|anything)\b.{0,30}"
        r"\b(?:above|before|precedes?|preceding)\b.{0,30}\b(?:this|my|line|message|question|here)\b"
    ),
    "marker": (
        r"(?:<\|?(?:im_start|system|/?inst)\|?>|\[/?INST\]|"
        r"^\s*#{2,}\s*(?:system|new instructions?)\b|\b(?:begin|end) (?:system )?prompt\b)"
    ),
    "mode": (
        r"\b(?:developer|debug|god|sudo|admin|maintenance|jailbreak) mode (?:on|enabled|activated|is)\b|"
        r"\b(?:enable|enter|activate|switch to) (?:developer|debug|god|sudo|jailbreak) mode\b|"
        r"\bDo Anything Now\b"
    ),
    "answer-only": (
        r"\b(?:only|just|simply) (?:respond|reply|answer|say|print|output|write)\b.{0,30}"
        r"[\"'“‘].{1,60}[\"'”’]|\b(?:respond|reply|answer) only with\b|\banswer every question with\b"
    ),
}
COMPILED = {name: re.compile(rule, re.I | re.S | re.M) for name, rule in RULES.items()}


def rule_in(text: str) -> str:
    """The name of the first rule that the text trips, or nothing."""
    return next((name for name, rule in COMPILED.items() if rule.search(text)), "")
