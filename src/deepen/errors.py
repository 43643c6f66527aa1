"""What goes wrong on the user's side, said in one line; a traceback is for our own bugs."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something asked for that cannot be had: one line saying what was asked, found and allowed."""


class Interrupted(Exception):  # noqa: N818 - asked for, not an error
    """Ctrl-C or SIGTERM arrived; the loop that noticed left everything in order."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number


def nearest(asked: str, allowed: Iterable[str]) -> str:
    """`; did you mean X?` for the allowed name closest to the one asked for, or nothing."""
    close = get_close_matches(asked, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
