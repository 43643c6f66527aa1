"""Changes of training pictures: on the uint8 batch, so that they cost little.

All draws come from PyTorch's global generators, which the training loop seeds at each step.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from deepen.data.augment import SCALE_TO, Augment
from deepen.data.preprocess import Preprocess


def augment(settings: Augment, pixels: Tensor, size: int, phase: Tensor) -> Tensor:
    """Crop, flip and RandAugment.

    Shapes: pixels uint8 (n, 3, r, r), r >= size; phase int64 (n,): the picture's number plus the
    epoch, whose parity says whether `alternate` mirrors -> uint8 (n, 3, size, size).
    """
    pixels = _flip(settings, _crop(settings, pixels, size), phase)
    return _randaugment(settings.randaugment, pixels) if settings.randaugment else pixels


def normalise(preprocess: Preprocess, pixels: Tensor) -> Tensor:
    """Shapes: uint8 (n, 3, s, s) -> float, the same, channels last."""
    size = pixels.shape[-1]
    lines = pixels.permute(0, 2, 3, 1).reshape(-1, 3 * size).float()
    # Whole lines of pixels: to repeat three numbers along the memory is slow.
    mean, std = (lines.new_tensor(x).repeat(size) for x in (preprocess.mean, preprocess.std))
    lines.sub_(255 * mean).div_(255 * std)
    return lines.view(-1, size, size, 3).permute(0, 3, 1, 2)


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
    """Each picture's window at an offset of its own, copied line by line."""
    padded = _padded(pixels.permute(0, 2, 3, 1), padding, border)
    n, side = padded.shape[:2]
    span = side - size + 1
    offset = torch.randint(span * span, (n,)).to(pixels.device)
    place = torch.arange(n, device=pixels.device) * side + offset // span
    lines = (place[:, None] + torch.arange(size, device=pixels.device)) * side
    starts = (lines + (offset % span)[:, None]).flatten()
    # Every run of `size` pixels in the batch, as rows that overlap in memory.
    runs = padded.as_strided((n * side * side - size + 1, 3 * size), (3, 1))
    return runs.index_select(0, starts).view(n, size, size, 3).permute(0, 3, 1, 2)


def _padded(squares: Tensor, padding: int, border: str) -> Tensor:
    """Shapes: (n, r, r, 3) -> (n, r + 2 padding, r + 2 padding, 3), contiguous."""
    if border == "zero":
        return F.pad(squares, (0, 0) + (padding,) * 4)
    wide = F.pad(squares, (0, 0, padding, padding))
    for i in range(padding):
        wide[:, :, i] = squares[:, :, padding - i]
        wide[:, :, -1 - i] = squares[:, :, i - 1 - padding]
    side = squares.shape[1]
    at = torch.arange(-padding, side + padding, device=squares.device).abs()
    return wide.index_select(1, torch.minimum(at, 2 * (side - 1) - at))


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
    chosen = chance.nonzero()[:, 0].to(pixels.device)
    squares = pixels.permute(0, 2, 3, 1)  # as they lie in memory: whole pictures are copied
    mirrored = squares.index_select(0, chosen).flip(2)
    place = torch.arange(len(squares), device=pixels.device)
    place[chosen] = len(squares) + torch.arange(len(chosen), device=pixels.device)
    return torch.cat([squares, mirrored]).index_select(0, place).permute(0, 3, 1, 2)


def _randaugment(operations: int, pixels: Tensor) -> Tensor:
    from torchvision.transforms import v2

    change = v2.RandAugment(operations)
    return torch.stack([change(picture) for picture in pixels])
