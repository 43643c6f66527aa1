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
from deepen.data.survey import CHUNK, survey
from deepen.data.table import Indices, Table, evenly
from deepen.watch import Watch, silent

PEEK = 64
"""Pictures looked at to learn how large they are."""
SAMPLE = 2_000
"""Pictures a split that are checked before training where they are too many to be packed."""
MEASURED = 10_000
"""Pictures over which mean and deviation are taken: enough for three digits."""
MEASURED_BYTES = 2**28
"""Of their pixels: a second's counting."""


@dataclass(frozen=True)
class Data:
    """What a training works on."""

    train: Packed | Streamed
    validation: Packed | Streamed | None
    test: Packed | Streamed | None
    report: Report

    @property
    def fingerprint(self) -> str:
        """Digests of each split's pictures and labels: equal only for data that train alike.

        Whether the pictures are packed or streamed counts only where some are bad: these are
        among the streamed, so that other batches follow.
        """
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return ", ".join(
            f"{name} pictures {split.key}, {name} labels {_digest(split.labels)}"
            for name, split in splits.items()
            if split is not None
        )


def differing(before: str, after: str) -> str:
    """The parts in which two fingerprints differ, such as `train labels, test pictures`."""
    apart = set(before.split(", ")) ^ set(after.split(", "))
    return ", ".join(sorted({part.rpartition(" ")[0] for part in apart}))


def _digest(labels: Indices) -> str:
    return hashlib.blake2b(labels.tobytes(), digest_size=16).hexdigest()


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
    some = evenly(len(split), PEEK)
    sizes = np.concatenate([r.sizes for r, _ in survey(split.select(some), 1, 1, silent)])
    sides = sizes.min(1)[sizes.min(1) > 0]
    return int(np.median(sides)) if len(sides) else 0


def measured(preprocess: Preprocess, pictures: Packed | Streamed) -> Preprocess:
    """The same with mean and deviation of (some of) these pictures' channels."""
    most = max(1, MEASURED_BYTES // pictures.fetch(np.zeros(1, np.int64)).nbytes)
    some = evenly(len(pictures.labels), min(MEASURED, most))
    if isinstance(pictures, Streamed):
        some = some[:: max(1, len(some) // 500)]  # each is decoded for this alone
    shares, levels = _levels(pictures, some), np.arange(256) / 255
    mean = shares @ levels
    std = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(1))
    return replace(preprocess, mean=_rounded(mean), std=_rounded(np.maximum(std, 1e-3)))


def _levels(pictures: Packed | Streamed, some: Indices) -> NDArray[np.float64]:
    """(m,) -> (3, 256): how often each channel has each level, as shares.

    A few pictures at a time: means and squares of them all at once would take eight times their
    bytes.
    """
    counts = np.zeros((3, 256), np.int64)
    for start in range(0, len(some), CHUNK):
        pixels = pictures.fetch(some[start : start + CHUNK]).reshape(-1, 3)
        counts += np.stack([np.bincount(channel, minlength=256) for channel in pixels.T])
    shares: NDArray[np.float64] = counts / counts.sum(1, keepdims=True)
    return shares


def _rounded(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 4) for value in values)
    return red, green, blue
