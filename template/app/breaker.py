"""Leave a model alone that keeps failing: waiting for its timeout would cost every request."""

import time

FAILURES = 5
REST_S = 30


class Breaker:
    """Opens after FAILURES failures in a row; after REST_S seconds one request may try the model again."""

    def __init__(self) -> None:
        self.failures = 0
        self.opened_s = 0.0

    def lets_through(self) -> bool:
        """Whether the model may be asked now; while it rests, one probe each REST_S seconds."""
        if self.failures < FAILURES:
            return True
        if time.monotonic() - self.opened_s < REST_S:
            return False
        self.opened_s = time.monotonic()
        return True

    def note(self, *, ok: bool) -> None:
        """Count how a call of the model went."""
        self.failures = 0 if ok else self.failures + 1
        if self.failures == FAILURES:
            self.opened_s = time.monotonic()
