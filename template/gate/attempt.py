"""Ask the pipeline what one case asks, and keep all that a scorer or a reader may want of it."""

from dataclasses import replace

from pydantic import ValidationError

from app import passages, pipeline, scorers, text
from app.ask import Ask
from app.errors import AppError
from app.features import Feature
from app.prompts import Prompt
from app.services import Services
from gate.cases import CaseSpec


async def outcome(held: Services, feature: Feature, spec: CaseSpec, tier: str) -> scorers.Outcome:
    """Ask the pipeline as a client would; an error that a client would see is an outcome too."""
    planted = tuple(passages.Passage(at, at, at, said) for at, said in spec.metadata.documents.items())
    asked = "\n".join(scorers.texts(spec.inputs))
    given = scorers.Outcome("invalid", asked=asked, language=spec.metadata.language)
    try:
        ask = Ask(feature, feature.Input.model_validate(spec.inputs), planted=planted, tier=tier)
        answer = await pipeline.answer(held, ask)
    except ValidationError as error:
        return replace(given, detail=str(error))
    except AppError as error:
        faults = getattr(error, "faults", None) or [error]
        return replace(given, code=error.code, detail="; ".join(map(str, faults)))
    row, prompt = answer.row, feature.prompts[answer.row.prompt]
    return replace(
        given, code="ok", output=answer.said, flags=list(row.flags),
        tokens=row.input_tokens + row.output_tokens,
        cost_usd=None if row.cost_usd is None else float(row.cost_usd), latency_ms=row.latency_ms,
        model=row.model, prompt=row.prompt, system=prompt.system, parts=parts(answer, prompt, asked),
    )  # fmt: skip


def parts(answer: pipeline.Answer, prompt: Prompt, asked: str) -> dict[str, int]:
    """Tokens by part of the prompt, by our own count: what the caller sent apart from what is around it."""
    told = {"instructions": prompt.system, "template": prompt.user.template, "input": asked}
    told["passages"] = passages.show(answer.passages)
    counted = {name: text.count_tokens(said) for name, said in told.items()}
    return counted | {"answer": answer.row.output_tokens}
