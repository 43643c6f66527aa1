"""What a stopped training needs to go on with the same bits: tensors, and where it stands."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from deepen.model import checkpoint
from deepen.nets.network import Network
from deepen.training.optimiser import optimisers
from deepen.training.recipe import Recipe
from deepen.training.step import Diverged, Result


@dataclass
class Progress:
    """Where a training stands; JSON."""

    step: int = 0
    """Steps done."""
    epoch: int = 0
    """Epochs done, their validation included."""
    seconds: float = 0.0
    """Spent training so far, pauses between interruption and resuming excluded."""
    epoch_seconds: float = 0.0
    """Spent on this epoch's steps."""
    loss: float = 0.0
    """Sum over the pictures of this epoch."""
    wrong: int = 0
    """Training pictures of this epoch, as augmented, that were called something else."""
    seen: int = 0
    """Training pictures of this epoch."""
    best_error: float | None = None
    """Lowest validation error so far, as a fraction."""
    best_epoch: int = 0
    """Epochs done when it was reached."""

    def add(self, result: Result, pictures: int, seconds: float) -> None:
        """Count one step."""
        self.step += 1
        self.seconds += seconds
        self.epoch_seconds += seconds
        self.loss += result.loss * pictures
        self.wrong += result.wrong
        self.seen += pictures

    def next_epoch(self, lower_error: float | None) -> None:
        """Close an epoch; `lower_error` where its validation error is the lowest so far."""
        self.epoch += 1
        self.loss, self.epoch_seconds, self.wrong, self.seen = 0.0, 0.0, 0, 0
        if lower_error is not None:
            self.best_error, self.best_epoch = lower_error, self.epoch


@dataclass
class State:
    """Everything that changes while training."""

    network: Network
    optimisers: list[torch.optim.Optimizer]
    average: AveragedModel | None
    progress: Progress = field(default_factory=Progress)

    @property
    def best_guess(self) -> Network:
        """The network to evaluate and to save: the average of the weights where there is one."""
        if self.average is None:
            return self.network
        averaged: Network = self.average.module  # type: ignore[assignment]
        return averaged

    def follow(self) -> None:
        """Let the average, where there is one, follow the weights."""
        if self.average is not None:
            self.average.update_parameters(self.network)

    def refuse_overflow(self) -> None:
        """Raises Diverged if a weight is not finite: nothing good is to be written over."""
        if not torch.isfinite(torch.nn.utils.get_total_norm(self.network.parameters())):
            raise Diverged("the weights overflowed in the last step; try a lower --learning-rate")

    def save(self, path: Path) -> None:
        """Durably, without pickle; raises UserError if it cannot, and Diverged."""
        self.refuse_overflow()
        checkpoint.write(path, self._tensors(), {"progress": asdict(self.progress)})

    def restore(self, path: Path) -> None:
        """Take up what `save` wrote; raises UserError for a damaged file."""
        tensors, facts = checkpoint.read(path)
        self.progress = Progress(**facts["progress"])
        self.network.load_state_dict(_under("network.", tensors))
        if self.average is not None:
            self.average.load_state_dict(_under("average.", tensors))
        for number, optimiser in enumerate(self.optimisers):
            _restore_optimiser(optimiser, _under(f"optimiser{number}.", tensors))

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        if self.average is not None:
            averaged = self.average.state_dict()
            tensors |= {f"average.{name}": t for name, t in averaged.items()}
        for number, optimiser in enumerate(self.optimisers):
            for index, values in optimiser.state_dict()["state"].items():
                for name, value in values.items():
                    if value is not None:
                        tensors[f"optimiser{number}.{index}.{name}"] = value
        return tensors


def begin(network: Network, recipe: Recipe) -> State:
    """The state before the first step."""
    average = None
    if recipe.average:
        smoothing = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]
        average = AveragedModel(network, multi_avg_fn=smoothing, use_buffers=True)
    return State(network, optimisers(network, recipe), average)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
