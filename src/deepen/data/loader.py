"""Pictures in an order that (seed, epoch) decide, cut into the batches of its steps."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepen.data.survey import Bad


class Pictures(Protocol):
    """Decoded pictures of one split, in memory or read when asked for."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Shape (n,)."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """For messages; n of them."""
        ...

    @property
    def bad(self) -> Mapping[int, Bad]:
        """The pictures that could not be used, by their place in the split."""
        ...

    @property
    def unreadable(self) -> Collection[int]:
        """Pictures that turned out bad when fetched: black, and not to be learnt from."""
        ...

    @property
    def ahead(self) -> int:
        """Batches worth fetching before they are asked for; 0 where fetching costs nothing."""
        ...

    def fetch(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Shapes: (b,) -> (b, r, r, 3)."""
        ...


@dataclass(frozen=True)
class Batch:
    """Some pictures, as stored."""

    indices: NDArray[np.int64]
    """Which pictures of the split, shape (b,)."""
    pixels: NDArray[np.uint8]
    """Shape (b, r, r, 3)."""
    labels: NDArray[np.int64]
    """Shape (b,)."""


def key(*numbers: int) -> int:
    """One well-mixed 63-bit seed from several numbers, such as (seed, epoch, rank, step)."""
    state: int = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return int(state) >> 1


def order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """All n pictures, shuffled for this epoch."""
    return np.random.Generator(np.random.Philox(key(seed, epoch))).permutation(n)


def steps_per_epoch(n: int, batch: int) -> int:
    """Full batches in n pictures; the rest wait for another epoch's order."""
    return max(1, n // batch)


def shuffled(
    pictures: Pictures, batch: int, seed: int, epoch: int, first: int = 0
) -> Iterator[Batch]:
    """The batches of an epoch from step `first` on."""
    indices = order(len(pictures.labels), seed, epoch)
    steps = range(first, steps_per_epoch(len(indices), batch))
    wanted = [indices[step * batch : (step + 1) * batch] for step in steps]
    for fetched in _fetched(pictures, wanted):
        yield _readable(fetched, pictures.unreadable)


def in_order(pictures: Pictures, batch: int) -> Iterator[Batch]:
    """Every picture once, as they stand: for evaluation."""
    n = len(pictures.labels)
    return _fetched(pictures, [np.arange(i, min(i + batch, n)) for i in range(0, n, batch)])


def _fetched(pictures: Pictures, batches: list[NDArray[np.int64]]) -> Iterator[Batch]:
    """Fetches `pictures.ahead` batches in advance, in a thread: decoding releases Python's lock."""
    if not pictures.ahead:
        yield from (Batch(i, pictures.fetch(i), pictures.labels[i]) for i in batches)
        return
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[tuple[NDArray[np.int64], Future[NDArray[np.uint8]]]] = deque()
        for indices in batches:
            waiting.append((indices, thread.submit(pictures.fetch, indices)))
            if len(waiting) > pictures.ahead:
                yield _finished(pictures, *waiting.popleft())
        while waiting:
            yield _finished(pictures, *waiting.popleft())


def _finished(
    pictures: Pictures, indices: NDArray[np.int64], pixels: Future[NDArray[np.uint8]]
) -> Batch:
    return Batch(indices, pixels.result(), pictures.labels[indices])


def _readable(batch: Batch, unreadable: Collection[int]) -> Batch:
    kept = ~np.isin(batch.indices, list(unreadable))
    if kept.all():
        return batch
    return Batch(batch.indices[kept], batch.pixels[kept], batch.labels[kept])
