"""How many pictures a second does one core load, beside torchvision's ImageFolder?

    python bench/load.py [--pictures 10000] [--quick]

From files to normalised batches, cropped and mirrored; one core and one thread for every side, a
worker included. All files have been read before, so no disk is measured.

- CIFAR-10 as a folder of PNG files ($DEEPEN_DATA/cifar10; the built-in pictures where that is not
  set), crops of up to 4 pixels. The peer as shipped is ImageFolder with the transforms of every
  tutorial; with its best flags it decodes to tensors, works in uint8 and normalises whole batches.
- Photographs of 12 megapixels, crops as for ImageNet. The peer as shipped decodes all of a picture;
  its best flags are v2 transforms of tensors; a loader of one's own may let Pillow decode a part.
- deepen's first epoch checks, decodes and packs; the later ones read what was packed. Sets too
  large for that are streamed: decoded again in each epoch.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.io import decode_image
from torchvision.transforms import v2

from deepen.data.loader import Pictures, shuffled
from deepen.data.pack import Streamed
from deepen.data.ready import ready, usual_side
from deepen.data.source import Source, read
from deepen.model.machine import choose
from deepen.model.options import Machine
from deepen.nets.network import network
from deepen.nets.spec import Spec
from deepen.training.job import fitted
from deepen.training.recipe import RECIPES, RecipeName
from deepen.training.size import preprocessing
from deepen.training.step import Task, prepared
from deepen.watch import silent
from side_by_side import Effort, Flags, Group, Side, begin, cifar10, run, show

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
HEIGHT, WIDTH = 3024, 4032
"""Of a photograph: 12 megapixels, as telephones take them."""
SHIFT = 256
"""Photographs differ by being cut from one scene that is so many pixels larger."""

Transform = Callable[[Any], Any]


def main(
    *,
    flags: Flags = Flags(),  # noqa: B008 - frozen
    rounds: int = 5,
    pictures: int = 10_000,
    photographs: int = 40,
) -> None:
    """Pictures a second through one core, side by side.

    Parameters
    ----------
    rounds
        How often each side is measured.
    pictures
        Small ones.
    photographs
        Of 12 megapixels.
    """
    if flags.quick:
        pictures, photographs = 400, 4
    effort = Effort(1, 0.0) if flags.quick else Effort(rounds, 1.0)
    since = begin(flags, threads=1)
    # PyTorch says that decode_image will go; and of one core, that a worker is too many.
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as folder:
        show(groups(Path(folder), pictures, photographs), effort, since)


def groups(folder: Path, pictures: int, photographs: int) -> Iterator[Group]:
    """Each with files of its own."""
    small, size = write_small(folder / "small", pictures)
    title = f"{pictures:,} PNG files of {size}x{size} pixels"
    yield Group(title, [*small_peers(small, size), *deepens(small, size, "cifar", 128)])
    large = write_photographs(folder / "large", photographs)
    title = f"{photographs} JPEG files of {WIDTH}x{HEIGHT} pixels, seen at 224x224"
    sides = deepens(large, 224, "fast", batch=photographs // 2)
    streaming = streamed(large, 224, "fast", batch=photographs // 2)
    yield Group(title, [*large_peers(large, batch=photographs // 2), *sides, streaming])


def write_small(folder: Path, pictures: int) -> tuple[Path, int]:
    """A folder of class folders, and the side of its pictures."""
    data = cifar10()
    source = Source(str(data) if data else None, validation=0, limit=pictures)
    table = read(source, seed=0)
    split = table.splits["train"]
    for name in table.classes:
        (folder / name.replace("/", "-")).mkdir(parents=True)
    for index, label in enumerate(split.labels):
        name = table.classes[label].replace("/", "-")
        (folder / name / f"{index}.png").write_bytes(split.pictures[index])
    return folder, usual_side(table)


def write_photographs(folder: Path, count: int) -> Path:
    """Two classes of JPEG files, each another part of one scene."""
    draws = np.random.default_rng(0)
    whole = scene(draws)
    for index in range(count):
        top, left = draws.integers(SHIFT, size=2)
        path = folder / "ab"[index % 2] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = whole[top : top + HEIGHT, left : left + WIDTH]
        Image.fromarray(part).save(path, quality=90)
    return folder


def scene(draws: np.random.Generator) -> NDArray[np.uint8]:
    """Gradients from large to small, the smaller the weaker, as in nature, and a sensor's noise."""
    height, width = HEIGHT + SHIFT, WIDTH + SHIFT
    whole = draws.normal(128, 4, (height, width, 1)).astype(np.float32)
    whole = np.repeat(whole, 3, axis=2)
    for cells in (4, 16, 64, 256, 1024):
        coarse = draws.standard_normal((3, cells, cells), np.float32) * 60 * (4 / cells) ** 0.75
        fine = [
            Image.fromarray(c).resize((width, height), Image.Resampling.BICUBIC) for c in coarse
        ]
        whole += np.stack([np.asarray(channel) for channel in fine], axis=2)
    return whole.clip(0, 255).astype(np.uint8)


def small_peers(folder: Path, size: int) -> list[Side]:
    """As tutorials have it, and as fast as it goes, without and with a worker."""
    shipped = transforms.Compose(
        [
            transforms.RandomCrop(size, 4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    quick = v2.Compose([v2.RandomCrop(size, 4), v2.RandomHorizontalFlip()])
    plain = ImageFolder(str(folder), shipped)
    tensors = ImageFolder(str(folder), quick, loader=tensor)
    batch = min(512, len(plain) // 2)
    return [
        Side("ImageFolder + DataLoader", epochs(plain, 128)),
        Side("the same, uint8 tensors, normalised by the batch", epochs(tensors, 128, by_batch)),
        Side(
            f"the same, a worker that stays, batch {batch}",
            epochs(tensors, batch, by_batch, num_workers=1, persistent_workers=True),
        ),
    ]


def large_peers(folder: Path, batch: int) -> list[Side]:
    """As in PyTorch's ImageNet example, with transforms of tensors, with Pillow decoding less."""
    shipped = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    resized = transforms.Compose([transforms.Resize(256), shipped])
    quick = v2.Compose([v2.RandomResizedCrop(224, antialias=True), v2.RandomHorizontalFlip()])
    path = str(folder)
    return [
        Side("ImageFolder + DataLoader", epochs(ImageFolder(path, shipped), batch)),
        Side("the same, resized to 256 first", epochs(ImageFolder(path, resized), batch)),
        Side(
            "the same, uint8 tensors, normalised by the batch",
            epochs(ImageFolder(path, quick, loader=tensor), batch, by_batch),
        ),
        Side(
            "the same, a loader of one's own: Pillow's draft, 256",
            epochs(ImageFolder(path, resized, loader=drafted), batch),
        ),
    ]


def tensor(path: str) -> Tensor:
    """Decode without Pillow."""
    pixels: Tensor = decode_image(path, mode="RGB")
    return pixels


def drafted(path: str) -> Image.Image:
    """Let the JPEG decoder leave out what 256 pixels do not show."""
    with Image.open(path) as image:
        image.draft("RGB", (256, 256))
        return image.convert("RGB")


by_batch = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])


def epochs(
    pictures: ImageFolder, batch: int, then: Transform = lambda images: images, **options: Any
) -> Callable[[], float]:
    """What goes through one epoch of a DataLoader and counts."""
    loader = DataLoader(pictures, batch, shuffle=True, drop_last=True, **options)
    return lambda: sum(len(then(images)) for images, _ in loader)


def deepens(folder: Path, size: int, recipe: RecipeName, batch: int) -> list[Side]:
    """The first epoch, with an empty cache, and the ones after it."""
    task = task_of(size, recipe, batch)

    def first() -> float:
        with empty_cache():
            return epoch(task, packed(folder, task))

    with empty_cache():
        kept = packed(folder, task)
    return [
        Side("deepen, first epoch: checked, decoded, packed", first),
        Side("deepen, later epochs", lambda: epoch(task, kept)),
    ]


def streamed(folder: Path, size: int, recipe: RecipeName, batch: int) -> Side:
    """Every epoch of a set that is not packed."""
    task = task_of(size, recipe, batch)
    split = read(Source(str(folder), validation=0), seed=0).splits["train"]
    pictures = Streamed(split, task.preprocess, task.machine.workers)
    return Side("deepen, every epoch of a set too large to pack", lambda: epoch(task, pictures))


def task_of(size: int, recipe: RecipeName, batch: int) -> Task:
    """What `prepared` works on; the least of networks, which it does not use."""
    machine = choose(Machine(device="cpu", threads=1, workers=1), training=True)
    settled = fitted(replace(RECIPES[recipe], batch=batch), size, batch)
    return Task(network(Spec((1,))), settled, preprocessing(size), machine, None, classes=10)


def packed(folder: Path, task: Task) -> Pictures:
    """What a training does with pictures before its first step."""
    table = read(Source(str(folder), validation=0), seed=0)
    stored = task.recipe.augment.stored(task.preprocess.size, task.preprocess.resize)
    return ready(table, task.preprocess, stored, task.machine.workers, silent).train


def epoch(task: Task, pictures: Pictures) -> float:
    """Batches as a training step gets them; the number of their pictures."""
    batches = shuffled(pictures, task.recipe.batch, seed=0, epoch=0)
    return sum(len(prepared(task, batch, epoch=0)[0]) for batch in batches)


@contextmanager
def empty_cache() -> Iterator[None]:
    """Let deepen find nothing packed; what is mapped stays readable afterwards."""
    with TemporaryDirectory() as folder:
        os.environ["DEEPEN_CACHE"] = folder
        yield


if __name__ == "__main__":
    run(main)
