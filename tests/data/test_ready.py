"""What training is given: squares, their statistics, and a word for which they are."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deepen.data.cache import Cache
from deepen.data.decode import Pixels
from deepen.data.pack import Packed, Streamed, prepare
from deepen.data.preprocess import Preprocess
from deepen.data.ready import differing, measured, ready
from deepen.data.source import Source, read
from deepen.data.table import Split, Table
from deepen.watch import silent

SQUARE = Preprocess(8, 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def packed(pixels: Pixels) -> Packed:
    none = prepare(Split([b""], np.zeros(1, np.int64), ["none"]), SQUARE, Cache(), 1, silent)
    assert isinstance(none, Packed)
    return replace(none, pixels=pixels, labels=np.zeros(len(pixels), np.int64))


def test_measured_by_channel() -> None:
    rng = np.random.default_rng(0)
    pixels = (rng.integers(0, 256, (70, 8, 8, 3)) // np.array([1, 2, 200])).astype(np.uint8)
    found, flat = measured(SQUARE, packed(pixels)), pixels.reshape(-1, 3) / 255
    assert found.mean == tuple(flat.mean(0).round(4))
    assert found.std == tuple(flat.std(0).round(4))
    assert measured(SQUARE, packed(np.zeros_like(pixels))).std == (1e-3, 1e-3, 1e-3)


def test_measuring_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 100 * 128 * 128 * 3
    monkeypatch.setattr("deepen.data.ready.MEASURED_BYTES", most)
    many = packed(np.broadcast_to(np.uint8(51), (1000, 128, 128, 3)))
    tracemalloc.start()
    found = measured(SQUARE, many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.mean == (0.2, 0.2, 0.2)
    assert peak < most


@pytest.fixture
def table() -> Table:
    return read(Source(limit=20), seed=0)


def fingerprint(table: Table) -> str:
    return ready(table, SQUARE, 8, 1, silent).fingerprint


def test_fingerprint_is_that_of_the_pictures_packed_or_streamed(
    table: Table, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = fingerprint(table)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    monkeypatch.setenv("DEEPEN_CACHE", str(tmp_path))
    streamed = ready(table, SQUARE, 8, 1, silent)
    assert isinstance(streamed.train, Streamed)
    assert streamed.fingerprint == before


def test_what_differs_is_said(table: Table) -> None:
    before, train, test = fingerprint(table), table.splits["train"], table.splits["test"]
    assert differing(before, before) == ""
    turned = replace(train, labels=train.labels[::-1])
    assert differing(before, fingerprint(with_split(table, train=turned))) == "train labels"
    other = replace(test, pictures=[test.pictures[1], *test.pictures[1:]])
    assert differing(before, fingerprint(with_split(table, test=other))) == "test pictures"
    fewer = replace(table, splits={"train": train, "test": test})
    assert differing(before, fingerprint(fewer)) == "validation labels, validation pictures"


def with_split(table: Table, **splits: Split) -> Table:
    return replace(table, splits={**table.splits, **splits})
