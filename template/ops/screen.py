"""What a person at the terminal and a program in CI see of a deploy: its steps, one line each."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Step(Protocol):
    """A step under way."""

    def tell(self, said: str, part: float | None = None) -> None:
        """Say how it goes; `part` of the whole is done, from 0 to 1."""

    def end(self, said: str) -> None:
        """Say what came of it; shown when the step is done."""


class Screen(Protocol):
    """Where steps are shown."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        """One step, until the block ends."""


@dataclass
class Line:
    """A step on a terminal: a bar while it runs, then one line."""

    bar: Progress
    task: TaskID
    result: str = ""

    def tell(self, said: str, part: float | None = None) -> None:
        """Show the last word beside the bar."""
        total, done = (None, 0.0) if part is None else (1.0, part)
        self.bar.update(
            self.task, total=total, completed=done, said=said.splitlines()[0][:60] if said else ""
        )

    def end(self, said: str) -> None:
        """Keep what the line will say."""
        self.result = said


@dataclass
class Terminal:
    """Steps for a person."""

    out: Console = field(default_factory=lambda: Console(highlight=False))

    @contextmanager
    def step(self, name: str) -> Iterator[Line]:
        """A bar while the step runs; then its line, with its seconds."""
        began = time.monotonic()
        shown = TextColumn("  {task.description:<14}", markup=False)
        said = TextColumn("{task.fields[said]}", markup=False)
        hidden, rest = not self.out.is_terminal, (BarColumn(bar_width=24), TimeElapsedColumn(), said)
        with Progress(shown, *rest, console=self.out, transient=True, disable=hidden) as bar:
            line = Line(bar, bar.add_task(name, total=None, said=""))
            try:
                yield line
            except BaseException:
                bar.stop()
                self.say("✗", "red", name, began, line.result)
                raise
        self.say("✓", "green", name, began, line.result)

    def say(self, mark: str, colour: str, name: str, began: float, said: str) -> None:
        """The line of a step that has ended."""
        seconds = f"{time.monotonic() - began:6.1f} s"
        self.out.print(f"[{colour}]{mark}[/] {name:<14} [dim]{seconds}[/]  ", end="")
        self.out.print(said, markup=False, soft_wrap=True)


@dataclass
class Event:
    """A step as lines of JSON."""

    name: str
    result: str = ""

    def tell(self, said: str, part: float | None = None) -> None:
        """One line for what is known in numbers; the lines of a build are left out."""
        if part is not None:
            emit(step=self.name, state="running", said=said, part=round(part, 3))

    def end(self, said: str) -> None:
        """Keep what the last line will say."""
        self.result = said


class Lines:
    """Steps for a program: one JSON object a line."""

    @contextmanager
    def step(self, name: str) -> Iterator[Event]:
        """A line at the start and one at the end."""
        began, event = time.monotonic(), Event(name)
        emit(step=name, state="running")
        try:
            yield event
        except BaseException as error:
            emit(step=name, state="failed", said=str(error), seconds=round(time.monotonic() - began, 2))
            raise
        emit(step=name, state="done", said=event.result, seconds=round(time.monotonic() - began, 2))


def emit(**told: object) -> None:
    """Write one line of JSON, at once."""
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    sys.stdout.flush()
