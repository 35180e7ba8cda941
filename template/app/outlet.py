"""What a stream shows: nothing of the instructions, the caller's own data put back, the first token timed."""

from collections.abc import Callable

from app.events import Emit, Event, ignore
from app.keyless.model import pieces
from app.pii import Restorer, Vault
from app.row import Row
from app.sieve import Sieve


class Outlet:
    """Between the model and the reader. It holds back the window that the guard needs to stop in time."""

    def __init__(self, row: Row, sieve: Callable[[], Sieve], vault: Vault, emit: Emit) -> None:
        self.row, self.vault, self.emit, self.make = row, vault, emit, sieve
        self.send: Emit = ignore if emit is ignore else self.pass_on
        self.begin()

    def begin(self) -> None:
        """Start with nothing said."""
        self.sieve, self.restorer, self.shown = self.make(), Restorer(self.vault), False

    def pass_on(self, event: Event) -> None:
        """One event on its way; raise Blocked before the words that may not be shown."""
        if event.kind == "delta":
            return self.show(self.restorer.feed(self.sieve.feed(str(event.data["text"]))))
        self.begin()
        return self.emit(event)

    def show(self, text: str) -> None:
        """Send text that is safe."""
        if not text:
            return
        if self.row.first_token_ms is None:
            self.row.first_token_ms = self.row.elapsed_ms()
        self.shown = True
        self.emit(Event("delta", {"text": text}))

    def end(self) -> None:
        """Send what was held back."""
        if self.send is not ignore:
            self.show(self.restorer.feed(self.sieve.end()) + self.restorer.end())

    def replay(self, text: str) -> None:
        """Stream an answer that is known, as the first one was."""
        if self.send is not ignore:
            for piece in pieces(text):
                self.show(self.restorer.feed(piece))
            self.show(self.restorer.end())

    def retract(self) -> None:
        """Tell the reader to forget what it saw."""
        if self.shown:
            self.emit(Event("retract", {}))
