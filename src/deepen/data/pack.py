"""Pictures decoded once into one file of squares, or, where that is too large, when asked for."""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from deepen.data import decode
from deepen.data.cache import Cache
from deepen.data.decode import Pixels
from deepen.data.preprocess import Preprocess
from deepen.data.survey import (
    CHUNK,
    Bad,
    Records,
    bad_pictures,
    digest,
    joined,
    look,
    mapped,
    survey,
)
from deepen.data.table import Indices, Split, picked
from deepen.errors import UserError
from deepen.watch import Watch

FORMAT = 1
"""Of the cached files; raised when their layout changes."""


@dataclass(frozen=True)
class Packed:
    """The good pictures of a split as squares, mapped from a file in the cache; m of them."""

    pixels: Pixels
    """(m, R, R, 3)."""
    labels: Indices
    """(m,)."""
    names: Sequence[str]
    bad: Mapping[int, Bad]
    """The pictures left out, by their place in the split."""
    records: Records
    """Of all pictures of the split, for `inspect`: nothing need be decoded twice."""
    key: str
    """Digest of the split's contents and of how they were made into squares."""
    ahead: int = 0
    unreadable: frozenset[int] = frozenset()
    """None of the m: bad ones were left out."""

    def __len__(self) -> int:
        return len(self.labels)

    def fetch(self, indices: Indices) -> Pixels:
        """(b,) -> (b, R, R, 3)."""
        return np.asarray(self.pixels[indices])


@dataclass
class Streamed:
    """A split decoded when asked for, by threads."""

    split: Split
    preprocess: Preprocess
    workers: int
    ahead: int = 2
    bad: dict[int, Bad] = field(default_factory=dict)
    """The bad pictures met so far, by their place; each was given as a black square."""
    contents: str | None = None
    """The key that they have when packed, if they were read for it."""

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.workers)

    def __len__(self) -> int:
        return len(self.split)

    @property
    def key(self) -> str:
        """`contents`, else a digest of the pictures' names and the side alone."""
        if self.contents is not None:
            return self.contents
        whole = hashlib.blake2b(f"{self.preprocess.resize}".encode(), digest_size=16)
        for name in self.names:
            whole.update(name.encode(errors="surrogateescape") + b"\0")
        return whole.hexdigest()

    @property
    def labels(self) -> Indices:
        """(n,)."""
        return self.split.labels

    @property
    def names(self) -> Sequence[str]:
        """(n)."""
        return self.split.names

    @property
    def unreadable(self) -> Collection[int]:
        """The places of the bad pictures met so far."""
        return self.bad.keys()

    def fetch(self, indices: Indices) -> Pixels:
        """(b,) -> (b, R, R, 3); look for `indices` in `bad` afterwards."""
        return np.stack(list(self._pool.map(self._square, indices.tolist())))

    def _square(self, index: int) -> Pixels:
        seen = look(self.split, index, self.preprocess.resize)
        if seen.picture:
            return self.preprocess.square(seen.picture.pixels)
        self.bad[index] = Bad(index, self.names[index], seen.reason)
        return np.zeros((self.preprocess.resize, self.preprocess.resize, 3), np.uint8)


def prepare(
    split: Split, preprocess: Preprocess, cache: Cache, workers: int, watch: Watch
) -> Packed | Streamed:
    """Packed where the cache has the squares or has room for them, streamed otherwise.

    Nothing is left behind if it stops half-way; several processes may pack the same at once.
    Raises Interrupted where `watch` does, UserError when the disk is full.
    """
    size = len(split) * preprocess.resize**2 * 3
    if size > cache.limit:  # never packed, and too much to read for a digest
        return Streamed(split, preprocess, workers)
    cache.make()
    key = _key(split, preprocess, workers, watch)
    path = cache.folder / key
    stored = _load(path, len(split), preprocess.resize)
    if stored is None:  # only now does room matter: squares that lie there take no more
        if not cache.holds(size):
            return Streamed(split, preprocess, workers, contents=key)
        _store(path, split, preprocess, workers, watch)
        stored = _load(path, len(split), preprocess.resize)
    if stored is None:
        raise UserError(f"the cache does not keep what is written: {path}.npy")
    return _packed(*stored, key, split)


def _packed(pixels: Pixels, records: Records, key: str, split: Split) -> Packed:
    good = np.flatnonzero(records.good)
    return Packed(
        pixels=pixels,
        labels=split.labels[good],
        names=picked(split.names, good),
        bad=bad_pictures(records, split),
        records=records,
        key=key,
    )


def _key(split: Split, preprocess: Preprocess, workers: int, watch: Watch) -> str:
    def digests(chunk: range) -> bytes:
        return b"".join(_digest(split, index) for index in chunk)

    how = (FORMAT, decode.VERSION, preprocess.resize, preprocess.interpolation)
    whole = hashlib.blake2b(repr(how).encode(), digest_size=16)
    size = 16 * CHUNK
    chunks = [range(i, min(i + size, len(split))) for i in range(0, len(split), size)]
    for part in watch(mapped(digests, chunks, workers), len(chunks), "reading"):
        whole.update(part)
    return whole.hexdigest()


def _digest(split: Split, index: int) -> bytes:
    try:
        return digest(split.pictures[index])
    except OSError:
        return bytes(16)


def _store(path: Path, split: Split, preprocess: Preprocess, workers: int, watch: Watch) -> None:
    parts = []
    with _replacing(path.with_suffix(".npy")) as file:
        shape = (preprocess.resize, preprocess.resize, 3)
        _write_header(file, (len(split), *shape))
        written = 0
        passing = survey(split, preprocess.resize, workers, watch, keep=preprocess.square)
        for records, squares in passing:
            parts.append(records)
            written += len(squares)
            for square in squares:
                file.write(np.ascontiguousarray(square).data)
        file.seek(0)  # NumPy leaves room in the header for a first axis of any length
        _write_header(file, (written, *shape))
        # Before the squares are renamed: where they are, the records are too.
        _store_records(path, joined(parts))


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _store_records(path: Path, records: Records) -> None:
    with _replacing(path.with_suffix(".npz")) as file:
        np.savez(file, **{part.name: getattr(records, part.name) for part in fields(Records)})


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is whole and on the disk, and is gone otherwise."""
    with NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except OSError as error:
            raise UserError(f"the cache cannot be written: {error.strerror}: {path}") from error
        finally:
            Path(file.name).unlink(missing_ok=True)


def _load(path: Path, count: int, side: int) -> tuple[Pixels, Records] | None:
    """What was stored, unless it is missing, cut off or of another shape."""
    try:
        pixels: NDArray[np.uint8] = np.load(path.with_suffix(".npy"), mmap_mode="r")
        # Opened here, as NumPy leaves a file open that turns out to be cut off.
        with path.with_suffix(".npz").open("rb") as file, np.load(file) as arrays:
            records = Records(**{part.name: arrays[part.name] for part in fields(Records)})
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    right = len(records) == count and pixels.shape == (records.good.sum(), side, side, 3)
    return (pixels, records) if right else None
