"""Answers of hosted models, recorded once and replayed: CI needs no key, and a run of the gate no money.

features/<name>/recordings/<set>.jsonl holds a line a call, sorted by case: the cases that ask it, hashes of
what was asked, the words that came. docs/recorded-answers.md says what is in it, and why it is text.
"""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model as Client
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from app import files, services, text
from app.errors import RequestError
from app.features import Feature
from app.models import IN_PROCESS, Model, Registry
from gate import scrub
from gate.errors import BadRecording, NotRecorded

Call = tuple[list[ModelMessage], ModelSettings | None, ModelRequestParameters]
Mode = Literal["replay", "record", "live"]
# Parameters that decide when an answer comes, not what it says.
NO_ANSWER = ("timeout", "request_timeout", "max_retries", "extra_headers")
MAX_LINES = 10
# The file of recordings, the case, and which of its repeats runs now.
CASE: ContextVar[tuple[Path, str, int]] = ContextVar("CASE")


class Asked(files.Strict):
    """What decides an answer: the model's pin; hashes of instructions, parameters, the rest; the repeat."""

    model: str
    prompt: str
    parameters: str
    input: str
    take: int = 0


class Line(files.Strict):
    """One call: the cases that ask it, the answer as (tool or nothing, words), its tokens in and out."""

    cases: list[str]
    asked: Asked
    answer: list[tuple[str, str]]
    tokens: tuple[int, int]


class Tape:
    """All recordings, and what a run asks of them."""

    def __init__(self, plan: services.Plan, mode: Mode = "replay", max_usd: float = 0) -> None:
        found = sorted(plan.settings.features_dir.glob("*/recordings/*.jsonl"))
        self.mode, self.max_usd, self.spent_usd, self.calls = mode, Decimal(str(max_usd)), Decimal(0), 0
        self.kept: dict[Path, dict[Asked, Line]] = defaultdict(dict, {path: read(path) for path in found})
        self.used: dict[Path, dict[Asked, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.locks: dict[Asked, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.lacking: dict[str, str] = {}
        self.again = False  # ask also for what is recorded; the old line stays until the new one has come

    def find(self, name: str, asked: Asked) -> Line | None:
        """The answer to the case that runs; None where the model may be asked for it now."""
        place, case, _ = CASE.get()
        known = self.kept[place]
        if asked in known or self.mode == "record":
            return None if self.again and asked not in self.used[place] else known.get(asked)
        olds = [line.asked for line in known.values() if case in line.cases]
        changes = [[key for key, value in asked if value != getattr(old, key)] for old in olds]
        nearest = min([[*Asked.model_fields], *changes], key=len)
        stale = f"its recording is stale ({', '.join(nearest)} changed)"
        raise self.lack(name, stale if len(nearest) < len(Asked.model_fields) else "not recorded")

    def lack(self, name: str, why: str) -> RequestError:
        """Note an answer that is lacking. The error is no failure of a tier: no fallback hides it."""
        place, case, _ = CASE.get()
        what = f"{place.as_posix()}: case '{case}': model '{name}'"
        self.lacking[what] = f"{what}: {why}; {remedy(place)}"
        return RequestError(self.lacking[what])

    def keep(self, asked: Asked, line: Line) -> None:
        """Note that the case that runs has this answer."""
        place, case, _ = CASE.get()
        self.used[place][asked].add(case)
        self.kept[place][asked] = line.model_copy(update={"cases": sorted({*line.cases, case})})

    def close(self) -> None:
        """Write what was recorded beside what stood there; raise NotRecorded if a case lacks an answer."""
        for place in self.used if self.mode == "record" else ():
            write(place, self.kept[place].values())
        if self.lacking:
            lines, more = sorted(self.lacking.values())[:MAX_LINES], len(self.lacking) - MAX_LINES
            raise NotRecorded("\n".join([*lines, f"... and {more} more"] if more > 0 else lines))

    def drop(self, places: Iterable[Path]) -> None:
        """Leave in these files only what a case asked for; all of their cases must have run."""
        for place in places:
            used, known = self.used[place], self.kept[place]
            self.kept[place] = {a: known[a].model_copy(update={"cases": sorted(used[a])}) for a in used}
            write(place, self.kept[place].values())


class Recorded(WrapperModel):
    """A hosted model behind the tape."""

    def __init__(self, real: Client, name: str, model: Model, tape: Tape) -> None:
        super().__init__(real)
        self.name, self.model, self.tape = name, model, tape

    async def request(self, *call: *Call) -> ModelResponse:
        """The tape's answer, or the model's where the tape lets it be asked."""
        if self.tape.mode == "live":
            return await self.paid(call)
        asked = key(self.model.pin, call, CASE.get()[2])
        async with self.tape.locks[asked]:
            line = self.tape.find(self.name, asked) or await self.recorded(asked, call)
            self.tape.keep(asked, line)
        return response(line, scrub.split(instructions(call))[1])

    async def recorded(self, asked: Asked, call: Call) -> Line:
        """What the model says, as it may stand in git; until it has answered, that is lacking."""
        lacking = self.tape.lack(self.name, "no answer")
        said, (told, canary) = await self.paid(call), scrub.split(instructions(call))
        parts = [part for part in said.parts if isinstance(part, TextPart | ToolCallPart)]
        named = [(getattr(part, "tool_name", ""), words(part)) for part in parts]
        answer = [(tool, scrub.out(part, told + sent(call), canary)) for tool, part in named]
        self.tape.lacking = {what: why for what, why in self.tape.lacking.items() if why != str(lacking)}
        tokens = said.usage.input_tokens, said.usage.output_tokens
        return Line(cases=[], asked=asked, answer=answer, tokens=tokens)

    async def paid(self, call: Call) -> ModelResponse:
        """Ask the model, if the most that it can cost is left; that is what a failed call counts as."""
        tape, given = self.tape, text.count_tokens(instructions(call) + sent(call))
        made = (call[1] or {}).get("max_tokens", self.model.context)
        most_usd = self.model.cost_usd(given, made) or Decimal(0)
        if tape.spent_usd + most_usd > tape.max_usd:
            raise tape.lack(self.name, f"not asked, --max-usd {tape.max_usd} is spent")
        tape.spent_usd, tape.calls = tape.spent_usd + most_usd, tape.calls + 1
        said = await self.wrapped.request(*call)
        used = said.usage.input_tokens or given, said.usage.output_tokens or made
        tape.spent_usd += (self.model.cost_usd(*used) or Decimal(0)) - most_usd
        return said


def place(feature: Feature, group: str, tier: str = "") -> Path:
    """The recordings of one set of cases; a tier that is run alone has its own."""
    return feature.folder / "recordings" / f"{group}{tier and '-'}{tier}.jsonl"


def remedy(place: Path) -> str:
    """The command that records what such a file lacks."""
    tier = place.stem.partition("-")[2]
    return f"uv run gate record {place.parent.parent.name}{tier and ' --tier '}{tier}"


@asynccontextmanager
async def start(plan: services.Plan, tape: Tape) -> AsyncIterator[services.Services]:
    """Open the app with the tape before its hosted models; raise NotRecorded in the end for what is lacking.

    To replay, such a model needs no key, no package, no weights and no network: the app opens without it.
    """
    known = plan.registry.models
    hosted = {n: m for n, m in known.items() if m.kind == "chat" and m.provider not in IN_PROCESS}
    idle = {"provider": "keyless", "key": "", "path": ""} if tape.mode == "replay" else {}
    registry = Registry(models={**known, **{n: m.model_copy(update=idle) for n, m in hosted.items()}})
    await services.setup(plan)
    try:
        async with services.start(replace(plan, registry=registry)) as held:
            behind = {n: Recorded(held.clients[n], n, model, tape) for n, model in hosted.items()}
            yield replace(held, plan=plan, clients={**held.clients, **behind})
    finally:
        tape.close()


def read(path: Path) -> dict[Asked, Line]:
    """The lines of one file; raise BadRecording with the number of a damaged one."""
    found = {}
    for number, raw in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            line = Line.model_validate_json(raw)
        except ValidationError as error:
            what = f"{path.as_posix()}: line {number}: damaged ({error.errors()[0]['msg']})"
            mend = f"take it from git again, or delete it: {remedy(path)}"
            raise BadRecording(f"{what}; {mend}") from error
        found[line.asked] = line
    return found


def write(path: Path, lines: Iterable[Line]) -> None:
    """Write one file, in an order that no run changes; without lines there is none."""
    told = sorted(json.dumps(line.model_dump(), ensure_ascii=False) + "\n" for line in lines)
    if told:
        files.write_atomic(path, "".join(told))
    else:
        path.unlink(missing_ok=True)


def key(pin: str, call: Call, take: int = 0) -> Asked:
    """What decides an answer, in our own words: no id, no time, no library's form of it."""
    settings, wanted = call[1] or {}, call[2]
    limits = {name: value for name, value in settings.items() if name not in NO_ANSWER}
    schema = wanted.output_object and wanted.output_object.json_schema
    tools = [[tool.name, tool.description, tool.parameters_json_schema] for tool in wanted.function_tools]
    parameters = json.dumps([limits, wanted.output_mode, schema, tools], sort_keys=True, default=str)
    told = scrub.split(instructions(call))[0], parameters, sent(call)
    # Bare, a scanner would take each for a secret.
    named = [f"sha256:{hashlib.sha256(part.encode('utf-8', 'replace')).hexdigest()[:12]}" for part in told]
    return Asked(model=pin, prompt=named[0], parameters=named[1], input=named[2], take=take)


def instructions(call: Call) -> str:
    """The instructions of a call."""
    return next((m.instructions or "" for m in reversed(call[0]) if isinstance(m, ModelRequest)), "")


def sent(call: Call) -> str:
    """What was said so far. What a model thought is left out: no recording has it."""
    parts = [part for message in call[0] for part in message.parts if part.part_kind != "thinking"]
    return "\n".join(f"{part.part_kind} {getattr(part, 'tool_name', '')} {words(part)}" for part in parts)


def words(part: object) -> str:
    """The text of a part, or the arguments of a tool's call."""
    return part.args_as_json_str() if isinstance(part, ToolCallPart) else str(getattr(part, "content", ""))


def response(line: Line, canary: str) -> ModelResponse:
    """A line as a client's answer."""
    told = [(tool, scrub.back(said, canary)) for tool, said in line.answer]
    parts = [ToolCallPart(t, said, f"call-{n}") if t else TextPart(said) for n, (t, said) in enumerate(told)]
    given, made = line.tokens
    return ModelResponse(parts, usage=RequestUsage(input_tokens=given, output_tokens=made))
