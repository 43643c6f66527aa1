"""One thread of PyTorch's, and a small model that has something to say about pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from deepen.data.preprocess import Preprocess
from deepen.model.model import Model, new
from deepen.nets.network import Network
from deepen.nets.spec import Spec

SIZE = 12
CLASSES = ("red", "blue", "green")
"""Not in alphabetical order: a folder's classes are."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Shelf:
    """Pictures on a disk, and a model beside them."""

    root: Path

    @property
    def model(self) -> Path:
        return self.root / "model.safetensors"

    def picture(self, name: str, seed: int, shape: tuple[int, int] = (SIZE, SIZE)) -> Path:
        """A picture of noise with a colour of its own; losslessly stored."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draws = np.random.default_rng(seed)
        tint = draws.integers(0, 200, 3)
        pixels = (tint + draws.integers(0, 56, (*shape, 3))).astype(np.uint8)
        Image.fromarray(pixels).save(path, "PNG")
        return path

    def folder(self, name: str, classes: tuple[str, ...], each: int = 5) -> Path:
        """A folder of class folders."""
        for place, label in enumerate(classes):
            for index in range(each):
                self.picture(f"{name}/{label}/{index}.png", 100 * place + index)
        return self.root / name


def small_model(spec: Spec | None = None, size: int = SIZE) -> Model:
    """Untrained, but with norms that spread its answers over all classes."""
    model = new(
        spec or Spec((1, 1), width=8, classes=len(CLASSES)),
        CLASSES,
        Preprocess(size, size, (0.4, 0.4, 0.4), (0.25, 0.25, 0.25)),
        seed=4,
    )
    generator = torch.Generator().manual_seed(0)
    for module in model.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, 0, 0.5, generator=generator)
    _spread(model.network)
    return model


@torch.no_grad()
def _spread(network: Network) -> None:
    """Turn the head so that plain colours are called this as often as that."""
    network.eval()
    colours = torch.rand(200, 3, 1, 1, generator=torch.Generator().manual_seed(1)) * 4 - 1.6
    logits = network(colours.expand(-1, -1, SIZE, SIZE))
    scale = 2 / logits.std(0)
    network.fc.weight.mul_(scale[:, None])
    network.fc.bias.copy_(-logits.mean(0) * scale)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path)
    small_model().save(shelf.model)
    return shelf
