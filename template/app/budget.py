"""Keep a request inside the feature's token budget, before it is paid for."""

from app import passages, text
from app.errors import TooLarge
from app.features import Feature
from app.passages import Passage
from app.prompts import Prompt, Rendered


def fit(
    feature: Feature, prompt: Prompt, values: dict[str, str], found: list[Passage]
) -> tuple[Rendered, list[Passage]]:
    """Render the prompt with as many of the best passages as fit; raise TooLarge if even none does."""
    limit, kept = feature.spec.max_input_tokens, list(found)
    while True:
        given = {**values, "passages": passages.show(kept)} if feature.spec.retrieval else values
        rendered = prompt.render(given)
        tokens = text.count_tokens(rendered.system) + text.count_tokens(rendered.user)
        if tokens <= limit:
            return rendered, kept
        if not kept:
            raise TooLarge(f"the input is about {tokens} tokens; '{feature.name}' takes {limit}")
        kept.pop()
