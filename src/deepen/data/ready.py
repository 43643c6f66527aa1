"""A table's pictures, checked and turned into squares that training and evaluation can fetch."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepen.data.cache import Cache
from deepen.data.inspect import inspect
from deepen.data.pack import Packed, Streamed, prepare
from deepen.data.preprocess import Preprocess
from deepen.data.report import Report, stop_if_unfit
from deepen.data.survey import survey
from deepen.data.table import Table
from deepen.watch import Watch, silent

PEEK = 64
"""Pictures looked at to learn how large they are."""
SAMPLE = 2_000
"""Pictures a split that are checked before training where they are too many to be packed."""
MEASURED = 10_000
"""Pictures over which mean and deviation are taken: enough for three digits."""


@dataclass(frozen=True)
class Data:
    """What a training works on."""

    train: Packed | Streamed
    validation: Packed | Streamed | None
    test: Packed | Streamed | None
    report: Report

    @property
    def fingerprint(self) -> str:
        """Digest of every picture, label and split: equal for equal data only."""
        whole = hashlib.blake2b(digest_size=16)
        for split in (self.train, self.validation, self.test):
            if split is not None:
                whole.update(f"{split.key} {len(split.labels)}".encode() + split.labels.tobytes())
        return whole.hexdigest()


def ready(table: Table, preprocess: Preprocess, stored: int, workers: int, watch: Watch) -> Data:
    """Training squares have `stored` pixels a side, the others what inference resizes to."""
    sides = dict.fromkeys(table.splits, preprocess.resize) | {"train": stored}
    squares = {
        name: prepare(split, replace(preprocess, resize=sides[name]), Cache(), workers, watch)
        for name, split in table.splits.items()
    }
    known = {name: split.records for name, split in squares.items() if isinstance(split, Packed)}
    report = inspect(table, workers, watch, SAMPLE, known)
    stop_if_unfit(report)
    return Data(squares["train"], squares.get("validation"), squares.get("test"), report)


def usual_side(table: Table) -> int:
    """Median short side of some training pictures, in pixels."""
    split = table.splits["train"]
    some = np.unique(np.linspace(0, len(split) - 1, PEEK).astype(np.int64))
    sizes = np.concatenate([r.sizes for r, _ in survey(split.select(some), 1, 1, silent)])
    sides = sizes.min(1)[sizes.min(1) > 0]
    return int(np.median(sides)) if len(sides) else 0


def measured(preprocess: Preprocess, pictures: Packed | Streamed) -> Preprocess:
    """The same with mean and deviation of (some of) these pictures' channels."""
    some = np.unique(np.linspace(0, len(pictures.labels) - 1, MEASURED).astype(np.int64))
    if isinstance(pictures, Streamed):
        some = some[:: max(1, len(some) // 500)]  # each is decoded for this alone
    pixels = pictures.fetch(some).reshape(-1, 3)
    mean, std = pixels.mean(0) / 255, np.maximum(pixels.std(0) / 255, 1e-3)
    return replace(preprocess, mean=_rounded(mean), std=_rounded(std))


def _rounded(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 4) for value in values)
    return red, green, blue
