"""How features are asked: the programs that ask get it as data, so that they start without the app."""

from typing import Any

from app.features import Feature
from gate import cases
from load.work import Route


def route(feature: Feature) -> Route:
    """How to ask a feature: its examples, and its golden cases but for those that must be refused."""
    inputs = [given for group in feature.spec.examples.values() for given in group]
    inputs += [c.inputs for c in cases.load(feature, "golden").cases if not c.expected_output.error]
    retrieval, slo = feature.spec.retrieval, feature.spec.slo
    return Route(
        feature=feature.name, inputs=inputs, text=retrieval.query if retrieval else longest(inputs[0]),
        slow_ms=slo.p95_ms, error_rate=slo.error_rate, searches=retrieval is not None,
    )  # fmt: skip


def longest(given: dict[str, Any]) -> str:
    """The field with the longest text; nothing where no field is text."""
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    return max(texts, key=lambda name: len(texts[name]), default="")
