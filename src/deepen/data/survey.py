"""One pass over a split: each picture is read and decoded once, and what it is written down."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepen.data.decode import BadPicture, Picture, Pixels, open_picture
from deepen.data.table import Split
from deepen.watch import Watch

T = TypeVar("T")

THUMB = 16
"""Pixels a side of the grey thumbnails by which near duplicates are found."""

CHUNK = 16
"""Pictures that a thread takes at a time: enough to hide the hand-over, few enough to stop soon."""


@dataclass(frozen=True)
class Bad:
    """A picture that cannot be used, and why."""

    index: int
    """Its place in the split."""
    name: str
    reason: str


@dataclass(frozen=True)
class Records:
    """What was seen of n pictures; a bad one has zeros, and a reason."""

    digests: NDArray[np.void]
    """(n,) 16 bytes each, of the encoded picture."""
    sizes: NDArray[np.int32]
    """(n, 2) height and width, upright."""
    kinds: NDArray[np.str_]
    """(n,) format and mode."""
    thumbs: NDArray[np.uint8]
    """(n, THUMB, THUMB) greys."""
    reasons: NDArray[np.str_]
    """(n,) why a picture is bad; empty for the others."""

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def good(self) -> NDArray[np.bool_]:
        """(n,)."""
        return np.asarray(self.reasons == "")


@dataclass(frozen=True)
class Look:
    """One picture, looked at."""

    digest: bytes
    picture: Picture | None
    reason: str = ""


def look(split: Split, index: int, at_least: int) -> Look:
    """Read and decode one picture of a split; whatever is wrong with it becomes the reason."""
    try:
        data = split.pictures[index]
    except OSError as error:
        return Look(bytes(16), None, error.strerror or str(error))
    try:
        return Look(digest(data), open_picture(data, at_least))
    except BadPicture as error:
        return Look(digest(data), None, str(error))


def digest(data: bytes) -> bytes:
    """16 bytes that no two different pictures share."""
    return hashlib.blake2b(data, digest_size=16).digest()


def survey(
    split: Split,
    at_least: int,
    workers: int,
    watch: Watch,
    keep: Callable[[Pixels], Pixels] | None = None,
) -> Iterator[tuple[Records, list[Pixels]]]:
    """Records of a split, some pictures at a time, and what `keep` makes of the good ones.

    at_least: as for `decode`. workers: threads. Raises Interrupted where `watch` does.
    """

    def chunk(indices: range) -> tuple[Records, list[Pixels]]:
        looks = [look(split, i, at_least) for i in indices]
        pictures = [one.picture.pixels for one in looks if one.picture]
        return _records(looks), [keep(pixels) for pixels in pictures] if keep else []

    chunks = [range(i, min(i + CHUNK, len(split))) for i in range(0, len(split), CHUNK)]
    yield from watch(mapped(chunk, chunks, workers), len(chunks), "decoding")


def mapped(work: Callable[[range], T], chunks: list[range], workers: int) -> Iterator[T]:
    """`work` on each chunk by threads, in order, never more than a few chunks ahead."""
    pool = ThreadPoolExecutor(workers)
    try:
        waiting: deque[Future[T]] = deque()
        left = iter(chunks)
        waiting.extend(pool.submit(work, chunk) for chunk in islice(left, 2 * workers))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(work, chunk) for chunk in islice(left, 1))
            yield done
    finally:
        pool.shutdown(cancel_futures=True)


def joined(parts: list[Records]) -> Records:
    """Records of one picture after another as one."""
    return Records(
        digests=np.concatenate([part.digests for part in parts]),
        sizes=np.concatenate([part.sizes for part in parts]),
        kinds=np.concatenate([part.kinds for part in parts]),
        thumbs=np.concatenate([part.thumbs for part in parts]),
        reasons=np.concatenate([part.reasons for part in parts]),
    )


def bad_pictures(records: Records, split: Split) -> Mapping[int, Bad]:
    """The bad pictures by their place in the split that `records` tells of."""
    return {
        int(i): Bad(int(i), split.names[int(i)], str(records.reasons[i]))
        for i in np.flatnonzero(~records.good)
    }


def _records(looks: list[Look]) -> Records:
    pictures = [one.picture for one in looks]
    blank = np.zeros((THUMB, THUMB), np.uint8)
    return Records(
        digests=np.frombuffer(b"".join(one.digest for one in looks), "V16"),
        sizes=np.array([(p.height, p.width) if p else (0, 0) for p in pictures], np.int32),
        kinds=np.array([p.kind if p else "" for p in pictures], np.str_),
        thumbs=np.stack([thumbnail(p.pixels) if p else blank for p in pictures]),
        reasons=np.array([one.reason for one in looks], np.str_),
    )


def thumbnail(pixels: Pixels) -> Pixels:
    """(h, w, 3) -> (THUMB, THUMB) greys, whatever the proportions."""
    small = Image.fromarray(pixels).resize((THUMB, THUMB), Image.Resampling.BOX, reducing_gap=2)
    return np.asarray(small.convert("L"))
