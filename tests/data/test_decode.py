import io
import struct
import threading
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepen.data.decode import BadPicture, decode, open_picture, quiet_pillow


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def scene(width: int = 60, height: int = 40) -> Image.Image:
    """Smooth, and different in every corner."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * x / (width - 1), 255 * y / (height - 1)
    return Image.fromarray(np.stack([red, green, 255 - (red + green) / 2], 2).astype(np.uint8))


def oriented(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif.tobytes()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "JPEG", "WEBP"])
def test_formats(form: str) -> None:
    options = {"quality": 95} if form in ("JPEG", "WEBP") else {}
    pixels = decode(encoded(scene(), form, **options))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (40, 60, 3)
    tolerance = 12 if options else 0
    assert np.abs(pixels.astype(int) - np.asarray(scene())).max() <= tolerance


@given(turn=st.integers(1, 8), width=st.integers(200, 400), height=st.integers(200, 400))
@settings(max_examples=25, deadline=None)
def test_scaled_and_turned_equals_turned(turn: int, width: int, height: int) -> None:
    data = encoded(scene(width, height), "JPEG", quality=95, exif=oriented(turn))
    whole, small = decode(data), decode(data, at_least=64)
    assert 64 <= min(small.shape[:2]) < min(whole.shape[:2])
    resized = Image.fromarray(whole).resize(small.shape[1::-1], Image.Resampling.BOX)
    assert np.abs(np.asarray(resized).astype(int) - small).max() <= 8


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation(form: str, turn: int) -> None:
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    upright = np.asarray(scene())
    # What a camera stores is the upright picture turned back.
    ways = Image.Transpose
    undo = {
        2: ways.FLIP_LEFT_RIGHT,
        3: ways.ROTATE_180,
        4: ways.FLIP_TOP_BOTTOM,
        5: ways.TRANSPOSE,
        6: ways.ROTATE_90,
        7: ways.TRANSVERSE,
        8: ways.ROTATE_270,
    }
    stored = scene().transpose(undo[turn]) if turn in undo else scene()
    picture = open_picture(encoded(stored, form, exif=oriented(turn), **options))
    assert (picture.height, picture.width) == (40, 60)
    assert picture.pixels.shape == (40, 60, 3)
    assert np.abs(picture.pixels.astype(int) - upright).max() <= (20 if form == "JPEG" else 0)


def test_nonsense_in_exif_is_passed_over() -> None:
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0" + bytes(range(60)))
    assert decode(data).shape == (40, 60, 3)
    assert decode(encoded(scene(), "JPEG", exif=oriented(77))).shape == (40, 60, 3)


def test_small_jpegs_are_not_enlarged() -> None:
    assert decode(encoded(scene(), "JPEG"), at_least=500).shape == (40, 60, 3)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bits_keep_their_greys(form: str) -> None:
    greys = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    pixels = decode(encoded(Image.fromarray(greys), form))
    assert (pixels == np.arange(256).reshape(16, 16)[:, :, None]).all()


def test_big_endian_16_bit_tiff() -> None:
    values = np.linspace(0, 65535, 16).astype(np.uint16).reshape(4, 4)
    tags = [(256, 4, 4), (257, 4, 4), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, 4), (279, 4, 32)]
    directory = struct.pack(">H", len(tags))
    for tag, kind, value in tags:
        packed = struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        directory += struct.pack(">HHI", tag, kind, 1) + packed
    body = values.astype(">u2").tobytes()
    data = b"MM\0*" + struct.pack(">I", 8 + len(body)) + body + directory + bytes(4)
    assert (decode(data)[:, :, 0].ravel() == np.arange(0, 256, 17)).all()


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[-1.0, 0.0, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, np.nan, np.inf]], np.float32), [0, 0, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[-1000, 0, 1000]], np.int32), [0, 128, 255]),
    ],
)
def test_tiffs_of_numbers(values: np.ndarray, greys: list[int]) -> None:
    assert decode(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == greys


def test_a_tiff_without_a_number() -> None:
    blank = Image.fromarray(np.full((2, 2), np.nan, np.float32))
    with pytest.raises(BadPicture, match=r"^no finite value$"):
        decode(encoded(blank, "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L"])
def test_greys_are_repeated(mode: str) -> None:
    image = Image.new(mode, (3, 2), 1 if mode == "1" else 77)
    assert (decode(encoded(image, "PNG")) == (255 if mode == "1" else 77)).all()


def test_grey_jpegs_are_repeated_at_any_size() -> None:
    data = encoded(Image.new("L", (64, 48), 77), "JPEG")
    for at_least in (0, 8):
        assert (decode(data, at_least) == 77).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_white(mode: str) -> None:
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    clear.putpixel((1, 0), (0, 0, 0, 255))
    pixels = decode(encoded(clear.convert(mode), "PNG"))
    assert pixels[0].tolist() == [[255] * 3, [0] * 3]


@pytest.mark.parametrize("key", [0, b"\0\xff"])
def test_transparent_palette_colours(key: int | bytes) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    pixels = decode(encoded(image, "PNG", transparency=key))
    assert pixels[0].tolist() == [[255] * 3, [40, 50, 60]]


def test_cmyk_jpeg_has_its_colours() -> None:
    flat = Image.new("RGB", (32, 32), (200, 100, 50))
    pixels = decode(encoded(flat.convert("CMYK"), "JPEG", quality=95), at_least=8)
    assert np.abs(pixels.astype(int) - [200, 100, 50]).max() <= 6


def test_animations_show_their_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for form in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if form == "WEBP" else {}
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
        assert (decode(data) == [255, 0, 0]).all()


def test_kind_and_size_before_scaling() -> None:
    picture = open_picture(encoded(scene(400, 200), "JPEG"), at_least=20)
    assert (picture.kind, picture.height, picture.width) == ("JPEG RGB", 200, 400)
    assert picture.pixels.shape == (25, 50, 3)


def declared(width: int, height: int) -> bytes:
    """A PNG that says it is of this size, with hardly anything inside."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"Hello", "not a JPEG, PNG, WEBP, BMP or TIFF file"),
        (b"GIF89a" + bytes(50), "not a JPEG, PNG, WEBP, BMP or TIFF file"),
        (b"RIFF" + bytes(4) + b"AVI ", "not a JPEG, PNG, WEBP, BMP or TIFF file"),
        (declared(60_000, 60_000), "more than 80 million pixels"),
        (declared(9_000, 10_000), "more than 80 million pixels"),
        (declared(2**31 - 1, 2**31 - 1), "more than 80 million pixels"),
        (declared(1, 201), "1 x 201 pixels, one side over 200 times the other"),
        (declared(0, 5), "its header is damaged"),
        (encoded(scene(), "JPEG")[:-40], "Premature end of JPEG file"),
        (encoded(scene(), "PNG")[:-60], "image file is truncated"),
    ],
    ids=range(11),
)
def test_reasons(data: bytes, reason: str) -> None:
    with pytest.raises(BadPicture) as caught:
        decode(data)
    assert str(caught.value).startswith(reason)


def test_a_jpeg_of_endless_scans() -> None:
    data = encoded(scene(), "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    with pytest.raises(BadPicture, match=r"^a JPEG of \d+ scans, more than 100$"):
        decode(data[:start] + data[start:-2] * 60 + data[-2:])
    # The same bytes after the end of the picture, as in a phone's moving photograph, do not count.
    assert decode(data + b"\xff\xda" * 500).shape == (40, 60, 3)


def test_warnings_are_as_before_once_every_thread_has_left() -> None:
    before = list(warnings.filters)
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with quiet_pillow:
            inside.set()
            leave.wait(5)

    other = threading.Thread(target=stay)
    with quiet_pillow:
        other.start()
        inside.wait(5)
    assert warnings.filters != before
    leave.set()
    other.join()
    assert warnings.filters == before
