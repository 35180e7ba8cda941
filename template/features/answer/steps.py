"""Turn the model's text into an answer with the passages it cites."""

from app import passages
from app.passages import Passage

REFUSAL = "The handbook does not say."


def finish(said: str, found: list[Passage]) -> dict[str, object]:
    """Read the `[n]` markers; an answer that cites nothing and does not say so is no answer."""
    cited = passages.cited(said, found)
    refused = said.strip().startswith(REFUSAL)
    if not cited and not refused:
        raise ValueError("the answer cites no passage")
    return {"answer": said.strip(), "citations": [] if refused else cited, "answered": not refused}
