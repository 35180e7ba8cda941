"""Turn a recorded bad answer into a case, without personal data and keys of whoever asked."""

import json
import unicodedata
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import disguise, pii, redact, results, scorers, text
from app.db import Result, Usage
from app.features import Feature
from app.ledger import Incident
from gate.errors import NoIncident


async def kept(engine: AsyncEngine, name: str) -> tuple[Result, Usage]:
    """The recorded answer and its usage row; raise NoIncident where there is none."""
    async with AsyncSession(engine) as session:
        found, row = await session.get(Result, name), await session.get(Usage, name)
    if not (found and found.body and row) or results.is_expired(found):
        place = f"features/{row.feature if row else 'NAME'}/feature.toml"
        what = f"no answer is kept as '{name}': keep_days in {place} says for how long"
        raise NoIncident(f"{what}; write the case by hand: uv run gate case add --kind adversarial")
    return found, row


async def recorded(engine: AsyncEngine, name: str) -> list[tuple[Result, Usage]]:
    """The answer of this id; of an incident all that are kept, or were compared in the shadow.

    Raises NoIncident where there is none.
    """
    async with AsyncSession(engine) as session:
        found = await session.get(Incident, name)
    if found is None:
        return [await kept(engine, name)]
    pairs = []
    for one in found.cases:
        try:
            pairs.append(await kept(engine, one["id"]))
        except NoIncident:
            if one.get("input"):
                given = Result(feature=found.feature, given=one["input"], body={"output": one["answer"]})
                about = {"id": one["id"], "at": found.detected_at, "prompt": one["prompt"], "model": ""}
                pairs.append((given, Usage(feature=found.feature, flags=[], **about)))
    if not pairs:
        what = f"no request of incident '{name}' is kept: keep_days in features/{found.feature}/feature.toml"
        raise NoIncident(f"{what} says for how long; write a case by hand: uv run gate case add")
    return pairs


def case(feature: Feature, found: Result, row: Usage, family: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """What was asked and what is wanted, redacted.

    Raises NoIncident where the recorded answer would pass, or where something personal would be left.
    """
    body, prompt = found.body or {}, feature.prompts.get(row.prompt)
    told = redact.deep({"inputs": found.given, "expected_output": wanted})
    recorded = scorers.Outcome(body.get("code", "ok"), redact.deep(body.get("output", {})), row.flags)
    if scorers.total(scorers.score(scorers.Expected(**told["expected_output"]), recorded)) == 1:
        raise NoIncident(f"'{row.id}': the recorded answer passes that already; say what was wrong with it")
    seen = disguise.INVISIBLE.sub("", unicodedata.normalize("NFKC", json.dumps(told, ensure_ascii=False)))
    if left := pii.kinds(seen):
        raise NoIncident(f"'{row.id}': {', '.join(left)} cannot be taken out: use gate case add")
    label = f"{row.prompt}@{prompt.digest}" if prompt else row.prompt or "none"
    origin = f"incident {row.id}, {row.at:%Y-%m-%d}, prompt {label}, model {row.model or 'none'}"
    language = text.language(scorers.Outcome("ok", told["inputs"]).words)
    metadata = {"family": family, "language": language, "origin": origin}
    return {"name": f"incident-{row.id[:8]}", "inputs": told["inputs"], "metadata": metadata, **told}
