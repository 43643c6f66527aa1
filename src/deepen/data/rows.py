"""What a folder or a table holds, before its classes are matched between splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepen.data.table import Indices, same_name

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What folders and files of a split are called, and the split."""


@dataclass(frozen=True)
class Rows:
    """One split as its source has it, n pictures."""

    pictures: Sequence[bytes]
    names: Sequence[str]
    classes: tuple[str, ...]
    """Its own list, in the order declared or else sorted; some may have no picture."""
    codes: Indices
    """(n,) places in its own `classes`; -1 = unlabelled."""
    groups: Indices | None = None
    """(n,) the same number for pictures that belong on the same side of a split."""


@dataclass(frozen=True)
class Found:
    """The splits of a source, as read."""

    splits: Mapping[str, Rows]
    notes: tuple[str, ...] = ()


def in_order(classes: set[str]) -> tuple[str, ...]:
    """Sorted; whole numbers by value."""
    if all(name.isdecimal() for name in classes):
        return tuple(sorted(classes, key=int))
    return tuple(sorted(classes))


def coded(labels: Sequence[str]) -> tuple[tuple[str, ...], Indices]:
    """The classes in `labels` (n,), by `same_name`, and each label's place among them (n,)."""
    names = {label: same_name(label) for label in set(labels)}
    classes = in_order(set(names.values()))
    place = {name: i for i, name in enumerate(classes)}
    return classes, np.array([place[names[label]] for label in labels], np.int64)


def number(count: int, one: str, many: str = "") -> str:
    """`1 picture`, `2 pictures`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def some(names: Sequence[str], at_most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")
