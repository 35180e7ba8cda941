"""What the feature takes and gives."""

from pydantic import BaseModel


class Input(BaseModel):
    """What the caller sends."""

    text: str


class Output(BaseModel):
    """What the caller gets."""

    result: str
