"""Counted costs are what PyTorch computes and what autograd keeps, to the last value."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from deepen.errors import UserError
from deepen.nets.cost import cost, stage_costs
from deepen.nets.network import Network, network
from deepen.nets.spec import BlockKind, Option, Order, Spec, Stem
from deepen.nets.zoo import published

BATCH = 7
"""No layer has so many channels, so a tensor whose first side this is belongs to the batch."""

ODD = 27
"""Pixels a side: halving rounds up at each stage."""
OPTIONS: tuple[Option | None, ...] = ("A", "B", "C", None)
EVERY_KIND = [
    Spec((2, 1, 2), stem, block, shortcut, order, width=8, classes=5)
    for stem in get_args(Stem)
    for block in get_args(BlockKind)
    for order in get_args(Order)
    for shortcut in OPTIONS
]
SMALL = (
    *EVERY_KIND,
    Spec((2, 2), block="bottleneck", shortcut="B", width=8, inner=16, groups=4),
    Spec((2, 2), block="bottleneck", shortcut="B", width=8, stride_on="1x1"),
    Spec((2, 2), block="bottleneck", shortcut="A", order="pre", width=8, stride_on="1x1"),
    Spec((1,), width=8),
    Spec((1, 1, 1, 1, 1), width=8),
)
specs = pytest.mark.parametrize(
    "spec",
    SMALL,
    ids=lambda s: f"{s.stem}-{s.block}-{s.order}-{s.shortcut}-{len(s.blocks)}-{s.stride_on}",
)


def on_meta(spec: Spec) -> Network:
    with torch.device("meta"):
        return Network(spec).eval()


def saved_bytes(net: Network, images: Tensor) -> tuple[int, int]:
    """Bytes of values and of indices that autograd keeps for the backward pass, each storage once,
    without parameters and without a norm's statistics."""
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.ndim and tensor.shape[0] == BATCH:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        logits = net(images)
    assert logits.requires_grad
    floats = [t.untyped_storage().nbytes() for t in kept.values() if t.is_floating_point()]
    others = [t.untyped_storage().nbytes() for t in kept.values() if not t.is_floating_point()]
    return sum(floats), sum(others)


@specs
def test_activations_are_what_autograd_keeps(spec: Spec) -> None:
    counted = cost(spec, ODD)
    values, indices = saved_bytes(network(spec).train(), torch.randn(BATCH, 3, ODD, ODD))
    assert values == 4 * BATCH * counted.activations
    assert indices == 8 * BATCH * counted.indices
    assert counted.activation_bytes(BATCH) == values + indices


def test_activations_in_half_the_bytes_keep_whole_indices() -> None:
    counted = cost(published("resnet18").spec, 224)
    assert counted.indices == 56 * 56 * 64
    assert counted.activation_bytes(3, 2) == 3 * (2 * counted.activations + 8 * counted.indices)


@specs
def test_multiply_adds_are_pytorchs(spec: Spec) -> None:
    with FlopCounterMode(display=False) as counter:
        on_meta(spec)(torch.empty(1, 3, ODD, ODD, device="meta"))
    assert 2 * cost(spec, ODD).multiply_adds == counter.get_total_flops()


@pytest.mark.parametrize("name", ["resnet18", "resnet50-v1", "resnext50-32x4d", "cifar-resnet20"])
def test_multiply_adds_of_published_networks_are_pytorchs(name: str) -> None:
    row = published(name)
    with FlopCounterMode(display=False) as counter:
        on_meta(row.spec)(torch.empty(1, 3, row.image_size, row.image_size, device="meta"))
    assert 2 * cost(row.spec, row.image_size).multiply_adds == counter.get_total_flops()


@specs
def test_parameters_are_those_of_the_built_network(spec: Spec) -> None:
    assert cost(spec, 32).parameters == sum(p.numel() for p in on_meta(spec).parameters())


@pytest.mark.parametrize("size", [1, 8, 27, 28, 33, 64, 65])
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_each_stages_map_has_the_size_that_is_said(stem: Stem, shortcut: Option, size: int) -> None:
    spec = Spec((1, 1, 1), stem, shortcut=shortcut, width=8)
    net, x = on_meta(spec), torch.empty(1, 3, size, size, device="meta")
    x, sides = net.stem(x), []
    sides.append(tuple(x.shape[2:]))
    for stage in net.stages:
        x = stage(x)
        sides.append(tuple(x.shape[2:]))
    assert sides == [(part.size, part.size) for part in stage_costs(spec, size)[:-1]]


def test_stages_add_up_to_the_whole() -> None:
    for name in ("resnet50", "cifar-resnet110", "resnet152-v2"):
        row = published(name)
        parts, whole = stage_costs(row.spec, row.image_size), cost(row.spec, row.image_size)
        assert len(parts) == len(row.spec.blocks) + 2
        for what in ("parameters", "multiply_adds", "activations", "indices"):
            assert sum(getattr(part, what) for part in parts) == getattr(whole, what)


def test_options_of_table_3_cost_what_they_add() -> None:
    spec = published("resnet34").spec
    a, b, c = (cost(replace(spec, shortcut=option), 224).parameters for option in ("A", "B", "C"))
    norms = 2 * (128 + 256 + 512)
    assert b - a == 64 * 128 + 128 * 256 + 256 * 512 + norms
    identities = {64: 3, 128: 3, 256: 5, 512: 2}
    assert c - b == sum(n * (filters**2 + 2 * filters) for filters, n in identities.items())


@pytest.mark.parametrize("size", [0, -1])
def test_pictures_without_pixels_are_refused(size: int) -> None:
    with pytest.raises(UserError) as caught:
        cost(Spec((1,)), size)
    assert str(caught.value) == f"images of {size} pixels do not exist; at least 1 is needed"
