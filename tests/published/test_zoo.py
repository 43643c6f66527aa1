"""What papers and other libraries say of the published networks, held against ours."""

from dataclasses import replace

import pytest
import timm
import torch
import torchvision

from deepen.errors import UserError
from deepen.nets.cost import cost
from deepen.nets.network import Network
from deepen.nets.spec import Spec
from deepen.nets.zoo import TABLE, Published, published

ROUNDING = 0.02
"""Relative: the papers give two or three digits."""

# arXiv:1512.03385, section 4.2, with option A; Table 6 gives them in millions.
CIFAR_PARAMETERS = {
    20: 269_722,
    32: 464_154,
    44: 658_586,
    56: 853_018,
    110: 1_727_962,
    1202: 19_421_274,
}

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "resnet50-v1": "resnet50",
    "resnet101-v1": "resnet101",
    "resnet152-v1": "resnet152",
    "resnext50-32x4d": "resnext50_32x4d",
    "resnext101-32x8d": "resnext101_32x8d",
    "resnext101-64x4d": "resnext101_64x4d",
    "wide-resnet50-2": "wide_resnet50_2",
    "wide-resnet101-2": "wide_resnet101_2",
}

TIMM = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnext101-32x4d": "resnext101_32x4d",
    "resnet50-v2": "resnetv2_50",
    "resnet101-v2": "resnetv2_101",
    "resnet152-v2": "resnetv2_152",
}

# (name, blocks): arXiv:1512.03385, Table 1; 1603.05027, section 5 and appendix.
SPLITS = (
    ("plain18", (2, 2, 2, 2)),
    ("plain34", (3, 4, 6, 3)),
    ("resnet18", (2, 2, 2, 2)),
    ("resnet34", (3, 4, 6, 3)),
    ("resnet50-v1", (3, 4, 6, 3)),
    ("resnet101-v1", (3, 4, 23, 3)),
    ("resnet152-v1", (3, 8, 36, 3)),
    ("resnet50-v2", (3, 4, 6, 3)),
    ("resnet101-v2", (3, 4, 23, 3)),
    ("resnet152-v2", (3, 8, 36, 3)),
    ("resnet200-v2", (3, 24, 36, 3)),
    ("cifar-resnet20", (3, 3, 3)),
    ("cifar-resnet110", (18, 18, 18)),
    ("cifar-resnet1202", (200, 200, 200)),
    ("cifar-resnet110-v2", (18, 18, 18)),
    ("cifar-resnet164-v2", (18, 18, 18)),
    ("cifar-resnet1001-v2", (111, 111, 111)),
)

# Multiply-adds in 1e9 at 224 pixels: arXiv:1512.03385, Table 1. From 50 layers on the paper halves
# the map in the first 1x1 ("v1").
PAPER_MULTIPLY_ADDS = {
    "resnet18": 1.8,
    "resnet34": 3.6,
    "resnet50-v1": 3.8,
    "resnet101-v1": 7.6,
    "resnet152-v1": 11.3,
}

# Percent, top-1, of single networks: arXiv:1512.03385, Tables 2, 3 and 6; 1603.05027, Tables 2, 3
# and 5; 1605.07146, Table 8; 1611.05431, Tables 3 and 4.
PAPER_ERRORS = {
    "plain18": 27.94,
    "plain34": 28.54,
    "resnet34": 24.52,
    "resnet50-v1": 22.85,
    "resnet101-v1": 21.75,
    "resnet152-v1": 21.43,
    "resnet152-v2": 21.1,
    "resnet200-v2": 20.7,
    "resnext50-32x4d": 22.2,
    "resnext101-32x4d": 21.2,
    "resnext101-64x4d": 20.4,
    "wide-resnet50-2": 21.9,
    "cifar-resnet20": 8.75,
    "cifar-resnet32": 7.51,
    "cifar-resnet44": 7.17,
    "cifar-resnet56": 6.97,
    "cifar-resnet110": 6.43,
    "cifar-resnet1202": 7.93,
    "cifar-resnet110-v2": 6.37,
    "cifar-resnet164-v2": 5.46,
    "cifar-resnet1001-v2": 4.92,
}


def parameters_of(net: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def built(spec: Spec) -> int:
    with torch.device("meta"):
        return parameters_of(Network(spec))


@pytest.mark.parametrize("kind", ["plain", "resnet"])
@pytest.mark.parametrize(("depth", "parameters"), CIFAR_PARAMETERS.items())
def test_cifar_parameters_of_option_a_are_the_papers(
    kind: str, depth: int, parameters: int
) -> None:
    spec = published(f"cifar-{kind}{depth}").spec
    assert spec.depth == depth
    assert built(spec) == cost(spec, 32).parameters == parameters


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_counted_parameters_are_those_of_the_built_network(row: Published) -> None:
    assert cost(row.spec, row.image_size).parameters == built(row.spec)


@pytest.mark.parametrize(("ours", "theirs"), TORCHVISION.items())
def test_parameters_are_torchvisions(ours: str, theirs: str) -> None:
    with torch.device("meta"):
        expected = parameters_of(torchvision.models.get_model(theirs))
    assert built(published(ours).spec) == expected


@pytest.mark.parametrize(("ours", "theirs"), TIMM.items())
def test_parameters_are_timms(ours: str, theirs: str) -> None:
    with torch.device("meta"):
        expected = parameters_of(timm.create_model(theirs))
    assert built(published(ours).spec) == expected


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_depth_is_the_one_in_the_name(row: Published) -> None:
    name = row.name.removesuffix("-v1").removesuffix("-v2").removesuffix("-2")
    digits = "".join(c if c.isdigit() else " " for c in name.split("-32x")[0].split("-64x")[0])
    assert row.spec.depth == int(digits)


@pytest.mark.parametrize(("name", "blocks"), SPLITS)
def test_the_blocks_of_each_stage_are_the_papers(name: str, blocks: tuple[int, ...]) -> None:
    assert published(name).spec.blocks == blocks


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_papers_columns_match_the_computed_cost(row: Published) -> None:
    computed = cost(row.spec, row.image_size)
    if row.giga_multiply_adds is not None:
        assert computed.multiply_adds / 1e9 == pytest.approx(row.giga_multiply_adds, rel=ROUNDING)
    if row.million_parameters is not None:
        assert computed.parameters / 1e6 == pytest.approx(row.million_parameters, rel=ROUNDING)


@pytest.mark.parametrize(("name", "giga"), PAPER_MULTIPLY_ADDS.items())
def test_multiply_adds_are_table_1s(name: str, giga: float) -> None:
    row = published(name)
    assert row.giga_multiply_adds == giga
    assert cost(row.spec, 224).multiply_adds / 1e9 == pytest.approx(giga, rel=ROUNDING)


def test_errors_are_those_that_the_papers_report() -> None:
    assert {row.name: row.error for row in TABLE if row.error is not None} == PAPER_ERRORS


def test_a_plain_network_is_the_residual_one_without_shortcuts() -> None:
    for row in TABLE:
        if "plain" in row.name:
            residual = published(row.name.replace("plain", "resnet")).spec
            assert row.spec == replace(residual, shortcut=None)


def test_the_original_form_differs_in_the_stride_alone() -> None:
    for depth in (50, 101, 152):
        v15 = published(f"resnet{depth}").spec
        assert v15.stride_on == "3x3"
        assert published(f"resnet{depth}-v1").spec == replace(v15, stride_on="1x1")


def test_names_are_unique_and_in_lower_case() -> None:
    names = [row.name for row in TABLE]
    assert len(set(names)) == len(names)
    assert [name.lower() for name in names] == names


def test_imagenet_networks_have_1000_classes_and_224_pixels_cifar_ones_10_and_32() -> None:
    for row in TABLE:
        expected = (10, 32, "cifar") if row.name.startswith("cifar-") else (1000, 224, "imagenet")
        assert (row.spec.classes, row.image_size, row.spec.stem) == expected


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("resnet5", "no published network is called 'resnet5'; did you mean resnet50?"),
        ("ResNet50", "no published network is called 'ResNet50'; did you mean resnet50?"),
        (
            "cifar-resnet1203",
            "no published network is called 'cifar-resnet1203'; did you mean cifar-resnet1202?",
        ),
        (
            "vgg",
            "no published network is called 'vgg'; there are plain18 to cifar-resnet1001-v2: "
            "`deepen info` lists all",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(asked: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        published(asked)
    assert str(caught.value) == said
