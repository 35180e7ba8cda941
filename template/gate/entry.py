"""Put one more case at the end of its file, as a person would have written it there."""

import json
import re
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any, get_origin

import typer
import yaml
from pydantic import BaseModel

from app import files
from app.features import Feature
from gate import cases, changelog
from gate.errors import BadCases

DASH = re.compile(r"(?m)^ *- ")


class Dumper(yaml.SafeDumper):
    """YAML in which a text of several lines is a block, so that a diff of it can be read."""

    def represent_scalar(self, tag: str, value: Any, style: str | None = None) -> yaml.ScalarNode:
        """One value of a case."""
        return super().represent_scalar(tag, value, "|" if "\n" in value else style)


def fields(model: type[BaseModel], words: list[str] | None) -> dict[str, Any]:
    """What words like `name=value` say, or where there are none, whoever is asked for each field.

    A list is parted by `;`, or said in several words; a table is JSON. Raises ConfigError for what does not
    fit the model.
    """
    known = model.model_fields
    said = [word.partition("=")[::2] for word in words or []] or [
        (name, typer.prompt(name, None if field.is_required() else "", show_default=False))
        for name, field in known.items()
    ]
    told: dict[str, Any] = {name: text for name, text in said if text}
    for name in told.keys() & {name for name, field in known.items() if get_origin(field.annotation) is list}:
        told[name] = [part for own, text in said if own == name for part in re.split(r"\s*;\s*", text)]
    for name in told.keys() & {name for name, field in known.items() if get_origin(field.annotation) is dict}:
        with suppress(ValueError):  # the model says what it wants instead
            told[name] = json.loads(told[name])
    return files.validate(Path(model.__name__), told, model).model_dump(mode="json", exclude_unset=True)


def add(feature: Feature, kind: cases.Kind, case: dict[str, Any]) -> str:
    """Append a case and note its origin in the changelog; returns its lines.

    Raises BadCases, and writes nothing, where the file is not right with it, or was not explained before.
    """
    place = feature.folder / f"{kind}.yaml"
    if faults := changelog.unexplained(feature, cases.load(feature, kind)):
        raise BadCases(faults)
    text = place.read_text(encoding="utf-8").removesuffix("\n") + "\n"
    dash: str = DASH.findall(f"{text}  - ")[0]
    written = yaml.dump(
        case, Dumper=Dumper, default_flow_style=None, allow_unicode=True, sort_keys=False, width=10**6
    )
    lines = dash + textwrap.indent(written, " " * len(dash)).lstrip(" ")
    found = cases.load(feature, kind, text + lines)
    files.write_atomic(place, text + lines)
    changelog.add(feature, kind, found.digest, f"added {case['name']}: {case['metadata']['origin']}")
    return lines
