"""The counters that /metrics shows."""

import itertools
from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.row import SERVED, Row

LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.9, 1.5, 2.5, 5, 10, 30)


class Metrics:
    """One process's counters. Each objective is a bucket's edge, so that it is counted exactly.

    What objectives are made of starts at 0: Prometheus sees no rise in a series that begins at 1.
    """

    def __init__(self, objectives_s: Mapping[str, float]) -> None:
        edges = sorted({*LATENCY_S, *objectives_s.values()})
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        seconds = partial(Histogram, labelnames=["feature"], buckets=edges, registry=self.registry)
        self.requests = counter("app_requests", "Requests", ["feature", "outcome", "cached"])
        self.seconds = seconds("app_request_seconds", "Latency but of refusals")
        self.first = seconds("app_first_token_seconds", "Time to first token")
        self.tokens = counter("app_tokens", "Tokens", ["feature", "model", "kind"])
        self.cost = counter("app_cost_usd", "Dollars where the price is known", ["feature", "model"])
        self.failures = counter("app_model_failures", "Models that gave no valid answer", ["feature"])
        self.flags = counter("app_guard_flags", "What the guard found", ["feature", "flag"])
        for name in objectives_s:
            self.seconds.labels(name)
            for outcome, cached in itertools.product(SERVED, ("false", "true")):
                self.requests.labels(name, outcome, cached)

    def count(self, row: Row) -> None:
        """Add one request."""
        self.requests.labels(row.feature, row.outcome, str(row.cached).lower()).inc()
        if row.outcome in SERVED:
            self.seconds.labels(row.feature).observe(row.latency_ms / 1000)
        if row.first_token_ms is not None:
            self.first.labels(row.feature).observe(row.first_token_ms / 1000)
        self.tokens.labels(row.feature, row.model, "input").inc(row.input_tokens)
        self.tokens.labels(row.feature, row.model, "output").inc(row.output_tokens)
        self.cost.labels(row.feature, row.model).inc(float(row.cost_usd or 0))
        self.failures.labels(row.feature).inc(row.failed_models)
        for flag in row.flags:
            self.flags.labels(row.feature, flag).inc()
