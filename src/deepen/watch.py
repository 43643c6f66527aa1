"""Long loops are watched: shown while they run, and left in order when asked to stop."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, Self, TypeVar

from rich.console import Console
from rich.progress import track

from deepen.errors import Interrupted
from deepen.tables import plain_console

T = TypeVar("T")


class Watch(Protocol):
    """Passes the items of a loop on, one by one; may show progress, may raise `Interrupted`."""

    def __call__(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Yield each of `total` items; `what` names the loop for a person ("decoding")."""
        ...


def silent(items: Iterable[T], total: int, what: str) -> Iterator[T]:  # noqa: ARG001
    """The watch of a library call: shows nothing and never stops."""
    return iter(items)


class Stop:
    """A flag that Ctrl-C or SIGTERM sets. Loops look at it between steps; a handler never saves.

    A second Ctrl-C falls through to Python's own handler, for a loop that hangs.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._set)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _set(self, number: int, _frame: FrameType | None) -> None:
        self.signal_number = number
        signal.signal(number, self._previous[number])

    def check(self) -> None:
        """Raises `Interrupted` once a signal has arrived."""
        if self.signal_number is not None:
            raise Interrupted(self.signal_number)


@contextmanager
def session(machine_readable: bool = False) -> Iterator[tuple[Console, Stop]]:
    """A console (standard error where standard output is for a machine) and a stop flag."""
    with Stop() as stop:
        yield plain_console(stderr=machine_readable), stop


def watched(console: Console, stop: Stop) -> Watch:
    """A watch that shows a bar where there is a terminal, and stops when `stop` is set."""

    def watch(items: Iterable[T], total: int, what: str) -> Iterator[T]:
        hidden = not console.is_terminal
        for item in track(items, what, total, console=console, transient=True, disable=hidden):
            yield item
            stop.check()

    return watch
