"""Null changes: what a freelancer edits every day and what makes no answer worse, drawn from a seed."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from benchmarks.gate_truth.change import Change, Edit, all_of, append, cases, rename, sub, swap

SEED = 5
FEATURES = ("answer", "summarize")
NOTE = "Reviewed with the client on the phone; nothing to change here."
YAML = [f"features/{feature}/{kind}.yaml" for feature in FEATURES for kind in ("golden", "adversarial")]
TOML = [
    "config/models.toml",
    "config/policy.toml",
    "config/app.toml",
    *(f"features/{f}/feature.toml" for f in FEATURES),
]
PYTHON = [
    "features/answer/schema.py",
    "features/answer/steps.py",
    "features/summarize/schema.py",
    "app/pipeline.py",
    "app/text.py",
    "app/guard.py",
    "app/passages.py",
]
Draw = random.Random


def changes(count: int) -> list[Change]:
    """So many null changes; each kind comes as often as the others, every fourth is two kinds at once."""
    return [change(number) for number in range(count)]


def change(number: int) -> Change:
    """The nth null change, always the same."""
    chance = Draw(SEED * 1_000_000 + number)
    kinds = list(KINDS)
    name = kinds[number % len(kinds)]
    edit, environment = KINDS[name](chance), {}
    if name == "other seeds":
        environment = seeds(chance)
    elif number % 4 == 3:
        other = chance.choice([kind for kind in kinds if kind not in (name, "other seeds")])
        edit = all_of(edit, KINDS[other](chance))
        return Change(f"{number}: {name}, {other}", "two at once", "", edit)
    return Change(f"{number}: {name}", name, "", edit, environment=environment)


def by_chance(number: int) -> Change:
    """The unchanged project, once more, with a model that errs by chance."""
    return Change(f"run {number}", "model that errs by chance, run again", "", unchanged, "chance")


def seeds(chance: Draw) -> dict[str, str]:
    """Another machine, as far as a process can tell."""
    return {
        "APP_PEPPER": f"{chance.getrandbits(256):064x}",
        "TZ": chance.choice(["UTC", "Asia/Kolkata", "America/Bogota", "Pacific/Auckland"]),
        "LANG": chance.choice(["C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8"]),
        "COLUMNS": chance.choice(["40", "80", "200"]),
    }


def unchanged(_: Path) -> None:
    """Edits nothing."""


def nothing(_: Draw) -> Edit:
    """No edit: what changes is around the project."""
    return unchanged


def reordered(chance: Draw) -> Edit:
    """The cases of a file in another order."""
    return cases(chance.choice(YAML), lambda items: chance.sample(items, len(items)))


def renamed(chance: Draw) -> Edit:
    """Some cases under other names."""
    count = chance.randint(1, 12)

    def change(items: list[dict[str, Any]]) -> None:
        for item in chance.sample(items, count):
            item["name"] = f"{item['name']}-{chance.choice(['v2', 'new', 'renamed'])}"

    return cases(chance.choice(YAML), change)


def origin_edited(chance: Draw) -> Edit:
    """Where some cases come from, told in other words."""

    def change(items: list[dict[str, Any]]) -> None:
        for item in chance.sample(items, chance.randint(1, 20)):
            item["metadata"]["origin"] = "from the workshop with the client"

    return cases(chance.choice(YAML), change)


def restyled(chance: Draw) -> Edit:
    """The same cases, written by another YAML writer."""
    flow, width, name = (
        chance.choice([None, False, True]),
        chance.choice([60, 110, 1000]),
        chance.choice(YAML),
    )

    def edit(project: Path) -> None:
        path = project / name
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        said = yaml.safe_dump(
            content, allow_unicode=True, sort_keys=False, default_flow_style=flow, width=width
        )
        path.write_text(said, encoding="utf-8")

    return edit


def case_added(chance: Draw) -> Edit:
    """Golden cases that are new, asked as old ones are."""

    def change(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        more = chance.sample([item for item in items if "pair" not in item["metadata"]], chance.randint(1, 5))
        return items + [
            {**item, "name": f"{item['name']}-again", "inputs": asked_again(item)} for item in more
        ]

    return cases(f"features/{chance.choice(FEATURES)}/golden.yaml", change)


def asked_again(item: dict[str, Any]) -> dict[str, str]:
    """The inputs of a case in slightly other words."""
    return {name: f"{said} Thank you!" for name, said in item["inputs"].items()}


def commented_yaml(chance: Draw) -> Edit:
    """A comment before some cases."""
    return before_lines(chance, chance.choice(YAML), r"^  - name:", f"  # {NOTE}\n")


def commented_toml(chance: Draw) -> Edit:
    """A comment before a table."""
    return before_lines(chance, chance.choice(TOML), r"^\[?\w[^\n\"]*$", f"# {NOTE}\n", at_start=True)


def commented_python(chance: Draw) -> Edit:
    """A comment before a function or class."""
    return before_lines(chance, chance.choice(PYTHON), r"^(?:def|class) (?!.*@)", f"# {NOTE}\n")


def before_lines(chance: Draw, name: str, pattern: str, more: str, *, at_start: bool = False) -> Edit:
    """A line in front of one that matches; at the start of the file where that is safer."""

    def edit(project: Path) -> None:
        path = project / name
        content = path.read_text(encoding="utf-8")
        places = [0] if at_start else [found.start() for found in re.finditer(pattern, content, re.M)]
        place = chance.choice(places)
        path.write_text(content[:place] + more + content[place:], encoding="utf-8")

    return edit


def blank_lines(chance: Draw) -> Edit:
    """More blank lines and spaces where they mean nothing."""
    name = chance.choice([*TOML, *YAML])

    def edit(project: Path) -> None:
        path = project / name
        said = (
            re.sub(r"\n(?=\[\w)", "\n\n", path.read_text(encoding="utf-8"))
            if name in TOML
            else path.read_text("utf-8")
        )
        path.write_text(said + "\n" * chance.randint(1, 4), encoding="utf-8")

    return edit


def line_ends(chance: Draw) -> Edit:
    """A file saved on Windows."""
    name = chance.choice([*TOML, *YAML, "features/answer/prompts/v2.md", "features/summarize/prompts/v2.md"])

    def edit(project: Path) -> None:
        path = project / name
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))

    return edit


def tables_moved(chance: Draw) -> Edit:
    """The tables of feature.toml in another order."""

    def edit(project: Path) -> None:
        path = project / f"features/{chance.choice(FEATURES)}/feature.toml"
        head, *tables = re.split(r"^(?=\[(?!\[))", path.read_text(encoding="utf-8"), flags=re.M)
        path.write_text(head + "\n".join(chance.sample(tables, len(tables))), encoding="utf-8")

    return edit


def keys_moved(chance: Draw) -> Edit:
    """The keys at the top of feature.toml in another order."""

    def edit(project: Path) -> None:
        path = project / f"features/{chance.choice(FEATURES)}/feature.toml"
        head, rest = path.read_text(encoding="utf-8").split("\n\n", 1)
        keys = head.splitlines()
        path.write_text("\n".join(chance.sample(keys, len(keys))) + f"\n\n{rest}", encoding="utf-8")

    return edit


def summary_changed(chance: Draw) -> Edit:
    """What the feature is called on its page."""
    words = chance.choice(["For the help desk.", "First version for the client.", "Internal."])
    return sub(
        f"features/{chance.choice(FEATURES)}/feature.toml", r'^summary = ".*?"', f'summary = "{words}"'
    )


def slo_changed(chance: Draw) -> Edit:
    """Another promise."""
    feature = f"features/{chance.choice(FEATURES)}/feature.toml"
    return all_of(
        swap(feature, "p95_ms = 900", f"p95_ms = {chance.randint(700, 3000)}"),
        swap(feature, "error_rate = 0.01", f"error_rate = {chance.choice(['0.005', '0.02'])}"),
    )


def kept_longer(chance: Draw) -> Edit:
    """How long answers are cached and kept."""
    feature = f"features/{chance.choice(FEATURES)}/feature.toml"
    more = f"cache_ttl_s = {chance.choice([0, 60, 86_400])}\nkeep_days = {chance.randint(0, 30)}"
    return swap(feature, "cache_ttl_s = 3600", more)


def example_added(chance: Draw) -> Edit:
    """One more example on the demo page."""
    return sub(
        "features/answer/feature.toml",
        r"^\[slo\]",
        f'[[examples.en]]\nquestion = "What is a canary, case {chance.randint(1, 99)}?"\n\n[slo]',
    )


def documented(chance: Draw) -> Edit:
    """A page of documentation more, or a line in one."""
    name = chance.choice(["README.md", "CHANGELOG.md", "docs/notes.md", "docs/slos.md", "AGENTS.md"])
    return append(name, f"\n## Notes {chance.randint(1, 99)}\n\n{NOTE}\n")


def prompt_renamed(chance: Draw) -> Edit:
    """A prompt file under the next version's name, its text as before."""
    folder, name = f"features/{chance.choice(FEATURES)}", f"v{chance.randint(3, 30)}"
    return all_of(
        rename(f"{folder}/prompts/v2.md", f"{folder}/prompts/{name}.md"),
        swap(f"{folder}/feature.toml", 'prompt = "v2"', f'prompt = "{name}"'),
    )


def prompt_added(chance: Draw) -> Edit:
    """A prompt that is written but not used yet."""
    feature = chance.choice(FEATURES)
    field = {"answer": "$passages\n$question", "summarize": "$text"}[feature]
    return append(f"features/{feature}/prompts/v9.md", f"Answer as a poem.\n\n---\n{field}\n")


def schema_described(chance: Draw) -> Edit:
    """Docstrings and examples of schema.py in other words."""
    return chance.choice(
        [
            swap(
                "features/answer/schema.py",
                '"""A question for the handbook."""',
                '"""What somebody wants to know."""',
            ),
            swap("features/answer/schema.py", "What is an error budget?", "What is a canary?"),
            swap("features/summarize/schema.py", '"""A text to summarise."""', '"""Any text."""'),
            swap("features/summarize/schema.py", "Minutes of the weekly call", "Minutes of the monthly call"),
        ]
    )


def code_moved(chance: Draw) -> Edit:
    """The same steps in other words of Python."""
    steps = "features/answer/steps.py"
    return chance.choice(
        [
            swap(steps, "refused", "declined"),
            swap(steps, "cited", "sources"),
            sub(steps, r"    if not cited and not refused:", "    if not (cited or refused):"),
            swap(steps, "said", "words"),
        ]
    )


def model_added(chance: Draw) -> Edit:
    """A fallback that is never asked, or a model of a tier that no feature names."""
    tier = chance.choice(["standard", "large"])
    return append(
        "config/models.toml",
        f'\n[models.spare]\nprovider = "openai-compatible"\ntier = "{tier}"\n'
        f'name = "spare-{chance.randint(1, 99)}"\n'
        'base_url = "http://127.0.0.1:9/v1"\nregion = "local"\nretention_days = 0\n'
        "price = { input_usd = 1, output_usd = 2 }\n",
    )


def policy_grown(chance: Draw) -> Edit:
    """A role or a use case more."""
    return append(
        "config/policy.toml",
        chance.choice(
            [
                '\n[roles.auditor]\ncan = ["view"]\n',
                '\n[use_cases.own-notes]\nproviders = ["keyless"]\nregions = ["local"]\n'
                'max_retention_days = 0\ndata_classes = ["public"]\n',
            ]
        ),
    )


def titled(chance: Draw) -> Edit:
    """Title and log level of the app."""
    level = chance.choice(["debug", "warning", "error"])
    return all_of(
        sub("config/app.toml", r"^title = .*?$", f'title = "Desk {chance.randint(1, 99)}"'),
        sub("config/app.toml", r'^# log_level = "info"', f'log_level = "{level}"'),
    )


def page_spaced(chance: Draw) -> Edit:
    """Spaces at the ends of lines of a page."""

    def edit(project: Path) -> None:
        path = chance.choice(sorted((project / "data/seed/handbook").rglob("*.md")))
        path.write_text(path.read_text(encoding="utf-8") + "\n\n", encoding="utf-8")

    return edit


def demo_data(_: Draw) -> Edit:
    """Other tenants and traffic in the demo."""
    return sub("data/seed/traffic.csv", r"\n[^\n]*\n\Z", "\n")


def packaged(chance: Draw) -> Edit:
    """Another version of the project."""
    return sub("pyproject.toml", r'^version = ".*?"', f'version = "0.{chance.randint(2, 90)}.0"')


KINDS: dict[str, Callable[[Draw], Edit]] = {
    "other seeds": nothing,
    "cases reordered": reordered,
    "cases renamed": renamed,
    "cases restyled": restyled,
    "origin of cases": origin_edited,
    "cases added": case_added,
    "comment in YAML": commented_yaml,
    "comment in TOML": commented_toml,
    "comment in Python": commented_python,
    "blank lines": blank_lines,
    "line ends": line_ends,
    "tables moved": tables_moved,
    "keys moved": keys_moved,
    "summary": summary_changed,
    "SLO": slo_changed,
    "cache and keeping": kept_longer,
    "examples": example_added,
    "docs": documented,
    "prompt renamed": prompt_renamed,
    "prompt not used": prompt_added,
    "docstrings of the schema": schema_described,
    "code in other words": code_moved,
    "models not asked": model_added,
    "policy": policy_grown,
    "title and logs": titled,
    "spaces in a page": page_spaced,
    "demo data": demo_data,
    "version": packaged,
}
