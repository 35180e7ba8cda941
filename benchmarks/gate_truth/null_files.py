"""Null changes of all other files: comments, spaces, order, names, and settings that no answer depends on."""

import re
from pathlib import Path

from benchmarks.gate_truth.change import FEATURES, YAML, Draw, Edit, all_of, append, rename, sub, swap

NOTE = "Reviewed with the client on the phone; nothing to change here."
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


def commented_yaml(chance: Draw) -> Edit:
    """A comment before some cases."""
    return before_lines(chance, chance.choice(YAML), r"^  - name:", f"  # {NOTE}\n")


def commented_toml(chance: Draw) -> Edit:
    """A comment before a table."""
    return before_lines(chance, chance.choice(TOML), r"\A|^\[", f"# {NOTE}\n")


def commented_python(chance: Draw) -> Edit:
    """A comment before a function or class."""
    return before_lines(chance, chance.choice(PYTHON), r"^(?:def|class) (?!.*@)", f"# {NOTE}\n")


def before_lines(chance: Draw, name: str, pattern: str, more: str) -> Edit:
    """A line in front of one that matches."""

    def edit(project: Path) -> None:
        path = project / name
        content = path.read_text(encoding="utf-8")
        places = [found.start() for found in re.finditer(pattern, content, re.M)]
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
            swap(steps, "REFUSAL", "ABSTENTION"),
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
