"""How features are asked: the programs that ask get it as data, so that they start without the app."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from app.features import Feature
from gate import cases
from load.work import Route


def route(feature: Feature) -> Route:
    """How to ask a feature."""
    inputs, spec = [*usual(feature)], feature.spec
    return Route(
        feature=feature.name, inputs=inputs, text=field(feature, inputs[0]), slow_ms=spec.slo.p95_ms,
        error_rate=spec.slo.error_rate, searches=spec.retrieval is not None,
    )  # fmt: skip


def usual(feature: Feature) -> Iterator[dict[str, Any]]:
    """What it is asked: its examples, then its golden cases but for those that must be refused."""
    yield from chain(*feature.spec.examples.values())
    yield from (c.inputs for c in cases.load(feature, "golden").cases if not c.expected_output.error)


def field(feature: Feature, given: dict[str, Any]) -> str:
    """The field that is searched for, else the one with the longest text; nothing where none is text."""
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    longest = max(texts, key=lambda name: len(texts[name]), default="")
    return feature.spec.retrieval.query if feature.spec.retrieval else longest
