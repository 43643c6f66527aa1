"""Networks as a whole: how they start, what differs between two, and what reaches their ends."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from deepen.nets.network import Network, last_norms, network
from deepen.nets.spec import BlockKind, Option, Order, Spec, Stem

RESNET20 = Spec((3, 3, 3))
OPTIONS: tuple[Option | None, ...] = ("A", "B", "C", None)


def images(side: int, n: int = 2) -> Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("side", [27, 28, 33])
@pytest.mark.parametrize("stem", get_args(Stem))
@pytest.mark.parametrize("order", get_args(Order))
@pytest.mark.parametrize("block", get_args(BlockKind))
@pytest.mark.parametrize("shortcut", OPTIONS)
def test_pictures_of_any_size_pass_through_every_kind(
    side: int, stem: Stem, order: Order, block: BlockKind, shortcut: Option | None
) -> None:
    net = network(Spec((2, 1, 1), stem, block, shortcut, order, width=8, classes=5))
    logits = net(images(side))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_pictures_need_not_be_square() -> None:
    assert network(RESNET20)(torch.zeros(2, 3, 28, 41)).shape == (2, 10)


@pytest.mark.parametrize(
    "spec",
    [
        Spec((4, 4, 4), width=64),
        Spec((4, 4, 4), width=64, order="pre", shortcut="B"),
        Spec((4, 4), block="bottleneck", width=64, inner=128, groups=8, shortcut="B"),
    ],
    ids=["post", "pre", "groups"],
)
def test_filters_are_drawn_by_hes_rule(spec: Spec) -> None:
    """Deviation sqrt(2 / n), n = kernel area times filters: arXiv:1502.01852, equation 14, and
    1512.03385, section 3.4."""
    for name, layer in network(spec).named_modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 10_000:
            expected = (2 / (layer.kernel_size[0] ** 2 * layer.out_channels)) ** 0.5
            weight = layer.weight.detach() / expected
            error = weight.numel() ** -0.5
            assert abs(float(weight.mean())) < 5 * error, name
            assert abs(float(weight.std()) - 1) < 5 * error, name
            assert abs(float((weight**4).mean()) - 3) < 60 * error, name  # a normal's, not uniform


def test_norms_start_as_the_identity_and_the_head_small() -> None:
    net = network(RESNET20)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
            assert module.running_mean is not None
            assert (module.running_mean == 0).all()
            assert module.running_var is not None
            assert (module.running_var == 1).all()
            assert module.num_batches_tracked == 0
    assert (net.fc.bias == 0).all()
    assert net.fc.weight.abs().max() <= 1 / 8  # 64 features
    assert net.fc.weight.std() > 0.05


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    first, same, other = (network(RESNET20, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


def test_the_global_generator_is_not_touched_and_does_not_matter() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = network(RESNET20, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    second = network(RESNET20, seed=1)
    assert torch.equal(first.conv1.weight, second.conv1.weight)


def test_a_new_network_is_on_the_cpu_in_fp32_and_training() -> None:
    net = network(RESNET20)
    assert {p.device.type for p in net.parameters()} == {"cpu"}
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in net.parameters())
    assert net.training


@pytest.mark.parametrize("block", get_args(BlockKind))
def test_zero_gamma_makes_blocks_the_identity(block: BlockKind) -> None:
    net = network(Spec((3, 2, 2), block=block, shortcut="B", zero_gamma=True)).train()
    x = net.stem(images(16))
    for stage in net.stages:
        first, *rest = stage.children()
        x = first(x)
        for later in rest:  # what comes in is no less than 0, so its ReLU changes nothing either
            assert torch.equal(later(x), x)


def test_zero_gamma_zeroes_the_last_norm_of_each_block_and_nothing_else() -> None:
    usual, zeroed = network(RESNET20), network(replace(RESNET20, zero_gamma=True))
    zero = {id(norm.weight) for norm in last_norms(zeroed)}
    assert len(zero) == 9
    for (name, before), after in zip(usual.named_parameters(), zeroed.parameters(), strict=True):
        expected = torch.zeros_like(before) if id(after) in zero else before
        assert torch.equal(after, expected), name


@pytest.mark.parametrize("order", get_args(Order))
@pytest.mark.parametrize("block", get_args(BlockKind))
def test_plain_and_residual_have_the_same_weights(order: Order, block: BlockKind) -> None:
    residual = Spec((3, 3, 3), block=block, order=order)
    ours, plain = network(residual, 5), network(replace(residual, shortcut=None), 5)
    assert list(ours.state_dict()) == list(plain.state_dict())
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, plain.state_dict()[name]), name
    with torch.inference_mode():
        x = images(16)
        assert not torch.allclose(ours.eval()(x), plain.eval()(x))


def test_options_b_and_c_add_projections_alone() -> None:
    names = {o: set(network(replace(RESNET20, shortcut=o)).state_dict()) for o in OPTIONS}
    parts = ["0.weight", "1.weight", "1.bias"]
    parts += ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    changing = {f"layer{stage}.0.downsample.{part}" for stage in (2, 3) for part in parts}
    every = {f"layer{s}.{i}.downsample.{p}" for s in (1, 2, 3) for i in (0, 1, 2) for p in parts}
    assert names["B"] - names["A"] == changing
    assert names["C"] - names["A"] == every
    assert names[None] == names["A"]


@pytest.mark.parametrize(
    "spec",
    [Spec((200, 200, 200)), Spec((111, 111, 111), block="bottleneck", order="pre", shortcut="B")],
    ids=["1202", "1001-pre"],
)
def test_gradients_are_finite_at_a_thousand_layers(spec: Spec) -> None:
    net = network(spec).train()
    loss = nn.functional.cross_entropy(net(images(8)), torch.tensor([1, 7]))
    loss.backward()
    assert loss.isfinite()
    norms = {name: float(p.grad.norm()) for name, p in net.named_parameters() if p.grad is not None}
    assert len(norms) == len(list(net.parameters()))
    assert all(0 <= norm < float("inf") for norm in norms.values())
    assert norms["conv1.weight"] > 0
    assert norms["layer1.0.conv1.weight"] > 0


def test_the_forward_pass_is_its_parts() -> None:
    net = network(RESNET20).eval()
    x = images(16)
    with torch.inference_mode():
        y = net.stem(x)
        for stage in net.stages:
            y = stage(y)
        assert torch.equal(net.features(x), y)
        assert torch.equal(net.head(y), net(x))
        assert torch.allclose(net.fc(y.mean(3).mean(2)), net(x), atol=1e-5)


def test_a_pre_activation_network_ends_in_norm_and_relu() -> None:
    net = network(replace(RESNET20, order="pre")).eval()
    assert not hasattr(net, "bn1")
    with torch.inference_mode():
        features = net.features(images(16))
    assert float(features.min()) == 0
    assert isinstance(net, Network)
    assert net.norm.num_features == 64
