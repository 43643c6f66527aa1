"""The optimiser step: SGD with momentum, and orthogonalised momentum for filters on request."""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from deepen.training.recipe import Recipe

# A quintic that pushes singular values towards 1 in few products (arXiv:2502.16982, section 2.1).
QUINTIC = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 3


class Muon(torch.optim.Optimizer):
    """Momentum on filters, each update made orthogonal, each filter's norm kept at sqrt(c_out).

    The published method on convolutions seen as matrices (c_out, c_in * k * k). Keeping the norm
    fixes the ratio of rate to weight, which a norm after the convolution makes the only thing that
    counts.
    """

    def __init__(self, filters: Iterable[nn.Parameter], lr: float, momentum: float) -> None:
        super().__init__(filters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update; filters of equal shape are orthogonalised together."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for filters in group["params"]:
                by_shape[filters.shape].append(filters)
            for same in by_shape.values():
                self._update(same, group["lr"], group["momentum"])

    def _update(self, same: list[nn.Parameter], lr: float, momentum: float) -> None:
        directions = [self._momentum(filters, momentum) for filters in same]
        updates = orthogonal(torch.stack([d.flatten(1) for d in directions]))
        for filters, update in zip(same, updates, strict=True):
            filters.mul_(filters.shape[0] ** 0.5 / filters.norm())
            filters.add_(update.view_as(filters), alpha=-lr)

    def _momentum(self, filters: nn.Parameter, momentum: float) -> Tensor:
        if "momentum_buffer" not in self.state[filters]:
            self.state[filters]["momentum_buffer"] = torch.zeros_like(filters)
        assert filters.grad is not None
        buffer: Tensor = self.state[filters]["momentum_buffer"]
        buffer.mul_(momentum).add_(filters.grad)
        return filters.grad.add(buffer, alpha=momentum)


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrices, roughly, by Newton-Schulz steps.

    Shapes: (n, a, b) -> (n, a, b).
    """
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result


def optimisers(net: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """SGD for everything, or Muon for the filters and SGD for the rest."""
    filters = [p for p in net.parameters() if p.ndim == 4] if recipe.optimiser == "muon" else []
    held = {id(p) for p in filters}
    rest = [p for p in net.parameters() if id(p) not in held]
    sgd = torch.optim.SGD(
        rest,
        recipe.learning_rate,
        recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    return [sgd, Muon(filters, recipe.filter_rate, recipe.filter_momentum)] if filters else [sgd]
