"""What the feature takes and gives."""

from pydantic import BaseModel, Field


class Input(BaseModel):
    """A question for the handbook."""

    question: str = Field(min_length=1, max_length=2_000, examples=["What is an error budget?"])


class Citation(BaseModel):
    """A passage that the answer rests on; `marker` is the number in the text."""

    marker: int
    page: str
    title: str
    heading: str
    quote: str


class Output(BaseModel):
    """The answer with its sources; `answered` is false where the handbook does not say."""

    answer: str = Field(min_length=1)
    citations: list[Citation]
    answered: bool
