"""How many images a second does training take, beside a plain loop and beside the processor's roof?

    python bench/train.py [--compile] [--quick]

ResNet-20 and ResNet-56 on pictures of 32 pixels, ResNet-50 on 224 pixels; the processor alone.

- The peer as shipped: an eager fp32 loop with SGD around torchvision's ResNet-50, or around the
  paper's CIFAR network made of torchvision's blocks. Its batch lies ready: normalised, no crops.
- The peer with its best flags: bf16 autocast, channels last, fused SGD; compiled with --compile.
- deepen: its own step with the paper's recipe, augmentation included, from a uint8 batch; then with
  what it does unless told otherwise (recipe `fast`, its batch).
- The roof: large matrix products as fast as PyTorch does them here, at three forward passes of
  multiply-adds an image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from cyclopts import Parameter
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.resnet import BasicBlock

from deepen.data.loader import Batch
from deepen.model.machine import choose
from deepen.model.model import new
from deepen.model.options import Machine
from deepen.nets.block import Pad
from deepen.nets.cost import cost
from deepen.nets.zoo import published
from deepen.training.job import fitted
from deepen.training.optimiser import optimisers
from deepen.training.recipe import RECIPES, Recipe, RecipeName
from deepen.training.size import preprocessing
from deepen.training.step import Task, step
from side_by_side import Effort, Flags, Group, Side, begin, run, show

Precision = Literal["fp32", "bf16"]

SIDE = 1024
"""Of the matrices whose product is the roof."""
TRAINING_SET = 50_000
"""Pictures for which `fast` chooses its batch."""


@dataclass(frozen=True)
class Case:
    """A network, and how it is trained."""

    network: str
    recipe: RecipeName
    batch: int
    size: int


CASES = (
    Case("cifar-resnet20", "cifar", 128, 32),
    Case("cifar-resnet56", "cifar", 128, 32),
    Case("resnet50", "imagenet", 16, 224),
)
QUICK = (Case("cifar-resnet20", "cifar", 8, 32), Case("resnet50", "imagenet", 2, 64))


class CifarResNet(nn.Sequential):
    """Section 4.2 of arXiv:1512.03385 from torchvision's blocks, as people write it."""

    def __init__(self, depth: int) -> None:
        blocks: list[nn.Module] = []
        for c_in, c_out, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
            pad = Pad(c_in, c_out, stride) if stride > 1 else None
            blocks.append(BasicBlock(c_in, c_out, stride, pad))
            blocks += [BasicBlock(c_out, c_out) for _ in range((depth - 2) // 6 - 1)]
        stem = (nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
        super().__init__(*stem, *blocks, *head)


def main(
    *,
    flags: Flags = Flags(),  # noqa: B008 - frozen
    rounds: int = 7,
    threads: int | None = None,
    compiled: Annotated[bool, Parameter(name="--compile")] = False,
) -> None:
    """Images a second of training, side by side.

    Parameters
    ----------
    rounds
        How often each side is measured.
    threads
        Cores to use; all there are unless told otherwise.
    compiled
        Also the peer with torch.compile, which takes minutes.
    """
    effort = Effort(1, 0.0) if flags.quick else Effort(rounds, 2.0)
    since = begin(flags, threads)
    show(groups(QUICK if flags.quick else CASES, compiled, flags.quick), effort, since)


def groups(cases: tuple[Case, ...], compiled: bool, quick: bool) -> Iterator[Group]:
    """One for each case, built when its turn comes."""
    for case in cases:
        depth = published(case.network).spec.depth
        title = f"ResNet-{depth}, {case.size}x{case.size} pixels, batch {case.batch}"
        pictures = 20 * case.batch if quick else TRAINING_SET
        paper = replace(RECIPES[case.recipe], batch=case.batch)
        fast = fitted(RECIPES["fast"], case.size, pictures)
        sides = [
            eager(case),
            flagged(case, compiled=False),
            *([flagged(case, compiled=True)] if compiled else []),
            deepens(case, paper, "fp32", "deepen, fp32"),
            deepens(case, paper, "bf16", "deepen, bf16"),
            deepens(case, fast, "bf16", f"deepen, bf16, recipe fast, batch {fast.batch}"),
            roof(case, torch.float32, SIDE // 8 if quick else SIDE),
            roof(case, torch.bfloat16, SIDE // 8 if quick else SIDE),
        ]
        yield Group(title, sides)


def peer(case: Case) -> nn.Module:
    """Torchvision's network, in training."""
    spec = published(case.network).spec
    return (CifarResNet(spec.depth) if spec.stem == "cifar" else resnet50()).train()


def ready_batch(case: Case) -> tuple[Tensor, Tensor]:
    """Normalised images, and labels."""
    images = torch.randn(case.batch, 3, case.size, case.size)
    return images, torch.randint(published(case.network).spec.classes, (case.batch,))


def eager(case: Case) -> Side:
    """A loop as tutorials have it."""
    net, (images, labels) = peer(case), ready_batch(case)
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)

    def work() -> float:
        optimiser.zero_grad()
        F.cross_entropy(net(images), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return case.batch

    return Side("eager fp32 loop, torchvision's blocks", work)


def flagged(case: Case, *, compiled: bool) -> Side:
    """The same loop with every flag that makes it faster."""
    net, (images, labels) = peer(case), ready_batch(case)
    net = net.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)
    forward = torch.compile(net) if compiled else net
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, fused=True)

    def work() -> float:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            logits = forward(images)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return case.batch

    return Side("the same, bf16, channels last, fused SGD" + ", compiled" * compiled, work)


def deepens(case: Case, recipe: Recipe, precision: Precision, name: str) -> Side:
    """deepen's step on a batch of noise, as stored."""
    task, batch = task_of(case, recipe, precision), noise(case, recipe)
    changes = optimisers(task.network, task.recipe)

    def work() -> float:
        step(task, changes, batch, epoch=0)
        return recipe.batch

    return Side(name, work)


def task_of(case: Case, recipe: Recipe, precision: Precision) -> Task:
    """What training works on, put together as for a run."""
    machine = choose(
        Machine(device="cpu", precision=precision, threads=torch.get_num_threads()), training=True
    )
    spec, preprocess = published(case.network).spec, preprocessing(case.size)
    classes = tuple(str(number) for number in range(spec.classes))
    model = new(spec, classes, preprocess)
    machine.place(model.network.train())
    settled = fitted(recipe, case.size, recipe.batch)
    return Task(model.network, settled, preprocess, machine, None, len(classes))


def noise(case: Case, recipe: Recipe) -> Batch:
    """As many pictures as the recipe's batch, of the size that its crops are taken from."""
    draws = np.random.default_rng(0)
    n, side = recipe.batch, recipe.augment.stored(case.size, preprocessing(case.size).resize)
    pixels = draws.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    return Batch(np.arange(n), pixels, draws.integers(0, published(case.network).spec.classes, n))


def roof(case: Case, kind: torch.dtype, side: int) -> Side:
    """Images a second if all were matrix products: an image is three forward passes of them."""
    left, right = torch.randn(2, side, side).to(kind)
    image = 3 * cost(published(case.network).spec, case.size).multiply_adds

    def work() -> float:
        torch.mm(left, right)
        return side**3 / image

    return Side(f"roof: {str(kind).removeprefix('torch.')} products alone", work)


if __name__ == "__main__":
    run(main)
