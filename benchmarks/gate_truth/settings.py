"""Regressions of what a project is set to and what its own code does: a feature, models, policy, app."""

from benchmarks.gate_truth.change import Change, Edit, all_of, remove, sub, swap
from benchmarks.gate_truth.prompts import ANSWER, FEATURE

SUMMARIZE = "features/summarize/feature.toml"
SCHEMA, STEPS = "features/answer/schema.py", "features/answer/steps.py"
MODELS, POLICY = "config/models.toml", "config/policy.toml"
SMALL = '{"state": "ENABLED", "variants": {"small": "small"}, "defaultVariant": "small"}'


def model(name: str, why: str, kind: str = "weaker model") -> Change:
    """Another model of the same provider."""
    return Change(f"model '{name}'", kind, why, swap(MODELS, '"plain"', f'"{name}"'), "hosted")


def stale(name: str, edit: Edit) -> Change:
    """Recordings that are not those of the project as it is now."""
    return Change(name, "stale recording", "CI would judge answers that nobody gave", edit, "recorded")


def guard(rules: str, feature: str = FEATURE) -> Change:
    """Some guards of a feature switched off."""
    which = rules.partition(" ")[0]
    name = f"{which} guard off in {feature.split('/')[1]}"
    if feature == SUMMARIZE:
        return Change(
            name,
            "removed guard",
            f"{which} is not looked for",
            sub(feature, r"^\[guard\]\n", f"[guard]\n{rules}\n"),
        )
    return Change(
        name,
        "removed guard",
        f"{which} is not looked for",
        sub(feature, r"^\[gate\]", f"[guard]\n{rules}\n\n[gate]"),
    )


CHANGES = [
    Change("k 5 to 12", "larger k", "more passages are sent than help", swap(FEATURE, "k = 5", "k = 12")),
    Change("k 5 to 7", "larger k", "a few more passages, a few more tokens", swap(FEATURE, "k = 5", "k = 7")),
    Change(
        "max_input_tokens cut",
        "limits",
        "most passages are trimmed away",
        swap(FEATURE, "max_input_tokens = 3000", "max_input_tokens = 500"),
    ),
    Change(
        "max_tokens cut",
        "limits",
        "answers end in the middle",
        swap(FEATURE, "max_tokens = 300", "max_tokens = 30"),
        "hosted",
    ),
    Change(
        "max_tokens cut, JSON",
        "limits",
        "the JSON object ends in the middle",
        swap(SUMMARIZE, "max_tokens = 400", "max_tokens = 60"),
        "hosted",
    ),
    Change(
        "tier without a model", "limits", "no model has this tier", swap(FEATURE, '["standard"]', '["small"]')
    ),
    Change(
        "output as text",
        "limits",
        "a JSON feature is read as text",
        swap(SUMMARIZE, 'prompt = "v2"', 'prompt = "v2"\noutput = "text"'),
    ),
    guard('injection = "off"'),
    guard('pii = "off"'),
    guard('toxicity = "off"'),
    guard('leak = "off"'),
    guard('pii = "off"', SUMMARIZE),
    guard('toxicity = "off"', SUMMARIZE),
    Change(
        "injection guard flags alone",
        "removed guard",
        "an attack is noted and answered",
        sub(FEATURE, r"^\[gate\]", '[guard]\ninjection = "flag"\n\n[gate]'),
    ),
    Change(
        "injection rules dropped",
        "removed guard",
        "the rules were emptied, their hints are still there",
        sub("app/injection.toml", r"^\[rules\]\n.*?(?=^\[hints.8\])", "[rules]\n\n"),
    ),
    Change(
        "PII pattern dropped",
        "removed guard",
        "IBANs are not known any more",
        sub("app/pii.toml", r"^\[iban\].*?(?=^\[card\])", ""),
    ),
    Change(
        "field dropped from Output",
        "dropped schema field",
        "the answer has no sources",
        all_of(sub(SCHEMA, r"^    citations: .*?\n", ""), sub(STEPS, r'"citations": [^,]*, ', "")),
    ),
    Change(
        "field dropped, steps.py as before",
        "dropped schema field",
        "schema.py and steps.py disagree",
        sub(SCHEMA, r"^    answered: .*?\n", ""),
    ),
    Change(
        "key points dropped",
        "dropped schema field",
        "prompt and schema without the points",
        all_of(
            sub("features/summarize/schema.py", r"^    key_points: .*?\n", ""),
            sub("features/summarize/prompts/v2.md", r"^`key_points`.*?\n", ""),
        ),
    ),
    Change(
        "limit in Input",
        "dropped schema field",
        "questions longer than sixty signs are refused",
        swap(SCHEMA, "max_length=2_000", "max_length=60"),
    ),
    Change(
        "answer cut in steps.py",
        "worse code",
        "a display limit that ended up in the wrong place",
        swap(STEPS, '"answer": said.strip()', '"answer": said.strip()[:80]'),
    ),
    Change(
        "citations lost in steps.py",
        "worse code",
        "an early return forgets the sources",
        swap(STEPS, "[] if refused else cited", "[]"),
    ),
    Change(
        "refusals taken for answers",
        "worse code",
        "a refusal counts as an answer",
        swap(STEPS, '"answered": not refused', '"answered": True'),
    ),
    Change(
        "stop words lost",
        "broken language",
        "Spanish is not told from English",
        sub("app/words.toml", r'^es = """.*?"""', 'es = """\nel la\n"""'),
    ),
    Change("k 5 to 1", "smaller k", "one passage is left to answer from", swap(FEATURE, "k = 5", "k = 1")),
    Change("k 5 to 3", "smaller k", "fewer passages to answer from", swap(FEATURE, "k = 5", "k = 3")),
    Change(
        "wrong language of the stemmer",
        "broken language",
        "German words are stemmed as English ones",
        swap("app/text.py", '"de": "german"', '"de": "english"'),
    ),
    stale("prompt changed, not recorded again", swap(ANSWER, "at most two sentences", "one sentence")),
    stale("limit changed, not recorded again", swap(FEATURE, "max_tokens = 300", "max_tokens = 200")),
    stale("model changed, not recorded again", swap(MODELS, '"plain"', '"small"')),
    stale("recordings deleted", remove("features/answer/recordings/golden.jsonl")),
    stale("recordings cut short", sub("features/summarize/recordings/golden.jsonl", r".{200}\Z", "")),
    Change(
        "errs twice as often",
        "weaker model",
        "a model that errs by chance, in twice as many answers",
        swap(MODELS, '"chance"', '"chance-worse"'),
        "chance",
    ),
    model("small", "wrong on 8 % of the inputs"),
    model("smallest", "wrong on a quarter of the inputs"),
    model("terse", "six words where a sentence was asked for"),
    model("unmarked", "does not cite"),
    model("nothing", "answers nothing"),
    model("sure", "never says that it does not know"),
    model("gullible", "repeats whatever stands in a document"),
    model("english", "English whatever was asked", "broken language"),
    model("wordy", "a hundred words that nobody asked for", "dearer model"),
    Change(
        "dearer model",
        "dearer model",
        "the same answers at twice the price",
        sub(MODELS, r"price = .*?$", "price = { input_usd = 0.5, output_usd = 4.0 }"),
        "hosted",
    ),
    Change(
        "small context",
        "weaker model",
        "a context that the passages do not fit in",
        sub(MODELS, r"price = ", "context = 700\nprice = "),
        "hosted",
    ),
    Change(
        "model forbidden",
        "policy",
        "policy leaves the feature without a model",
        swap(POLICY, 'providers = ["keyless", "openai-compatible"', 'providers = ["openai-compatible"'),
    ),
    Change(
        "data class forbidden",
        "policy",
        "personal data is let through, then refused by policy",
        sub(FEATURE, r"^\[gate\]", '[guard]\npii = "flag"\n\n[gate]'),
    ),
    Change(
        "model below a flag",
        "policy",
        "a flag sends all callers to a tier that no model has",
        swap("config/flags.json", '"flags": {', f'"flags": {{\n    "answer.tier": {SMALL},'),
    ),
]
# What looks like harm and is none: the guard's other rules hold. Shown, not counted.
UNFELT = [
    Change(
        "injection wording dropped",
        "removed guard",
        "a clean-up took the words for earlier instructions out of the rules",
        sub("app/injection.toml", r"^earlier = '.*?'$", "earlier = '(?:previously)'"),
    ),
]
