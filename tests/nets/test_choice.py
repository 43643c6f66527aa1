"""What a person asks for, completed by what their pictures are."""

from dataclasses import replace
from typing import Any

import pytest

from deepen.errors import UserError
from deepen.nets.choice import Choice, spec_of, stem_of
from deepen.nets.spec import Spec
from deepen.nets.zoo import published

RESNET18 = published("resnet18").spec
RESNET50 = published("resnet50").spec

# What was asked for, the pictures' size, and the network.
CHOSEN: tuple[tuple[Choice, int, Spec], ...] = (
    (Choice(), 28, Spec((3, 3, 3))),
    (Choice(), 64, Spec((3, 3, 3))),
    (Choice(), 65, replace(RESNET18, classes=10)),
    (Choice(), 224, replace(RESNET18, classes=10)),
    (Choice(stem="cifar"), 224, Spec((3, 3, 3))),
    (Choice(stem="imagenet"), 32, replace(RESNET18, classes=10)),
    (Choice(depth=1202), 32, Spec((200, 200, 200))),
    (Choice(depth=50), 224, replace(RESNET50, classes=10)),
    (Choice(depth=164, block="bottleneck"), 32, Spec((18, 18, 18), block="bottleneck")),
    (Choice(depth=20, order="pre", shortcut="B"), 32, Spec((3, 3, 3), order="pre", shortcut="B")),
    (Choice(depth=18, shortcut="A"), 224, replace(RESNET18, classes=10, shortcut="A")),
    (Choice(depth=20, plain=True), 32, Spec((3, 3, 3), shortcut=None)),
    (Choice(depth=34, plain=True), 224, replace(published("plain34").spec, classes=10)),
    (Choice(depth=20, zero_gamma=True), 32, Spec((3, 3, 3), zero_gamma=True)),
    (Choice(depth=20, survival=0.5), 32, Spec((3, 3, 3), survival=0.5)),
    (Choice(network="resnet50"), 32, replace(RESNET50, classes=10)),
    (Choice(network="resnet50", plain=True), 32, replace(RESNET50, classes=10, shortcut=None)),
    (Choice(network="cifar-resnet20", survival=0.8), 224, Spec((3, 3, 3), survival=0.8)),
)

CONFLICTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"depth": 50}, "--depth"),
    ({"stem": "cifar"}, "--stem"),
    ({"block": "basic"}, "--block"),
    ({"order": "pre"}, "--order"),
    ({"shortcut": "A"}, "--shortcut"),
    ({"shortcut": "A", "depth": 18}, "--depth"),
)


@pytest.mark.parametrize(("choice", "size", "spec"), CHOSEN)
def test_the_network_asked_for(choice: Choice, size: int, spec: Spec) -> None:
    assert spec_of(choice, size, classes=10) == spec


def test_the_classes_are_the_pictures() -> None:
    for choice in (Choice(), Choice(network="resnet50"), Choice(depth=56)):
        assert spec_of(choice, 32, classes=37).classes == 37


@pytest.mark.parametrize(("values", "flag"), CONFLICTS)
def test_a_name_and_a_flag_that_it_answers_are_refused(values: dict[str, Any], flag: str) -> None:
    with pytest.raises(UserError) as caught:
        spec_of(Choice(network="resnet18", **values), 224, classes=10)
    assert str(caught.value) == f"--network resnet18 already says what {flag} would; give one"


@pytest.mark.parametrize(("size", "stem"), [(1, "cifar"), (64, "cifar"), (65, "imagenet")])
def test_the_stem_follows_the_pictures(size: int, stem: str) -> None:
    assert stem_of(Choice(), size) == stem


@pytest.mark.parametrize(
    ("depth", "size", "said"),
    [
        (18, 32, "cifar networks of basic blocks (6n+2); 14 and 20 do"),
        (51, 224, "imagenet networks of bottleneck blocks (3n+2, from 14); 50 and 53 do"),
        (0, 32, "cifar networks of basic blocks (6n+2); 8 is the least"),
    ],
)
def test_a_depth_is_judged_in_the_family_that_the_pictures_choose(
    depth: int, size: int, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        spec_of(Choice(depth=depth), size, classes=10)
    assert str(caught.value) == f"depth {depth} does not exist among {said}"


def test_survival_needs_shortcuts() -> None:
    with pytest.raises(UserError, match="a plain network cannot drop blocks"):
        spec_of(Choice(depth=20, plain=True, survival=0.5), 32, classes=10)
