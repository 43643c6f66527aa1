"""The one look of every printed table."""

from typing import Any

from rich import box
from rich.table import Table


def plain_table(title: str | None = None, caption: str | None = None) -> Table:
    """A table without a frame: it fits 80 columns, and reads well where there is no terminal."""
    look: dict[str, Any] = {"title_justify": "left", "caption_justify": "left"}
    look |= {"box": box.SIMPLE_HEAD, "pad_edge": False, "collapse_padding": True}
    return Table(title=title, caption=caption, **look)
