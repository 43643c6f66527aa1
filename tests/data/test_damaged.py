"""Damaged files, made from seeds: each gives pixels or a reason, soon, and nothing else."""

import contextlib
import io
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from deepen.data.decode import BadPicture, decode

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
SECONDS = 2.0
DECODED = {"JPEG": 15, "PNG": 3, "WEBP": 18, "BMP": 18, "TIFF": 8}
"""Of the 60 damaged files of a format, those that at least still give pixels; a checksum leaves
PNG the fewest."""


def whole(form: str) -> bytes:
    y, x = np.mgrid[:48, :64]
    noise = np.random.default_rng(0).integers(0, 40, (48, 64, 3))
    pixels = (np.stack([3 * x, 4 * y, x + y], 2) + noise).astype(np.uint8)
    file = io.BytesIO()
    options = {"compression": "tiff_lzw"} if form == "TIFF" else {}
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def truncated(data: bytes) -> Iterator[bytes]:
    for share in np.linspace(0, 1, 12, endpoint=False):
        yield data[: int(share * len(data))]
    yield data[:-1]


def flipped(data: bytes) -> Iterator[bytes]:
    for seed in range(16):
        rng = np.random.default_rng(seed)
        damaged = np.frombuffer(data, np.uint8).copy()
        # Half of them in the header, where the sizes stand.
        reach = min(len(data), 200) if seed % 2 else len(data)
        places = rng.integers(0, reach, 1 + seed)
        damaged[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
        yield damaged.tobytes()


def overwritten(data: bytes) -> Iterator[bytes]:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        start = int(rng.integers(4, len(data) - 40))
        filling = (bytes(32), b"\xff" * 32, rng.bytes(32))[seed % 3]
        yield data[:start] + filling + data[start + 32 :]


def huge(data: bytes) -> Iterator[bytes]:
    """The declared width and height replaced wherever they stand in the first part of the file."""
    for order in ("big", "little"):
        for size in (2, 4):
            for width in (0, 30_000, 65_535):
                new = data
                for old in (64, 48):
                    before, after = (n.to_bytes(size, order) for n in (old, width))
                    new = new.replace(before, after, 1)
                yield new


def strange(data: bytes) -> Iterator[bytes]:
    yield data[:16] + b"This is a text that someone named .jpg. " * 20
    yield data[:4] + bytes(5000)
    yield data[::-1]
    yield data * 3
    for form in FORMATS:
        yield whole(form)[:24] + data[24:]


KINDS = (truncated, flipped, overwritten, huge, strange)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("at_least", [0, 16])
def test_pixels_or_a_reason(form: str, at_least: int) -> None:
    decoded = 0
    for kind in KINDS:
        for number, data in enumerate(kind(whole(form))):
            start = time.perf_counter()
            # Any other error, or a warning, fails the test.
            with contextlib.suppress(BadPicture):
                pixels = decode(data, at_least)
                assert pixels.dtype == np.uint8
                assert pixels.ndim == 3
                assert pixels.shape[2] == 3
                decoded += 1
            assert time.perf_counter() - start < SECONDS, (kind, number)
    assert decoded >= DECODED[form]


@pytest.mark.parametrize("form", FORMATS)
def test_undamaged_ones_decode(form: str) -> None:
    assert decode(whole(form)).shape == (48, 64, 3)


def test_there_are_enough() -> None:
    assert sum(1 for form in FORMATS for kind in KINDS for _ in kind(whole(form))) >= 200


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP"])
def test_a_file_cut_in_half_is_never_half_a_picture(form: str) -> None:
    data = whole(form)
    with pytest.raises(BadPicture):
        decode(data[: len(data) // 2])
