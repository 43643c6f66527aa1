"""What training adds to pictures, as settings; `transform.py` does it."""

from dataclasses import dataclass
from typing import Literal

from deepen.errors import UserError

SCALE_TO = 480
"""Section 3.4 of arXiv:1512.03385: the shorter side is drawn from 256 to 480 pixels, then 224 are
cropped; of a square of 480 pixels this is a crop of between 224/480 and 224/256 of its side."""


@dataclass(frozen=True)
class Augment:
    """Changes of a training picture that leave its class alone."""

    crop: Literal["auto", "none", "shift", "resized", "scale"] = "auto"
    """shift: by up to `padding` pixels (1512.03385, section 4.2). resized: 35 to 100 % of the area
    (after 1409.4842, section 6). scale: of sides of 256 to 480 pixels (1512.03385, section 3.4).
    auto: shift up to 64 pixels, resized above."""
    padding: int = 4
    """Pixels that `shift` adds on each side of a 32-pixel picture; in proportion on others."""
    border: Literal["zero", "reflect"] = "zero"
    """What `shift` fills its border with."""
    flip: Literal["none", "random", "alternate"] = "random"
    """Mirror left to right: by chance, or every other epoch (2404.00498, section 3.6)."""
    randaugment: int = 0
    """Operations of RandAugment on each picture (1909.13719); 0: none."""
    erasing: float = 0.0
    """Probability that a rectangle is erased (1708.04896)."""
    mixup: float = 0.0
    """Alpha of mixup (1710.09412); 0: none."""
    cutmix: float = 0.0
    """Alpha of CutMix (1905.04899); 0: none. With mixup too, each batch draws one of them."""

    def __post_init__(self) -> None:
        if not 0 <= self.erasing <= 1:
            raise UserError(f"erasing is a probability from 0 to 1, found {self.erasing}")
        for name in ("padding", "randaugment", "mixup", "cutmix"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"{name} is at least 0, found {getattr(self, name)}")

    def stored(self, size: int, resize: int) -> int:
        """Side, in pixels, of the squares to crop from: what inference resizes to, or more."""
        return max(resize, round(size * SCALE_TO / 224)) if self.crop == "scale" else resize
