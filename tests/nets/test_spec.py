"""What a Spec says, and what it refuses."""

import json
from dataclasses import replace
from typing import Any

import pytest

from deepen.errors import UserError
from deepen.nets.spec import BlockShape, Spec, block_shapes

RESNET20 = Spec((3, 3, 3))
RESNET50 = Spec(
    (3, 4, 6, 3), stem="imagenet", block="bottleneck", shortcut="B", width=64, classes=1000
)

REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"blocks": ()}, "every stage needs at least one block, found []"),
    ({"blocks": (3, 0, 3)}, "every stage needs at least one block, found [3, 0, 3]"),
    ({"classes": 0}, "classes and width are at least 1, found 0 and 16"),
    ({"width": 0}, "classes and width are at least 1, found 10 and 0"),
    ({"survival": 0.0}, "survival is a probability above 0 and up to 1, found 0.0"),
    ({"survival": 1.5}, "survival is a probability above 0 and up to 1, found 1.5"),
    ({"survival": float("nan")}, "survival is a probability above 0 and up to 1, found nan"),
    (
        {"shortcut": None, "survival": 0.5},
        "a plain network cannot drop blocks: survival below 1 needs shortcuts",
    ),
    (
        {"shortcut": None, "zero_gamma": True},
        "zero_gamma needs a residue that ends in a norm: post-activation, with shortcuts",
    ),
    (
        {"order": "pre", "zero_gamma": True},
        "zero_gamma needs a residue that ends in a norm: post-activation, with shortcuts",
    ),
    ({"groups": 2}, "groups and inner are for bottlenecks; this network has basic blocks"),
    ({"inner": 32}, "groups and inner are for bottlenecks; this network has basic blocks"),
    ({"block": "bottleneck", "groups": 3}, "16 filters do not divide into 3 groups"),
    ({"block": "bottleneck", "inner": 24, "groups": 7}, "24 filters do not divide into 7 groups"),
)


@pytest.mark.parametrize(("values", "said"), REFUSED)
def test_a_network_that_cannot_be_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        Spec(**{"blocks": (3, 3, 3), **values})
    assert str(caught.value) == said


@pytest.mark.parametrize("spec", [RESNET20, RESNET50, replace(RESNET20, shortcut=None)])
def test_a_spec_survives_json(spec: Spec) -> None:
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shortcuts", "a network has no setting 'shortcuts'; did you mean shortcut?"),
        ("zzz", "a network has no setting 'zzz'"),
    ],
)
def test_an_unknown_setting_is_refused_by_name(name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        Spec.from_dict({**RESNET20.to_dict(), name: 1})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("spec", "depth", "features"),
    [
        (RESNET20, 20, 64),
        (RESNET50, 50, 2048),
        (Spec((18, 18, 18), block="bottleneck", order="pre", shortcut="B"), 164, 256),
        (Spec((2, 2, 2, 2), stem="imagenet", width=64), 18, 512),
        (Spec((5,)), 12, 16),
    ],
)
def test_depth_and_features(spec: Spec, depth: int, features: int) -> None:
    assert (spec.depth, spec.features) == (depth, features)


def changes(spec: Spec) -> list[tuple[str, int, int, int, int]]:
    shapes = [s for s in block_shapes(spec) if s.index == 0]
    return [(s.name, s.c_in, s.inner, s.c_out, s.stride) for s in shapes]


def test_basic_blocks_double_their_filters_where_they_halve_the_map() -> None:
    assert changes(RESNET20) == [
        ("layer1.0", 16, 16, 16, 1),
        ("layer2.0", 16, 32, 32, 2),
        ("layer3.0", 32, 64, 64, 2),
    ]


def test_bottlenecks_are_table_1s() -> None:
    assert changes(RESNET50) == [
        ("layer1.0", 64, 64, 256, 1),
        ("layer2.0", 256, 128, 512, 2),
        ("layer3.0", 512, 256, 1024, 2),
        ("layer4.0", 1024, 512, 2048, 2),
    ]
    assert [s.inner for s in block_shapes(replace(RESNET50, inner=128)) if s.index == 0] == [
        128,
        256,
        512,
        1024,
    ]


def test_after_the_first_block_of_a_stage_shapes_stay() -> None:
    for spec in (RESNET20, RESNET50):
        rest = [s for s in block_shapes(spec) if s.index > 0]
        assert len(rest) == sum(spec.blocks) - len(spec.blocks)
        assert all((s.c_in, s.stride) == (s.c_out, 1) for s in rest)


@pytest.mark.parametrize(
    ("option", "first", "second", "change"),
    [
        ("A", "identity", "identity", "pad"),
        ("B", "identity", "identity", "projection"),
        ("C", "projection", "projection", "projection"),
        (None, None, None, None),
    ],
)
def test_options_of_section_3_3(
    option: Any, first: str | None, second: str | None, change: str | None
) -> None:
    kinds = [s.shortcut for s in block_shapes(Spec((2, 2, 2), shortcut=option))]
    assert kinds == [first, second, change, second, change, second]


def test_a_bottlenecks_first_block_changes_its_channels() -> None:
    kinds = [s.shortcut for s in block_shapes(Spec((2, 2), block="bottleneck", shortcut="B"))]
    assert kinds == ["projection", "identity", "projection", "identity"]
    padded = next(block_shapes(Spec((2, 2), block="bottleneck", shortcut="A")))
    assert (padded.shortcut, padded.stride, padded.c_in, padded.c_out) == ("pad", 1, 16, 64)


def test_the_first_activation_is_shared_in_the_first_block_and_where_shapes_change() -> None:
    shared = [s.name for s in block_shapes(Spec((2, 2, 2), order="pre")) if s.shares_activation]
    assert shared == ["layer1.0", "layer2.0", "layer3.0"]


@pytest.mark.parametrize("survival", [0.5, 0.8, 1.0])
def test_survival_falls_linearly(survival: float) -> None:
    """p_l = 1 - l / L (1 - p_L): arXiv:1603.09382, equation 4, for l = 1 ... L."""
    shapes: list[BlockShape] = list(block_shapes(Spec((4, 3, 3), survival=survival)))
    expected = [1 - block / 10 * (1 - survival) for block in range(1, 11)]
    assert [s.survival for s in shapes] == pytest.approx(expected, abs=1e-12)
    assert shapes[-1].survival == pytest.approx(survival)
