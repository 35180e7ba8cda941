"""Read golden and adversarial cases; whatever is wrong in a file is reported with its line, all at once."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, JsonValue, ValidationError

from app import files
from app.errors import Fault
from app.features import Feature
from app.files import Model, Strict
from app.scorers import Expected
from gate.errors import BadCases

Kind = Literal["golden", "adversarial", "safety"]
KINDS: list[Kind] = ["golden", "adversarial"]  # of a feature's own cases
LARGEST = 20_000_000
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a tenth of the time, where PyYAML has it
SCHEMA = Path(__file__).with_name("cases.schema.json")


class Metadata(Strict):
    """What a case belongs to and where it comes from."""

    family: str = Field(min_length=1)
    language: str = Field(min_length=1)
    origin: str = Field(min_length=1)
    tenant_tier: str = Field(default="", description="the tenants that the case speaks for, e.g. trial")
    pair: str = Field(default="", description="cases of one pair differ in one trait and must score the same")
    documents: dict[str, str] = Field(default={}, description="planted pages that retrieval returns first")


class CaseSpec(Strict):
    """One case of a file, in the form of pydantic-evals."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    inputs: dict[str, JsonValue]
    metadata: Metadata
    expected_output: Expected

    @property
    def is_incident(self) -> bool:
        """Whether it was a bad answer once: then it must be wholly right."""
        return self.metadata.origin.startswith("incident ")


class CaseFile(Strict):
    """A whole file of cases."""

    name: str = ""
    cases: list[CaseSpec] = Field(min_length=1)


@dataclass(frozen=True)
class CaseSet:
    """The cases of one feature and kind; `digest` names their exact content, in any order."""

    kind: Kind
    cases: list[CaseSpec]
    digest: str


def load(feature: Feature, kind: Kind, text: str = "") -> CaseSet:
    """The cases of one feature and kind, or of the text that their file shall have; raise BadCases.

    The digest leaves out names, origins and defaults: a key that a later version knows changes no file
    without it.
    """
    listed = read(feature.folder / f"{kind}.yaml", feature, text).cases
    told = sorted(
        case.model_dump_json(exclude_defaults=True, exclude={"name": True, "metadata": {"origin": True}})
        for case in listed
    )
    return CaseSet(kind, listed, hashlib.sha256("\n".join(told).encode()).hexdigest()[:12])


def read(path: Path, feature: Feature | None = None, text: str = "") -> CaseFile:
    """Read and check one case file, of a feature or for all; raise BadCases with every fault in it."""
    found, lines = checked(path, CaseFile, text)
    if faults := doubles(path, lines) + (misfits(path, lines, feature, found) if feature else []):
        raise BadCases(faults)
    return found


def checked(path: Path, model: type[Model], text: str = "") -> tuple[Model, list[tuple[str, int]]]:
    """A file's content, and name and line of each of its cases; raise BadCases with what does not fit."""
    lines, content = parse(path, text)
    try:
        return model.model_validate(content), lines
    except ValidationError as error:
        raise BadCases([located(fault, lines) for fault in files.explain(path, error, model)]) from error


def parse(path: Path, text: str = "") -> tuple[list[tuple[str, int]], object]:
    """Name and line of each case, and the content; raise BadCases if it is no YAML list of cases."""
    try:
        text = text or path.read_text(encoding="utf-8")
        if len(text) > LARGEST:
            what = f"{len(text):,} characters, {LARGEST:,} at most: shorten the inputs"
            raise BadCases([Fault(path, "", what)])
        loader = LOADER(text)
        tree = loader.get_single_node()
        content = loader.construct_document(tree) if tree else None
    except UnicodeDecodeError as error:
        raise BadCases([Fault(path, "", f"not UTF-8 at byte {error.start}")]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that no calendar has
        raise BadCases([not_yaml(path, error)]) from error
    listed = keys(tree).get("cases")
    if not isinstance(listed, yaml.SequenceNode):
        raise BadCases([Fault(path, "", "needs a list under the key 'cases'")])
    names = [str(keys(node)["name"].value) if "name" in keys(node) else "" for node in listed.value]
    return [(name, node.start_mark.line + 1) for name, node in zip(names, listed.value, strict=True)], content


def not_yaml(path: Path, error: Exception) -> Fault:
    """What the YAML parser did not like, with its line where it says one."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}" if mark else ""
    return Fault(path, where, f"not YAML: {getattr(error, 'problem', error)}")


def place(feature: Feature, kind: Kind, name: str) -> str:
    """Where a case stands, for a message about it."""
    if kind not in KINDS:
        return f"gate/attacks or data/safety: case '{name}'"
    path = feature.folder / f"{kind}.yaml"
    return f"{path.as_posix()}: line {dict(parse(path)[0])[name]}: case '{name}'"


def keys(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """The parts of a table in the parsed file by key; none of anything else."""
    return {str(key.value): part for key, part in node.value} if isinstance(node, yaml.MappingNode) else {}


def located(fault: Fault, lines: list[tuple[str, int]]) -> Fault:
    """`cases.3.inputs` as the case's line and name."""
    head, _, rest = fault.where.partition(".")
    number, _, key = rest.partition(".")
    if head != "cases" or not number.isdigit():
        return fault
    name, line = lines[int(number)]
    return Fault(fault.path, f"line {line}: case '{name}': {key}".rstrip(": "), fault.what)


def doubles(path: Path, lines: list[tuple[str, int]]) -> list[Fault]:
    """Names that stand twice: results are paired by name."""
    first: dict[str, tuple[int, int]] = {}
    return [
        Fault(path, f"line {line}", f"case '{name}' stands at line {first[name][1]} already; rename one")
        for place, (name, line) in enumerate(lines)
        if first.setdefault(name, (place, line))[0] != place
    ]


def misfits(path: Path, lines: list[tuple[str, int]], feature: Feature, found: CaseFile) -> list[Fault]:
    """Cases that do not fit schema.py, but for inputs that expect to be refused; and halves of pairs."""
    faults: list[Fault] = []
    known = {*feature.Output.model_fields, *feature.Output.model_computed_fields}
    pairs = Counter(case.metadata.pair for case in found.cases)
    for case, (name, line) in zip(found.cases, lines, strict=True):
        if pair := case.metadata.pair * (pairs[case.metadata.pair] == 1):
            what = f"no other case is of the pair '{pair}'; name its twin the same"
            faults.append(Fault(path, f"line {line}: case '{name}': metadata.pair", what))
        for key in [key for key in case.expected_output.equals if key not in known]:
            what = f"unknown key '{key}'{files.meant(key, known) or '; remove it'} (schema.py: Output)"
            faults.append(Fault(path, f"line {line}: case '{name}': expected_output.equals.{key}", what))
        if case.expected_output.error == "invalid":
            continue
        try:
            feature.Input.model_validate(case.inputs)
        except ValidationError as error:
            for fault in files.explain(path, error, feature.Input):
                where = f"line {line}: case '{name}': inputs.{fault.where}"
                faults.append(Fault(path, where, f"{fault.what} (schema.py: Input)"))
    return faults


def schema() -> str:
    """The JSON schema that editors read; `gate schema` writes it."""
    return json.dumps(CaseFile.model_json_schema(), indent=2) + "\n"
