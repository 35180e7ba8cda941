"""Read the features/ folder: one folder is one AI feature. A wrong one stops the start, every fault named."""

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, create_model
from pydantic_ai.tools import Tool

from app import files, prompts, tools
from app.errors import ConfigError, Fault
from app.prompts import Prompt
from app.spec import Spec

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
FILES = ("feature.toml", "schema.py", "golden.yaml", "adversarial.yaml", "prompts")
NAMING = "name it with a-z, 0-9 and _, a letter first, 40 at most"
KINDS = ("Input", "Output")
Types = tuple[type[BaseModel], type[BaseModel]]
T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True)
class Feature:
    """One feature, loaded and checked; steps.py may bring the last three.

    `prepare` changes the Input before it is used, `finish` turns a text model's words into Output's fields.
    `digest` names what the model is asked and must answer, prompts apart.
    """

    name: str
    folder: Path
    spec: Spec
    prompts: dict[str, Prompt]
    Input: type[BaseModel]
    Output: type[BaseModel]
    digest: str
    prepare: Callable[[BaseModel], BaseModel] | None = None
    finish: Callable[..., dict[str, object]] | None = None
    tools: dict[str, Tool[None]] = field(default_factory=dict)


def load_all(root: Path) -> dict[str, Feature]:
    """Load every feature folder; raise one ConfigError that lists the faults of all."""
    if not root.is_dir():
        raise ConfigError([Fault(root, "", "is missing; run this in the project's root")])
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
    faults: list[Fault] = []
    found = [attempt(faults, load, folder) for folder in sorted(folders)]
    if faults:
        raise ConfigError(faults)
    return {feature.name: feature for feature in found if feature}


def load(folder: Path) -> Feature:
    """Load one feature folder; raise ConfigError with every fault in it."""
    faults = [Fault(folder / n, "", "is missing; add it") for n in FILES if not (folder / n).exists()]
    if not NAME.fullmatch(folder.name):
        faults.append(Fault(folder, "", NAMING))
    if faults:
        raise ConfigError(faults)
    spec = attempt(faults, files.read_toml, folder / "feature.toml", Spec)
    types = attempt(faults, read_types, folder)
    steps = attempt(faults, read_steps, folder)
    versions = [attempt(faults, prompts.read, path) for path in prompt_files(folder)]
    texts = {prompt.version: prompt for prompt in versions if prompt}
    if spec and types:
        faults += check(folder, spec, texts, types, steps)
    if faults or not spec or not types:
        raise ConfigError(faults)
    given, answer = (rename(folder.name, kind, base) for kind, base in zip(KINDS, types, strict=True))
    own = {name: getattr(steps, name, None) for name in ("prepare", "finish")}
    offered = tools.load(getattr(steps, "TOOLS", []))
    return Feature(folder.name, folder, spec, texts, given, answer, digest(folder), **own, tools=offered)


def uncached(feature: Feature) -> Feature:
    """The feature without its cache: whoever measures must ask the model again."""
    return replace(feature, spec=feature.spec.model_copy(update={"cache_ttl_s": 0}))


def attempt(faults: list[Fault], read: Callable[P, T], *given: P.args, **named: P.kwargs) -> T | None:
    """Run one reader; keep its faults and go on, so that all are reported together."""
    try:
        return read(*given, **named)
    except ConfigError as error:
        faults += error.faults
        return None


def prompt_files(folder: Path) -> list[Path]:
    """The released prompt versions of a feature, in order."""
    return sorted((folder / "prompts").glob("*.md"))


def read_types(folder: Path) -> Types:
    """Input and Output of schema.py."""
    path = folder / "schema.py"
    found = vars(run_python(path))
    what = "is missing; define it as a pydantic BaseModel"
    if faults := [Fault(path, name, what) for name in KINDS if not is_model(found.get(name))]:
        raise ConfigError(faults)
    return found["Input"], found["Output"]


def is_model(kind: object) -> bool:
    """Whether it is a class that pydantic can fill."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def read_steps(folder: Path) -> ModuleType | None:
    """The feature's own steps.py, where it has one."""
    path = folder / "steps.py"
    return run_python(path) if path.exists() else None


def run_python(path: Path) -> ModuleType:
    """Import a feature's own module; its mistakes become faults with their line."""
    name = f"features.{path.parent.name}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError([Fault(path, "", "is not a Python file")])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the file is its owner's: any mistake in it is theirs to read
        own = str(path.absolute())
        frames = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == own]
        line = getattr(error, "lineno", None) or (frames[-1] if frames else "?")
        raise ConfigError([Fault(path, f"line {line}", f"{type(error).__name__}: {error}")]) from error
    return module


def rename(feature: str, kind: str, base: type[BaseModel]) -> type[BaseModel]:
    """Each feature says Input and Output; the API needs one name per feature, and refuses unknown keys."""
    title = "".join(part.capitalize() for part in feature.split("_"))
    strict = {"model_config": ConfigDict(extra="forbid"), "__doc__": base.__doc__}
    return type(f"{title}{kind}", (base,), {**strict, "__module__": base.__module__})


def check(folder: Path, spec: Spec, texts: dict[str, Prompt], types: Types, steps: object) -> list[Fault]:
    """What no single file shows: versions, placeholders, the field a text model fills."""
    toml, given = folder / "feature.toml", set(types[0].model_fields)
    faults: list[Fault] = []
    if spec.prompt not in {path.stem for path in prompt_files(folder)}:
        found = ", ".join(sorted(texts)) or "none"
        faults.append(Fault(toml, "prompt", f"'{spec.prompt}' has no file in prompts/ (found: {found})"))
    if spec.retrieval and spec.retrieval.query not in given:
        what = f"'{spec.retrieval.query}' is not a field of Input (known: {', '.join(sorted(given))})"
        faults.append(Fault(toml, "retrieval.query", what))
    finishes = callable(getattr(steps, "finish", None))
    if spec.output == "text" and not finishes and len(types[1].model_fields) != 1:
        what = "'text' needs an Output of exactly one field, or a finish() in steps.py"
        faults.append(Fault(toml, "output", what))
    if "passages" in given:
        faults.append(Fault(folder / "schema.py", "Input.passages", "is taken by retrieval; rename it"))
    inputs = dict[str, list[types[0]]]  # type: ignore[valid-type]  # a type that schema.py makes
    attempt(faults, files.validate, toml, {"examples": spec.examples}, create_model("", examples=inputs))
    added = {"passages"} if spec.retrieval else set()
    known = given | added
    required = added | {n for n, field in types[0].model_fields.items() if field.is_required()}
    for path in prompt_files(folder):
        if path.stem in texts:
            faults += prompts.faults(path, texts[path.stem], known, required)
    return faults


def digest(folder: Path) -> str:
    """A hash of spec, schema and steps."""
    paths = [folder / name for name in ("feature.toml", "schema.py", "steps.py")]
    content = b"".join(path.read_bytes() for path in paths if path.exists())
    return hashlib.sha256(content).hexdigest()[:12]
