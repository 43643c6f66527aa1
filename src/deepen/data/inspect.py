"""A look at every picture of a table before anything is trained on it."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepen.data.copies import Pairs, exact_pairs, near_pairs
from deepen.data.report import Copy, Place, Range, Report
from deepen.data.source import Source, read
from deepen.data.split import choose
from deepen.data.survey import Bad, Records, bad_pictures, joined, survey
from deepen.data.table import Indices, Split, Table
from deepen.errors import UserError
from deepen.watch import Watch, silent

LOOK = 64
"""Pixels of the short side that are enough to look at a picture."""


@dataclass(frozen=True)
class _Looked:
    """The pictures of one split that were looked at."""

    split: Split
    chosen: Indices
    records: Records


def inspect(
    table: Table,
    workers: int,
    watch: Watch = silent,
    sample: int | None = None,
    known: Mapping[str, Records] | None = None,
) -> Report:
    """Look at each picture once.

    sample: pictures a split to look at, chosen by class; None = all. known: records of whole splits
    that were looked at before, as packing does. Raises Interrupted where `watch` does.
    """
    looked = {}
    for name, split in table.splits.items():
        if known and name in known:
            looked[name] = _Looked(split, np.arange(len(split)), known[name])
            continue
        chosen = choose(split.labels, sample or len(split), seed=0)
        passing = survey(split.select(chosen), LOOK, workers, watch)
        looked[name] = _Looked(split, chosen, joined([records for records, _ in passing]))
    return _report(table, looked, workers)


def check(
    source: Source,
    workers: int | None = None,
    sample: int | None = None,
    watch: Watch = silent,
    *,
    seed: int = 0,
) -> Report:
    """What `deepen check` says of a source, split as a training with this seed splits it.

    Raises UserError where it cannot be read at all.
    """
    for name, count in (("workers", workers), ("sample", sample)):
        if count is not None and count < 1:
            raise UserError(f"--{name} is at least 1, found {count}")
    return inspect(read(source, seed), workers or os.cpu_count() or 1, watch, sample)


def _report(table: Table, looked: Mapping[str, _Looked], workers: int) -> Report:
    records = joined([one.records for one in looked.values()])
    good = np.flatnonzero(records.good)
    exact = good[exact_pairs(records.digests[good])]
    once = np.setdiff1d(good, exact[:, 1])
    near = once[near_pairs(records.thumbs[once], workers)]
    return Report(
        source=table.source,
        notes=table.notes,
        classes=table.classes,
        counts={name: _counts(split, len(table.classes)) for name, split in table.splits.items()},
        checked={name: len(one.chosen) for name, one in looked.items()},
        height=_range(records.sizes[good, 0]),
        width=_range(records.sizes[good, 1]),
        kinds=dict(Counter(records.kinds[good].tolist()).most_common()),
        bad={name: _bad(one) for name, one in looked.items()},
        exact=_copies(table, looked, exact),
        near=_copies(table, looked, near),
    )


def _counts(split: Split, classes: int) -> tuple[int, ...]:
    return tuple(np.bincount(split.labels, minlength=classes).tolist())


def _range(lengths: NDArray[np.int32]) -> Range | None:
    if not len(lengths):
        return None
    return Range(int(lengths.min()), int(np.median(lengths)), int(lengths.max()))


def _bad(one: _Looked) -> tuple[Bad, ...]:
    found = bad_pictures(one.records, one.split.select(one.chosen))
    return tuple(replace(bad, index=int(one.chosen[i])) for i, bad in found.items())


def _copies(table: Table, looked: Mapping[str, _Looked], pairs: Pairs) -> tuple[Copy, ...]:
    """pairs: (m, 2) places in the records of all splits, one split after another."""
    names = list(looked)
    starts = np.cumsum([0] + [len(one.chosen) for one in looked.values()])

    def place(row: int) -> Place:
        which = int(np.searchsorted(starts, row, side="right")) - 1
        one = looked[names[which]]
        index = int(one.chosen[row - starts[which]])
        return Place(names[which], one.split.names[index], table.classes[one.split.labels[index]])

    return tuple(Copy(place(first), place(second)) for first, second in pairs.tolist())
