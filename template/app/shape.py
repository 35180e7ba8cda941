"""What a feature asks of a model, and how the model's words become the feature's Output."""

from pydantic import BaseModel, ValidationError
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings

from app.features import Feature
from app.models import Model
from app.passages import Passage
from app.tiers import InvalidOutput


def wanted(feature: Feature, model: Model) -> tuple[ModelSettings, ModelRequestParameters]:
    """Limits, and the JSON schema in the form that the model's server understands."""
    settings = ModelSettings(max_tokens=feature.spec.max_tokens, temperature=0)
    if feature.spec.output == "text" or model.provider == "keyless" or model.json_mode == "prompt":
        return settings, ModelRequestParameters()
    schema = feature.Output.model_json_schema()
    if model.json_mode == "object":
        # llama.cpp's servers take the schema in this place and refuse the other.
        settings["extra_body"] = {"response_format": {"type": "json_object", "schema": schema}}
        return settings, ModelRequestParameters()
    output = OutputObjectDefinition(json_schema=schema, name=feature.name)
    return settings, ModelRequestParameters(output_mode="native", output_object=output)


def read(feature: Feature, said: str, found: list[Passage]) -> BaseModel:
    """The answer as the feature's Output; raise InvalidOutput if it does not fit."""
    try:
        said.encode()  # a model may say half of a character, which nobody can be sent
        if feature.finish:
            return feature.Output.model_validate(feature.finish(said, found))
        if feature.spec.output == "text":
            return feature.Output.model_validate({next(iter(feature.Output.model_fields)): said})
        return feature.Output.model_validate_json(unfence(said))
    except ValidationError as error:
        faults = [f"{'.'.join(str(p) for p in f['loc'])}: {f['msg']}" for f in error.errors()[:5]]
        raise InvalidOutput("; ".join(faults)) from error
    except ValueError as error:
        raise InvalidOutput(str(error).splitlines()[0]) from error


def unfence(said: str) -> str:
    """JSON without the code fence that many models put around it."""
    body = said.strip()
    if body.startswith("```"):
        body = body.partition("\n")[2].rpartition("```")[0]
    return body
