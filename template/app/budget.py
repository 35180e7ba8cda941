"""Keep a request inside the feature's token budget, before it is paid for."""

from dataclasses import dataclass

from app import passages, text
from app.errors import TooLarge
from app.features import Feature
from app.passages import Passage
from app.prompts import Prompt, Rendered


@dataclass(frozen=True)
class Fitted:
    """What is sent: the rendered prompt, its passages, and how many were cut, the worst first."""

    asked: Rendered
    passages: list[Passage]
    cut: int


def fit(
    feature: Feature, prompt: Prompt, values: dict[str, str], found: list[Passage], held: int, context: int
) -> Fitted:
    """Render the prompt with as many of the best passages as fit.

    Raise TooLarge if it does not fit even with none, or with all where `over_budget` is "refuse".
    `held` tokens are taken by the conversation; `context` is the smallest window of the models, in tokens,
    from which room for the answer is kept.
    """
    limit = min(feature.spec.max_input_tokens, context - feature.spec.max_tokens)
    kept = list(found)
    while True:
        given = {**values, "passages": passages.show(kept)} if feature.spec.retrieval else values
        rendered = prompt.render(given)
        tokens = held + text.count_tokens(rendered.system) + text.count_tokens(rendered.user)
        if tokens <= limit:
            return Fitted(rendered, kept, len(found) - len(kept))
        if not kept or feature.spec.over_budget == "refuse":
            raise TooLarge(f"the input is about {tokens} tokens; '{feature.name}' takes {limit}")
        kept.pop()
