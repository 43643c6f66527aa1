"""The optimiser step: SGD with momentum, and orthogonalised momentum for filters on request."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from deepen.nets.network import Network
from deepen.training.recipe import Recipe

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Pushes singular values towards 1 in few products (arXiv:2502.16982, section 2.1)."""
NEWTON_SCHULZ_STEPS = 3
FEATURES = 64
"""Of the networks of section 4.2, arXiv:1512.03385, before their last layer."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum on filters, each update made orthogonal (arXiv:2502.16982, section 2.1).

    Filters (c_out, c_in, k, k) are seen as matrices (c_out, c_in * k * k), one a group. They lie on
    the sphere of radius sqrt(c_out), where a norm follows them and their length has no meaning, and
    a step is `lr` of that radius: the angle that they turn is what the rate says.
    """

    def __init__(self, filters: list[Tensor], groups: list[int], settings: Recipe) -> None:
        values = {"lr": settings.filter_rate, "momentum": settings.filter_momentum}
        super().__init__([{"params": filters, "groups": groups, "share": 1}], values)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update; filters of equal shape are orthogonalised together."""
        for group in self.param_groups:
            alike: dict[tuple[torch.Size, int], list[Tensor]] = defaultdict(list)
            for filters, groups in zip(group["params"], group["groups"], strict=True):
                if filters.grad is not None:
                    alike[filters.shape, groups].append(filters)
            for (_, groups), same in alike.items():
                self._turn(same, groups, group["lr"], group["momentum"])

    def _turn(self, same: list[Tensor], groups: int, lr: float, momentum: float) -> None:
        directions = [self._direction(filters, momentum) for filters in same]
        rows = same[0].shape[0] // groups
        updates = orthogonal(torch.cat([d.reshape(groups, rows, -1) for d in directions]))
        updates *= (rows / min(updates.shape[1:])) ** 0.5
        for filters, update in zip(same, torch.split(updates, groups), strict=True):
            filters.mul_(filters.shape[0] ** 0.5 / filters.norm())
            filters.sub_(update.reshape(filters.shape), alpha=lr)

    def _direction(self, filters: Tensor, momentum: float) -> Tensor:
        assert filters.grad is not None
        if "momentum_buffer" not in self.state[filters]:
            self.state[filters]["momentum_buffer"] = torch.zeros_like(filters)
        buffer: Tensor = self.state[filters]["momentum_buffer"]
        buffer.mul_(momentum).add_(filters.grad)
        return filters.grad.add(buffer, alpha=momentum)


def orthogonal(matrices: Tensor) -> Tensor:
    """About the nearest (semi-)orthogonal matrices, by Newton-Schulz steps.

    Shapes: (n, a, b) -> (n, a, b).
    """
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    turned: Tensor = x.mT if tall else x
    return turned.contiguous()


def optimisers(net: Network, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """SGD for everything, or SGD for all but the filters and Muon for them.

    Each group of parameters has a `share` of its optimiser's rate.
    """
    sgd: dict[str, Any] = {
        "lr": recipe.learning_rate,
        "momentum": recipe.momentum,
        "nesterov": recipe.nesterov,
    }
    if recipe.optimiser == "sgd":
        whole = {"params": list(net.parameters()), "weight_decay": recipe.weight_decay, "share": 1}
        return [torch.optim.SGD([whole], **sgd)]
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    held = {id(p) for p in (*(m.weight for m in convolutions), net.fc.weight)}
    rest = {"params": [p for p in net.parameters() if id(p) not in held], "share": 1}
    # A step changes the outputs in proportion to the features that they add up (arXiv:2203.03466,
    # table 3): the rate was found on networks with 64 of them.
    share = min(1, FEATURES / net.fc.in_features)
    last = {"params": [net.fc.weight], "weight_decay": recipe.weight_decay, "share": share}
    return [torch.optim.SGD([rest, last], **sgd), _muon(convolutions, recipe)]


def _muon(convolutions: list[nn.Conv2d], recipe: Recipe) -> Muon:
    filters = [m.weight for m in convolutions]
    return Muon(filters, [m.groups for m in convolutions], recipe)
