"""One training step, from pictures to changed weights; nothing changes if the numbers are not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepen.data.loader import Batch
from deepen.data.preprocess import Preprocess
from deepen.data.transform import augment, mix, normalise
from deepen.errors import UserError
from deepen.model.machine import Chosen
from deepen.nets.network import Network
from deepen.training.recipe import Recipe


class Diverged(UserError):  # noqa: N818 - what happened, as in the paper
    """The loss or a gradient is not finite; weights and norms are as before the step."""


@dataclass(frozen=True)
class Result:
    """Of one step."""

    loss: float
    """Mean over the batch."""
    wrong: int
    """Pictures of the batch, as augmented, whose most likely class is not theirs."""
    gradient: float
    """Norm of the whole gradient, before any clipping."""


@dataclass(frozen=True)
class Task:
    """What a step works on."""

    network: Network
    recipe: Recipe
    preprocess: Preprocess
    machine: Chosen
    weights: Tensor | None
    """Of each class in the loss, shape (classes,); None: alike."""
    classes: int

    @cached_property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """The network, compiled if the machine is to."""
        return torch.compile(self.network) if self.machine.compile else self.network


def step(task: Task, optimisers: list[torch.optim.Optimizer], batch: Batch, epoch: int) -> Result:
    """Forward, loss, back-propagation, update. Draws come from the global generator, seeded before.

    Raises Diverged, before anything is changed, if the loss or the gradient is not finite.
    """
    images, labels = prepared(task, batch, epoch)
    statistics = [buffer.clone() for buffer in task.network.buffers()]
    loss, wrong = _backward(task, images, labels)
    parameters, total = list(task.network.parameters()), torch.nn.utils.get_total_norm
    gradient = total([p.grad for p in parameters if p.grad is not None])
    spread = total([b for b in task.network.buffers() if b.is_floating_point()])
    if not torch.isfinite(loss + gradient + spread):
        _restore(task.network, statistics)
        raise Diverged(_reason(task, images, float(loss)))
    if task.recipe.clip:
        nn.utils.clip_grads_with_norm_(parameters, task.recipe.clip, gradient)
    for optimiser in optimisers:
        optimiser.step()
        optimiser.zero_grad()
    return Result(float(loss), int(wrong), float(gradient))


def prepared(task: Task, batch: Batch, epoch: int) -> tuple[Tensor, Tensor]:
    """A batch augmented and normalised on the device, and its labels; mixed where asked for."""
    settings, preprocess = task.recipe.augment, task.preprocess
    pixels = task.machine.images(torch.from_numpy(batch.pixels).permute(0, 3, 1, 2))
    phase = torch.from_numpy(batch.indices) + epoch
    pixels = augment(settings, pixels, preprocess.size, phase)
    images = task.machine.images(normalise(preprocess, pixels))
    labels = torch.from_numpy(batch.labels).to(task.machine.device)
    if settings.mixup or settings.cutmix or settings.erasing:
        return mix(settings, images, labels, task.classes)
    return images, labels


def _backward(task: Task, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the mean loss, in as many parts as the recipe says: (loss, number wrong)."""
    parts = task.recipe.accumulate
    loss, wrong = images.new_zeros(()), labels.new_zeros((), dtype=torch.int64)
    weighted = task.weights is not None and labels.ndim == 1
    whole = task.weights[labels].sum() if weighted else len(images)  # type: ignore[index]
    for x, y in zip(images.chunk(parts), labels.chunk(parts), strict=True):
        with task.machine.autocast():
            logits = task.forward(x)
        smoothing = task.recipe.label_smoothing
        part = F.cross_entropy(
            logits.float(), y, task.weights, reduction="sum", label_smoothing=smoothing
        )
        part = part / whole
        part.backward()  # type: ignore[no-untyped-call]
        truth = y if y.ndim == 1 else y.argmax(1)
        loss, wrong = loss + part.detach(), wrong + (logits.argmax(1) != truth).sum()
    return loss, wrong


def _restore(network: nn.Module, statistics: list[Tensor]) -> None:
    with torch.no_grad():
        for buffer, before in zip(network.buffers(), statistics, strict=True):
            buffer.copy_(before)
    network.zero_grad()


def _reason(task: Task, images: Tensor, loss: float) -> str:
    where = first_not_finite(task, images) or "the gradient"
    rate = task.recipe.learning_rate
    return (
        f"the numbers overflowed: loss {loss:g}, first not finite in {where}; "
        f"try a --learning-rate below {rate:g}, or --clip 1"
    )


def first_not_finite(task: Task, images: Tensor) -> str | None:
    """Name of the first weight, or else of the first layer's output, that is not finite."""
    for name, parameter in task.network.named_parameters():
        if not parameter.isfinite().all():
            return name
    found: list[str] = []

    def note(name: str, output: Tensor) -> None:
        if not output.isfinite().all():
            found.append(name)

    handles = [
        module.register_forward_hook(lambda _module, _input, output, name=name: note(name, output))
        for name, module in task.network.named_modules()
        if not list(module.children())
    ]
    statistics = [buffer.clone() for buffer in task.network.buffers()]
    with torch.no_grad(), task.machine.autocast():
        task.network(images)
    _restore(task.network, statistics)
    for handle in handles:
        handle.remove()
    return found[0] if found else None
