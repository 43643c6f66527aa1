"""What inference does to pixels, with NumPy and Pillow only; every model file holds its record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepen.data.decode import Pixels, decode
from deepen.errors import UserError, nearest

Interpolation = Literal["bilinear", "bicubic"]

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocess:
    """Picture -> square -> centre crop -> normalised floats."""

    size: int
    """Pixels a side that the network sees."""
    resize: int
    """Pixels of the short side before the centre crop; equal to `size`, nothing more is cut off."""
    mean: tuple[float, float, float]
    """Of red, green and blue in 0..1, subtracted."""
    std: tuple[float, float, float]
    """Of red, green and blue in 0..1, divided by."""
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        _check(self)

    def square(self, pixels: Pixels) -> Pixels:
        """(h, w, 3) -> the central square (resize, resize, 3), antialiased; itself if that size."""
        height, width = pixels.shape[:2]
        if height == width == self.resize:
            return pixels
        short = min(height, width)
        left, top = (width - short) / 2, (height - short) / 2
        # Cutting out and scaling in one step: what would be cut off is never resampled.
        square = Image.fromarray(pixels).resize(
            (self.resize, self.resize),
            RESAMPLING[self.interpolation],
            box=(left, top, left + short, top + short),
        )
        return np.asarray(square)

    def crop(self, squares: Pixels) -> Pixels:
        """(..., resize, resize, 3) -> its centre (..., size, size, 3), a view."""
        start = (self.resize - self.size) // 2
        stop = start + self.size
        return squares[..., start:stop, start:stop, :]

    def normalise(self, crops: Pixels) -> NDArray[np.float32]:
        """(..., size, size, 3) of 0..255 -> (..., 3, size, size), contiguous."""
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        scale = (1 / (255 * std)).astype(np.float32)
        shift = (-mean / std).astype(np.float32)
        planes = np.ascontiguousarray(np.moveaxis(crops, -1, -3), dtype=np.float32)
        planes *= scale[:, None, None]
        planes += shift[:, None, None]
        return planes

    def __call__(self, data: bytes) -> NDArray[np.float32]:
        """Encoded picture -> (3, size, size). Raises BadPicture."""
        return self.normalise(self.crop(self.square(decode(data, at_least=self.resize))))

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Preprocess":
        """The inverse of `to_dict`. Raises UserError that names a wrong field."""
        names = [field.name for field in fields(cls)]
        for name in record:
            if name not in names:
                raise UserError(f"preprocess has no field {name!r}{nearest(name, names)}")
        if missing := [name for name in names[:4] if name not in record]:
            raise UserError(f"preprocess lacks the field {missing[0]!r}")
        triples = {name: _triple(name, record[name]) for name in ("mean", "std")}
        return cls(**{**record, **triples})


def _triple(name: str, value: object) -> tuple[float, float, float]:
    if isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value)):
        return (float(value[0]), float(value[1]), float(value[2]))
    raise UserError(f"preprocess.{name} is {value!r}; three numbers are needed")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _check(record: Preprocess) -> None:
    for name in ("size", "resize"):
        pixels = getattr(record, name)
        if type(pixels) is not int or not 1 <= pixels <= 8192:
            raise UserError(f"preprocess.{name} is {pixels!r}; 1 to 8192 pixels are allowed")
    if record.resize < record.size:
        raise UserError(f"preprocess.resize is {record.resize}, less than size {record.size}")
    if min(record.std) <= 0:
        raise UserError(f"preprocess.std is {record.std}; each must be above 0")
    if record.interpolation not in RESAMPLING:
        raise UserError(
            f"preprocess.interpolation is {record.interpolation!r}; allowed: bilinear, bicubic"
        )
