"""Null changes: what a freelancer edits every day and what makes no answer worse, drawn from a seed."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.gate_truth import null_cases, null_files
from benchmarks.gate_truth.change import Change, Draw, Edit, all_of

SEED = 5


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
    elif name == "recorded answers":
        return Change(f"{number}: {name}", name, "", edit, "recorded")
    elif number % 4 == 3:
        other = chance.choice(
            [kind for kind in kinds if kind not in (name, "other seeds", "recorded answers")]
        )
        edit = all_of(edit, KINDS[other](chance))
        return Change(f"{number}: {name}, {other}", "two at once", "", edit)
    return Change(f"{number}: {name}", name, "", edit, environment=environment)


def by_chance(number: int) -> Change:
    """The unchanged project, once more, with a model that errs by chance."""
    return Change(f"run {number}", "model that errs by chance, run again", "", unchanged, "chance")


def unchanged(_: Path) -> None:
    """Edits nothing."""


def nothing(_: Draw) -> Edit:
    """No edit: what changes is around the project."""
    return unchanged


def seeds(chance: Draw) -> dict[str, str]:
    """Another machine, as far as a process can tell."""
    return {
        "APP_PEPPER": f"{chance.getrandbits(256):064x}",
        "TZ": chance.choice(["UTC", "Asia/Kolkata", "America/Bogota", "Pacific/Auckland"]),
        "LANG": chance.choice(["C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8"]),
        "COLUMNS": chance.choice(["40", "80", "200"]),
    }


KINDS: dict[str, Callable[[Draw], Edit]] = {
    "other seeds": nothing,
    "cases reordered": null_cases.reordered,
    "cases renamed": null_cases.renamed,
    "cases restyled": null_cases.restyled,
    "origin of cases": null_cases.origin_edited,
    "cases added": null_cases.case_added,
    "comment in YAML": null_files.commented_yaml,
    "comment in TOML": null_files.commented_toml,
    "comment in Python": null_files.commented_python,
    "blank lines": null_files.blank_lines,
    "line ends": null_files.line_ends,
    "tables moved": null_files.tables_moved,
    "keys moved": null_files.keys_moved,
    "summary": null_files.summary_changed,
    "SLO": null_files.slo_changed,
    "cache and keeping": null_files.kept_longer,
    "examples": null_files.example_added,
    "docs": null_files.documented,
    "prompt renamed": null_files.prompt_renamed,
    "prompt not used": null_files.prompt_added,
    "docstrings of the schema": null_files.schema_described,
    "code in other words": null_files.code_moved,
    "models not asked": null_files.model_added,
    "policy": null_files.policy_grown,
    "title and logs": null_files.titled,
    "spaces in a page": null_files.page_spaced,
    "demo data": null_files.demo_data,
    "version": null_files.packaged,
    "recorded answers": null_cases.recorded,
}
