"""Changes of training pictures: on the uint8 batch, so that they cost little.

All draws come from PyTorch's global generators, which the training loop seeds at each step.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from deepen.data.augment import SCALE_TO, Augment


def augment(settings: Augment, pixels: Tensor, size: int, phase: Tensor) -> Tensor:
    """Crop, flip and RandAugment.

    Shapes: pixels uint8 (n, 3, r, r), r >= size; phase int64 (n,): the picture's number plus the
    epoch, whose parity says whether `alternate` mirrors -> uint8 (n, 3, size, size).
    """
    pixels = _flip(settings, _crop(settings, pixels, size), phase)
    return _randaugment(settings.randaugment, pixels) if settings.randaugment else pixels


def mix(settings: Augment, images: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Erasing, mixup and CutMix.

    Shapes: images float (n, 3, s, s), labels int64 (n,) -> images and labels, these as
    probabilities (n, classes) where pictures were mixed.
    """
    from torchvision.transforms import v2

    if settings.erasing:
        erase = v2.RandomErasing(settings.erasing)
        images = torch.stack([erase(image) for image in images])
    choices = [
        kind(alpha=alpha, num_classes=classes)
        for kind, alpha in ((v2.MixUp, settings.mixup), (v2.CutMix, settings.cutmix))
        if alpha
    ]
    if choices:
        images, labels = v2.RandomChoice(choices)(images, labels)
    return images, labels


def _crop(settings: Augment, pixels: Tensor, size: int) -> Tensor:
    match settings.crop:
        case "auto" | "none":
            edge = (pixels.shape[-1] - size) // 2
            return pixels[:, :, edge : edge + size, edge : edge + size]
        case "shift":
            return _shifted(pixels, size, round(settings.padding * size / 32), settings.border)
        case "resized":
            return _resized(pixels, size, area=(0.35, 1.0), ratio=(3 / 4, 4 / 3))
        case "scale":
            sides = (size / pixels.shape[-1], size / pixels.shape[-1] * SCALE_TO / 256)
            return _resized(pixels, size, area=(sides[0] ** 2, sides[1] ** 2), ratio=(1.0, 1.0))


def _shifted(pixels: Tensor, size: int, padding: int, border: str) -> Tensor:
    """Each picture's window at an offset of its own; pictures of equal offset are cut together."""
    padded = _padded(pixels, padding, border)
    span = padded.shape[-1] - size + 1
    offset = torch.randint(span * span, (len(pixels),)).to(pixels.device)
    out = pixels.new_empty((len(pixels), size, size, 3)).permute(0, 3, 1, 2)
    for number in range(span * span):
        top, left = divmod(number, span)
        chosen = offset == number
        out[chosen] = padded[chosen, :, top : top + size, left : left + size]
    return out


def _padded(pixels: Tensor, padding: int, border: str) -> Tensor:
    if border == "zero":
        return F.pad(pixels, (padding,) * 4)
    side = pixels.shape[-1]
    at = torch.arange(-padding, side + padding, device=pixels.device).abs()
    at = torch.minimum(at, 2 * (side - 1) - at)
    return pixels[:, :, at][:, :, :, at]


def _resized(
    pixels: Tensor, size: int, area: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    from torchvision.transforms import v2

    crop = v2.RandomResizedCrop(size, scale=area, ratio=ratio, antialias=True)
    return torch.stack([crop(picture) for picture in pixels])


def _flip(settings: Augment, pixels: Tensor, phase: Tensor) -> Tensor:
    if settings.flip == "none":
        return pixels
    chance = torch.rand(len(pixels)) < 0.5 if settings.flip == "random" else phase % 2 == 0
    return torch.where(chance.to(pixels.device)[:, None, None, None], pixels.flip(3), pixels)


def _randaugment(operations: int, pixels: Tensor) -> Tensor:
    from torchvision.transforms import v2

    change = v2.RandAugment(operations)
    return torch.stack([change(picture) for picture in pixels])
