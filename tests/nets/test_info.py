"""What `deepen info` prints: Table 1, at 80 columns, and the same as JSON."""

import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from deepen.errors import UserError
from deepen.nets.choice import Choice
from deepen.nets.cost import cost
from deepen.nets.info import Info, Listing, describe, info
from deepen.nets.spec import Spec
from deepen.nets.zoo import TABLE, Published, published


def printed(what: Any, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(width=width, file=out).print(what)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def row(lines: list[str], first: str) -> str:
    """The line of a table that begins with this word; spaces made single."""
    [found] = [line for line in lines if line.split()[:1] == [first]]
    return " ".join(found.split())


@pytest.mark.parametrize("known", TABLE, ids=lambda known: known.name)
def test_every_published_network_fits_80_columns(known: Published) -> None:
    lines = printed(info(known.name, Choice()))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    whole = cost(known.spec, known.image_size)
    assert f"{whole.parameters:,}" in row(lines, "total")
    assert lines[0].startswith(f"{known.name}: {known.spec.depth} layers, ")
    stages = [line.split()[0] for line in lines if re.match(r" (stem|layer\d|head|total) ", line)]
    layers = [f"layer{i}" for i in range(1, len(known.spec.blocks) + 1)]
    assert stages == ["stem", *layers, "head", "total"]


def test_the_listing_names_every_network_whole_at_80_columns() -> None:
    lines = printed(Listing())
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    for known in TABLE:
        said = row(lines, known.name)
        assert said.split()[1] == str(known.spec.depth)
        assert said.endswith(known.source)
        if known.error is not None:
            assert f" {known.error:.2f} " in said


def test_resnet_50_is_table_1() -> None:
    lines = printed(info("resnet50-v1", Choice(), batch=1), width=100)
    assert row(lines, "stem").startswith("stem 56x56 7x7 64 /2, pool /2 9,536 118.0 M ")
    assert row(lines, "layer1").startswith("layer1 56x56 3 x (1x1 64, 3x3 64, 1x1 256) ")
    assert row(lines, "layer2").startswith("layer2 28x28 4 x (1x1 128, 3x3 128, 1x1 512) ")
    assert row(lines, "layer3").startswith("layer3 14x14 6 x (1x1 256, 3x3 256, 1x1 1024) ")
    assert row(lines, "layer4").startswith("layer4 7x7 3 x (1x1 512, 3x3 512, 1x1 2048) ")
    assert row(lines, "head").startswith("head 1x1 mean, 1000 outputs 2,049,000 2.0 M ")
    assert row(lines, "total").startswith("total 25,557,032 3,858.0 M ")


def test_a_number_is_shown_with_rgb_ten_classes_and_option_a() -> None:
    shown = info("20", Choice())
    assert (shown.name, shown.spec, shown.image_size, shown.batch) == (
        "depth 20",
        Spec((3, 3, 3)),
        32,
        128,
    )


# What is asked for, what else is said, and the network and the picture's size that are shown.
SHOWN: tuple[tuple[str, dict[str, Any], dict[str, Any], int, int], ...] = (
    ("50", {}, {"image_size": 224}, 50, 224),
    ("18", {"stem": "imagenet"}, {}, 18, 224),
    ("20", {"stem": "cifar"}, {"image_size": 224}, 20, 224),
    ("164", {"block": "bottleneck"}, {}, 164, 32),
    ("resnet50", {}, {"image_size": 64}, 50, 64),
    ("resnet50", {"plain": True}, {}, 50, 224),
    ("cifar-resnet20", {}, {}, 20, 32),
)


@pytest.mark.parametrize(("asked", "choice", "further", "depth", "size"), SHOWN)
def test_name_number_and_flags(
    asked: str, choice: dict[str, Any], further: dict[str, Any], depth: int, size: int
) -> None:
    shown = info(asked, Choice(**choice), **further)
    assert (shown.spec.depth, shown.image_size) == (depth, size)


def test_json_says_what_the_table_says() -> None:
    shown = info("resnet18", Choice(), batch=4)
    values = json.loads(json.dumps(shown.to_dict()))
    assert list(values) == ["name", "depth", "spec", "image_size", "batch", "total", "stages"]
    assert values["total"]["parameters"] == 11_689_512
    assert Spec.from_dict(values["spec"]) == shown.spec
    names = [stage["name"] for stage in values["stages"]]
    assert names == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]
    assert [stage["size"] for stage in values["stages"]] == [56, 56, 28, 14, 7, 1]
    for column in ("parameters", "multiply_adds", "activation_bytes"):
        assert sum(stage[column] for stage in values["stages"]) == values["total"][column]
    assert values["total"]["activation_bytes"] == cost(shown.spec, 224).activation_bytes(4)


def test_json_of_the_listing() -> None:
    values = json.loads(json.dumps(Listing().to_dict()))["networks"]
    assert [value["name"] for value in values] == [known.name for known in TABLE]
    assert values[0]["depth"] == 18
    assert Spec.from_dict(values[0]["spec"]) == published("plain18").spec


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet50", "bottleneck blocks 3-4-6-3, shortcuts B, imagenet stem"),
        ("plain34", "basic blocks 3-4-6-3, plain, imagenet stem"),
        (
            "cifar-resnet110-v2",
            "basic blocks 18-18-18, shortcuts A, pre-activation, cifar stem",
        ),
    ],
)
def test_a_network_in_a_line(name: str, said: str) -> None:
    assert describe(published(name).spec) == said


@pytest.mark.parametrize(
    ("asked", "choice", "further", "said"),
    [
        (
            "21",
            {},
            {},
            "depth 21 does not exist among cifar networks of basic blocks (6n+2); 20 and 26 do",
        ),
        (
            "0",
            {},
            {},
            "depth 0 does not exist among cifar networks of basic blocks (6n+2); 8 is the least",
        ),
        ("resnt50", {}, {}, "no published network is called 'resnt50'; did you mean resnet50?"),
        (
            "resnet50",
            {"stem": "cifar"},
            {},
            "--network resnet50 already says what --stem would; give one",
        ),
        ("20", {}, {"classes": 0}, "classes and width are at least 1, found 0 and 16"),
        ("20", {}, {"batch": 0}, "--batch is at least 1, found 0"),
        ("20", {}, {"image_size": 0}, "--image-size is at least 1 pixel, found 0"),
        ("resnet50", {}, {"image_size": -1}, "--image-size is at least 1 pixel, found -1"),
    ],
)
def test_what_does_not_exist(
    asked: str, choice: dict[str, Any], further: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        info(asked, Choice(**choice), **further)
    assert str(caught.value) == said


def test_a_published_network_keeps_its_classes_unless_told_otherwise() -> None:
    assert info("resnet18", Choice()).spec == published("resnet18").spec
    assert info("resnet18", Choice(), classes=7).spec.classes == 7
    assert info("resnet18", Choice(plain=True)).spec == published("plain18").spec


def test_an_info_is_a_value() -> None:
    assert info("20", Choice()) == Info("depth 20", Spec((3, 3, 3)), 32, 128)
