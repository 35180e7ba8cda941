"""Null changes of golden and adversarial cases: order, names, style, and where they come from."""

from pathlib import Path
from typing import Any

import yaml

from benchmarks.gate_truth.change import FEATURES, YAML, Draw, Edit, cases


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


def recorded(chance: Draw) -> Edit:
    """Cases moved or renamed where answers were recorded."""
    return chance.choice([reordered, renamed, origin_edited, restyled])(chance)


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
