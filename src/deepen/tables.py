"""How results are printed: tables of one look, or JSON."""

import json
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def show(result: Any, as_json: bool = False) -> None:
    """Print a result on standard output: for a person, or as JSON."""
    if as_json:
        print(json.dumps(result.to_dict() if result else None), flush=True)
    elif result is not None:
        plain_console().print(result)


def plain_console(*, stderr: bool = False) -> Console:
    """A console that prints [red] and :smile:, in the name of a class or file, as they are."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def plain_table(title: str | None = None, caption: str | None = None) -> Table:
    """A table without a frame: it fits 80 columns, and reads well where there is no terminal."""
    look: dict[str, Any] = {"title_justify": "left", "caption_justify": "left"}
    look |= {"box": box.SIMPLE_HEAD, "pad_edge": False, "collapse_padding": True}
    return Table(title=title, caption=caption, **look)
