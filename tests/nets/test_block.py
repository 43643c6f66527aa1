"""The blocks, each against the equation that it stands for."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from deepen.nets.block import Block, Pad, block
from deepen.nets.network import network
from deepen.nets.spec import BlockKind, BlockShape, Order, Spec, block_shapes

N, SIDE, WIDTH = 3, 9, 4


def pictures(channels: int, seed: int = 0) -> Tensor:
    return torch.randn(N, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def drawn(spec: Spec, name: str) -> Block:
    """A block in inference, its norms no identity."""
    shape = next(s for s in block_shapes(spec) if s.name == name)
    torch.manual_seed(0)
    built = block(shape, spec)
    for norm in built.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.running_mean, norm.bias):
                assert tensor is not None
                nn.init.normal_(tensor, 0, 0.3)
            for tensor in (norm.running_var, norm.weight):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
    return built.eval()


def subsampled_and_padded(x: NDArray[np.float32], c_out: int, stride: int) -> NDArray[np.float32]:
    """Option A of arXiv:1512.03385, section 3.3, pixel by pixel."""
    n, c_in, height, width = x.shape
    y = np.zeros((n, c_out, -(-height // stride), -(-width // stride)), np.float32)
    first = (c_out - c_in) // 2
    for i, c, h, w in product(range(n), range(c_in), range(y.shape[2]), range(y.shape[3])):
        y[i, first + c, h, w] = x[i, c, h * stride, w * stride]
    return y


@pytest.mark.parametrize(
    ("c_in", "c_out", "stride"), [(4, 8, 2), (4, 16, 1), (3, 6, 2), (3, 8, 2), (8, 8, 2)]
)
def test_option_a_takes_every_second_pixel_and_pads_half_on_each_side(
    c_in: int, c_out: int, stride: int
) -> None:
    x = pictures(c_in)
    expected = subsampled_and_padded(x.numpy(), c_out, stride)
    assert np.array_equal(Pad(c_in, c_out, stride)(x).numpy(), expected)


def test_a_basic_block_of_option_a_is_equation_1() -> None:
    built = drawn(Spec((1, 1), width=WIDTH), "layer2.0")
    x = pictures(WIDTH)
    residue = F.conv2d(x, built.conv1.weight, stride=2, padding=1)
    residue = F.relu(normed(built.bn1, residue))
    residue = normed(built.bn2, F.conv2d(residue, built.conv2.weight, padding=1))
    carried = torch.from_numpy(subsampled_and_padded(x.numpy(), 2 * WIDTH, 2))
    assert torch.allclose(built(x), F.relu(residue + carried), atol=1e-5)


def test_a_bottleneck_of_option_b_is_figure_5() -> None:
    spec = Spec((1, 1), block="bottleneck", shortcut="B", width=WIDTH)
    built = drawn(spec, "layer2.0")
    x = pictures(4 * WIDTH)
    residue = F.relu(normed(built.bn1, F.conv2d(x, built.conv1.weight)))
    residue = F.conv2d(residue, built.conv2.weight, stride=2, padding=1)
    residue = F.relu(normed(built.bn2, residue))
    residue = normed(built.bn3, F.conv2d(residue, built.conv3.weight))
    carried = normed(built.downsample[1], F.conv2d(x, built.downsample[0].weight, stride=2))
    assert torch.allclose(built(x), F.relu(residue + carried), atol=1e-5)


def test_a_plain_block_is_its_residue() -> None:
    built = drawn(Spec((1, 1), shortcut=None, width=WIDTH), "layer2.0")
    x = pictures(WIDTH)
    assert torch.equal(built(x), F.relu(built.residue(x)))
    assert built.downsample is None


def normed(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Inference by the definition, not by PyTorch's own function."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


KINDS: tuple[BlockKind, ...] = ("basic", "bottleneck")


def without_residue(kind: BlockKind, name: str, shortcut: str = "A") -> Block:
    """A pre-activation block whose last layer is zero: what comes out was carried."""
    spec = Spec((2, 2), block=kind, order="pre", width=WIDTH, shortcut=shortcut)  # type: ignore[arg-type]
    built = drawn(spec, name)
    nn.init.zeros_(built.get_submodule("conv2" if kind == "basic" else "conv3").weight)  # type: ignore[arg-type]
    return built


def activated(built: Block, x: Tensor) -> Tensor:
    return F.relu(normed(built.bn1, x))  # type: ignore[arg-type]


def test_the_first_pre_activation_block_carries_what_norm_and_relu_have_passed() -> None:
    built, x = without_residue("basic", "layer1.0"), pictures(WIDTH)
    assert torch.allclose(built(x), activated(built, x), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_where_shapes_change_pre_activation_shares_norm_and_relu(kind: BlockKind) -> None:
    built = without_residue(kind, "layer2.0")
    c_in = built.get_submodule("bn1").num_features
    x = pictures(c_in)  # type: ignore[arg-type]
    expected = subsampled_and_padded(activated(built, x).detach().numpy(), 2 * c_in, 2)  # type: ignore[operator]
    assert np.allclose(built(x).detach().numpy(), expected, atol=1e-6)
    projected = without_residue(kind, "layer2.0", "B")
    [layer] = projected.downsample  # a projection without a norm of its own
    assert torch.allclose(projected(x), layer(activated(projected, x)), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["layer1.1", "layer2.1"])
def test_elsewhere_pre_activation_carries_its_input_untouched(kind: BlockKind, name: str) -> None:
    built = without_residue(kind, name)
    x = pictures(built.get_submodule("bn1").num_features)  # type: ignore[arg-type]
    assert torch.equal(built(x), x)


@pytest.mark.parametrize(("stride_on", "strides"), [("1x1", (2, 1)), ("3x3", (1, 2))])
@pytest.mark.parametrize("order", ["post", "pre"])
def test_the_bottlenecks_stride_stands_where_it_is_said(
    stride_on: str, strides: tuple[int, int], order: Order
) -> None:
    spec = Spec((1, 1), block="bottleneck", shortcut="B", order=order, stride_on=stride_on)  # type: ignore[arg-type]
    built = drawn(spec, "layer2.0")
    assert (built.conv1.stride[0], built.conv2.stride[0], built.conv3.stride[0]) == (*strides, 1)


# Stochastic depth: arXiv:1603.09382, equations 2 and 5.

SURVIVAL = 0.7
DRAWS = 4000


def droppable(order: Order, survival: float) -> Iterator[tuple[Block, BlockShape]]:
    spec = Spec((2, 2), order=order, width=WIDTH)
    for shape in block_shapes(spec):
        named = drawn(spec, shape.name)
        named.survival = survival
        yield named, shape


def residue_and_carried(built: Block, x: Tensor) -> tuple[Tensor, Tensor]:
    """Of a block that adds without a ReLU: F and the rest."""
    built.survival = 1.0
    inside = activated(built, x)
    residue = built.residue(inside)
    return residue, built(x) - residue


def test_inference_scales_the_residue_by_its_survival() -> None:
    with torch.inference_mode():
        for built, shape in droppable("pre", SURVIVAL):
            x = pictures(shape.c_in)
            found = built(x)
            residue, carried = residue_and_carried(built, x)
            assert torch.allclose(found, SURVIVAL * residue + carried, atol=1e-5)


def test_a_training_step_keeps_all_of_the_residue_or_none() -> None:
    built, shape = next(droppable("pre", SURVIVAL))
    x = pictures(shape.c_in)[:1, :, :2, :2]
    with torch.inference_mode():
        residue, carried = residue_and_carried(built, x)
        built.survival, built.training = SURVIVAL, True  # its norms stay as in inference
        torch.manual_seed(0)
        outputs = [built(x) for _ in range(DRAWS)]
    kept = sum(torch.allclose(y, residue + carried, atol=1e-5) for y in outputs)
    dropped = sum(torch.allclose(y, carried, atol=1e-5) for y in outputs)
    assert kept + dropped == DRAWS
    deviation = (SURVIVAL * (1 - SURVIVAL) / DRAWS) ** 0.5
    assert abs(kept / DRAWS - SURVIVAL) < 4 * deviation
    mean = torch.stack(outputs).mean(0)
    expected = SURVIVAL * residue + carried
    assert torch.allclose(mean, expected, atol=float(4 * deviation * residue.abs().max()))


def test_a_dropped_block_is_not_computed_and_gets_no_gradient() -> None:
    built, shape = next(droppable("post", 1e-9))
    built.training = True
    torch.manual_seed(0)
    x = pictures(shape.c_in)
    y = built(x)
    assert torch.equal(y, F.relu(x))
    assert not y.requires_grad


def test_the_schedule_of_the_spec_reaches_the_blocks() -> None:
    spec = Spec((2, 2, 2), survival=0.4)
    blocks = [b for stage in network(spec).stages for b in stage.children()]
    assert [b.survival for b in blocks] == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    certain = [b for stage in network(replace(spec, survival=1.0)).stages for b in stage]  # type: ignore[attr-defined]
    assert [b.survival for b in certain] == [1.0] * 6
