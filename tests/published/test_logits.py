"""The same weights give the same logits as the networks that others ship."""

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from deepen.nets.network import Network, last_norms, network
from deepen.nets.zoo import published

TOLERANCE = 1e-5
SIZE = 64

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "resnext50-32x4d": "resnext50_32x4d",
    "wide-resnet50-2": "wide_resnet50_2",
}


def drawn(name: str) -> Network:
    """Random weights, norms that are no identity in inference, logits of usual size."""
    net = network(published(name).spec, seed=1)
    generator = torch.Generator().manual_seed(2)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            nn.init.uniform_(module.weight, 0.6, 1.0, generator=generator)
            nn.init.normal_(module.bias, 0, 0.1, generator=generator)
    if net.spec.order == "post":
        for norm in last_norms(net):
            nn.init.uniform_(norm.weight, 0.1, 0.3, generator=generator)
    return net.eval()


def images() -> Tensor:
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def assert_equal_logits(ours: nn.Module, theirs: nn.Module) -> None:
    with torch.inference_mode():
        expected, found = theirs.eval()(images()), ours(images())
    assert 0.05 < expected.std() < 20  # else the tolerance would mean nothing
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    assert (found - expected).abs().max() <= TOLERANCE


@pytest.mark.parametrize(("ours", "theirs"), TORCHVISION.items())
def test_logits_are_torchvisions(ours: str, theirs: str) -> None:
    net = drawn(ours)
    with torch.device("meta"):
        reference = torchvision.models.get_model(theirs)
    reference.load_state_dict(net.state_dict(), assign=True)  # strict: names are torchvision's
    assert_equal_logits(net, reference)


def test_logits_of_the_original_form_are_torchvisions_with_the_strides_moved() -> None:
    net = drawn("resnet50-v1")
    with torch.device("meta"):
        reference = torchvision.models.resnet50()
    reference.load_state_dict(net.state_dict(), assign=True)
    for stage in (reference.layer2, reference.layer3, reference.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    assert_equal_logits(net, reference)


@pytest.mark.parametrize(("ours", "theirs"), [("resnet50-v2", "resnetv2_50")])
def test_logits_of_pre_activation_are_timms(ours: str, theirs: str) -> None:
    net = drawn(ours)
    with torch.device("meta"):
        reference = timm.create_model(theirs)
    # timm names the parts otherwise and keeps them in the same order; its head is a 1x1 layer.
    values = [v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")]
    names = [k for k in reference.state_dict() if not k.endswith("num_batches_tracked")]
    shapes = reference.state_dict()
    weights = {k: v.reshape(shapes[k].shape) for k, v in zip(names, values, strict=True)}
    counted = {k: torch.tensor(0) for k in shapes if k.endswith("num_batches_tracked")}
    reference.load_state_dict(weights | counted, assign=True)
    assert_equal_logits(net, reference)
