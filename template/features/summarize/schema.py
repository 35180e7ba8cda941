"""What the feature takes and gives."""

from pydantic import BaseModel, Field


class Input(BaseModel):
    """A text to summarise."""

    text: str = Field(min_length=1, max_length=20_000, examples=["Minutes of the weekly call: ..."])


class Output(BaseModel):
    """What the text says: the summary in a sentence or two, the points one fact each."""

    summary: str = Field(min_length=1)
    key_points: list[str] = Field(min_length=1, max_length=5)
