"""A labelled image table: what every kind of source is read into."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, overload
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Indices = NDArray[np.int64]


def same_name(name: str) -> str:
    """A class's name in NFC: café is one class, whichever way its é is written."""
    return normalize("NFC", name)


class Lazy(Sequence[T]):
    """`count` things, each made by `make(index)` when it is asked for and not kept."""

    def __init__(self, make: Callable[[int], T], count: int) -> None:
        self._make = make
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self._make(i) for i in range(self._count)[index]]
        return self._make(range(self._count)[index])


@dataclass(frozen=True)
class Split:
    """One split of a table, n pictures."""

    pictures: Sequence[bytes]
    """(n) encoded pictures, read only when indexed; a file that cannot be read raises OSError."""
    labels: Indices
    """(n,) places in `Table.classes`."""
    names: Sequence[str]
    """(n) what to call a picture: its path relative to the source, or `train[17]`."""

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Indices) -> "Split":
        """The pictures at `indices` (m,), in that order."""
        return Split(
            pictures=picked(self.pictures, indices),
            labels=self.labels[indices],
            names=picked(self.names, indices),
        )


@dataclass(frozen=True)
class Table:
    """Labelled pictures in splits that share one list of classes."""

    source: str
    """What the user typed, or `built-in`."""
    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    """Some of `train`, `validation`, `test`, in that order."""
    notes: tuple[str, ...] = ()
    """What was decided while reading, in sentences to print."""

    def noting(self, *sentences: str) -> "Table":
        """The same table with more notes."""
        return replace(self, notes=self.notes + sentences)


def evenly(count: int, most: int) -> Indices:
    """Up to `most` places among `count`, spread evenly from the first to the last."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def picked(items: Sequence[T], indices: Indices) -> Sequence[T]:
    """`items` at `indices`, still read only when indexed."""
    return Lazy(partial(_pick, items, indices), len(indices))


def _pick(items: Sequence[T], indices: Indices, place: int) -> T:
    return items[int(indices[place])]
