"""Bytes to pixels, safely: few formats, bounded sizes, every mode, no error but `BadPicture`.

Colour profiles are ignored, as training sets are made without them.
"""

import io
import threading
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

Pixels = NDArray[np.uint8]

VERSION = 1
"""Raised whenever the same bytes give other pixels than before; packed caches are keyed by it."""

MAX_PIXELS = 80_000_000
"""Below the 89 million at which Pillow warns and the 179 million at which it refuses."""

TOO_MANY = f"more than {MAX_PIXELS // 10**6} million pixels"

MAX_ASPECT = 200
"""Long side over short side; a sliver beyond it has nothing to show in a square."""

MAX_SCANS = 100
"""Of a JPEG. Encoders write about ten; a few bytes can ask for one, and it takes all pixels."""

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"RIFF": "WEBP",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}

_ORIENTATION = 0x0112
"""The EXIF tag."""


class BadPicture(Exception):  # noqa: N818
    """A picture that cannot be used; the message is the reason, without the picture's name."""


@dataclass(frozen=True)
class Picture:
    """Pixels and what the file says of itself."""

    pixels: Pixels
    """(h, w, 3), upright."""
    height: int
    """Of the upright picture before any scaling."""
    width: int
    kind: str
    """Format and mode, such as `JPEG RGB` or `PNG P`."""


def decode(data: bytes, at_least: int = 0) -> Pixels:
    """The upright RGB pixels (h, w, 3) of a JPEG, PNG, WEBP, BMP or TIFF; of an animation, frame 1.

    at_least: pixels wanted on the short side. A JPEG more than twice as large is decoded at a
    half, quarter or eighth of its size, which costs less; 0, or another format, gives all pixels.

    Transparency is laid on white. 16-bit greys are divided by 257, so they keep their greys;
    integers and floats of other ranges are stretched from their least to their greatest value.
    The array may be read-only.

    Raises BadPicture.
    """
    return open_picture(data, at_least).pixels


def open_picture(data: bytes, at_least: int = 0) -> Picture:
    """As `decode`, with the size and kind that the file declares."""
    try:
        with quiet_pillow:
            return _open(data, at_least)
    except BadPicture:
        raise
    except UnidentifiedImageError as error:
        raise BadPicture("its header is damaged") from error
    except Image.DecompressionBombError as error:
        raise BadPicture(TOO_MANY) from error
    # Pillow's readers fail on damaged files with whatever their parsing meets: struct.error,
    # SyntaxError, IndexError, OverflowError, MemoryError, EOFError, …
    except Exception as error:
        raise BadPicture(str(error).partition("\n")[0] or type(error).__name__) from error


def _open(data: bytes, at_least: int) -> Picture:
    form = _form(data)
    if form == "JPEG":
        _bound_scans(data)
    with Image.open(io.BytesIO(data), formats=[form]) as image:
        _bound(image.width, image.height)
        kind = f"{form} {image.mode}"
        pixels = _jpeg(data, image, at_least) if form == "JPEG" else _rgb(image)
        turn = 1 if form == "TIFF" else _orientation(image)  # Pillow turns TIFFs itself
        width, height = image.size
    if turn >= 5:
        width, height = height, width
    return Picture(_upright(pixels, turn), height, width, kind)


def _form(data: bytes) -> str:
    if not data:
        raise BadPicture("the file is empty")
    for signature, form in _SIGNATURES.items():
        if data.startswith(signature) and (form != "WEBP" or data[8:12] == b"WEBP"):
            return form
    raise BadPicture("not a JPEG, PNG, WEBP, BMP or TIFF file")


def _bound(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise BadPicture(f"{width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise BadPicture(TOO_MANY)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise BadPicture(f"{width} x {height} pixels, one side over {MAX_ASPECT} times the other")


def _bound_scans(data: bytes) -> None:
    # Trailing video and metadata may hold these two bytes by chance: then count exactly.
    values = np.frombuffer(data, np.uint8)
    starts = np.count_nonzero((values[:-1] == 0xFF) & (values[1:] == 0xDA))
    if starts > MAX_SCANS and (scans := _scans(data)) > MAX_SCANS:
        raise BadPicture(f"a JPEG of {scans} scans, more than {MAX_SCANS}")


def _scans(data: bytes) -> int:
    """Scans of the JPEG up to its end marker; the contents of segments are not searched."""
    place, scans = 2, 0
    while 0 <= (place := data.find(b"\xff", place)) < len(data) - 3:
        marker = data[place + 1]
        if marker == 0xD9:
            break
        scans += marker == 0xDA
        alone = marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8
        fill = marker == 0xFF
        length = int.from_bytes(data[place + 2 : place + 4])
        place += 1 if fill else 2 if alone else 2 + length
    return scans


def _jpeg(data: bytes, image: Image.Image, at_least: int) -> Pixels:
    if image.mode not in ("RGB", "L"):
        return _rgb(image)  # CMYK and YCCK, whose inverted inks Pillow knows
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            min_height=at_least,
            min_width=at_least,
            # Less than a half takes longer than all pixels. 0 asks for everything.
            min_factor=2 if at_least else 1,
        )
        return pixels
    except ValueError as error:
        # Cameras pad and viewers do not mind; other warnings mean lost pixels, which Pillow hides.
        if "extraneous bytes" not in str(error) and "nsupported" not in str(error):
            raise
        return _rgb(image)


def _rgb(image: Image.Image) -> Pixels:
    image.load()
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = _grey(image)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _grey(image: Image.Image) -> Pixels:
    values = np.asarray(image).astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise BadPicture("no finite value")
    low, high = float(values[finite].min()), float(values[finite].max())
    floor, ceiling = _range(image.mode, low, high)
    values = np.nan_to_num(values, nan=floor, posinf=ceiling, neginf=floor)
    return np.rint((values - floor) * (255.0 / (ceiling - floor))).clip(0, 255).astype(np.uint8)


def _range(mode: str, low: float, high: float) -> tuple[float, float]:
    """The values that become black and white."""
    usual = 65535.0 if mode != "F" else 1.0 if high <= 1 else 255.0
    if low >= 0 and high <= usual:
        return 0.0, usual
    return low, max(high, low + 1)


def _orientation(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a picture with damaged EXIF is still a picture
        return 1
    return turn if turn in range(1, 9) else 1


def _upright(pixels: Pixels, turn: int) -> Pixels:
    """Pixels as EXIF orientation `turn` (1 to 8) wants them seen; 5 to 8 exchange the sides."""
    if turn >= 5:
        pixels = pixels.transpose(1, 0, 2)
    down = -1 if turn in (3, 4, 7, 8) else 1
    right = -1 if turn in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::down, ::right])


class _QuietPillow(AbstractContextManager[None]):
    """Silences Pillow's warnings while any thread is inside.

    `warnings.catch_warnings` alone is not for threads: two that leave in another order than they
    entered would put the wrong filters back. So the first in sets them, the last out restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._caught.__exit__(kind, error, trace)


quiet_pillow = _QuietPillow()
