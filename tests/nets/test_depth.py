"""Depths that exist become networks of that depth; others name the neighbours that do."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepen.errors import UserError
from deepen.nets.depth import PUBLISHED_SPLITS, Family, of_depth
from deepen.nets.spec import BlockKind, Spec, Stem

FAMILIES = (
    # family, weighted layers between two depths, the least depth
    (Family("cifar", "basic"), 6, 8),
    (Family("cifar", "bottleneck"), 9, 11),
    (Family("imagenet", "basic", shortcut="B"), 2, 10),
    (Family("imagenet", "bottleneck", shortcut="B"), 3, 14),
)
families = pytest.mark.parametrize(
    ("family", "step", "least"), FAMILIES, ids=lambda x: f"{x.stem}-{x.block}" if x is Family else x
)

# The published split; beyond it the third stage grows, as from 50 to 101 layers in Table 1.
FOUR_STAGES: tuple[tuple[int, BlockKind | None, BlockKind, tuple[int, ...]], ...] = (
    (10, None, "basic", (1, 1, 1, 1)),
    (14, None, "basic", (1, 1, 3, 1)),
    (18, None, "basic", (2, 2, 2, 2)),
    (26, None, "basic", (2, 2, 6, 2)),
    (34, None, "basic", (3, 4, 6, 3)),
    (48, None, "basic", (3, 4, 13, 3)),
    (50, None, "bottleneck", (3, 4, 6, 3)),
    (50, "basic", "basic", (3, 4, 14, 3)),
    (14, "bottleneck", "bottleneck", (1, 1, 1, 1)),
    (26, "bottleneck", "bottleneck", (1, 1, 5, 1)),
    (53, None, "bottleneck", (3, 4, 7, 3)),
    (101, None, "bottleneck", (3, 4, 23, 3)),
    (152, None, "bottleneck", (3, 8, 36, 3)),
    (200, None, "bottleneck", (3, 24, 36, 3)),
    (302, None, "bottleneck", (3, 24, 70, 3)),
)

REFUSED = (
    (Family(), 21, "cifar networks of basic blocks (6n+2); 20 and 26 do"),
    (Family(), 1200, "cifar networks of basic blocks (6n+2); 1196 and 1202 do"),
    (Family(), 2, "cifar networks of basic blocks (6n+2); 8 is the least"),
    (Family(), 0, "cifar networks of basic blocks (6n+2); 8 is the least"),
    (Family(), -4, "cifar networks of basic blocks (6n+2); 8 is the least"),
    (
        Family(block="bottleneck"),
        165,
        "cifar networks of bottleneck blocks (9n+2); 164 and 173 do",
    ),
    (
        Family("imagenet"),
        19,
        "imagenet networks of basic blocks (2n+2, from 10); 18 and 20 do",
    ),
    (
        Family("imagenet"),
        51,
        "imagenet networks of bottleneck blocks (3n+2, from 14); 50 and 53 do",
    ),
    (
        Family("imagenet"),
        8,
        "imagenet networks of basic blocks (2n+2, from 10); 10 is the least",
    ),
    (
        Family("imagenet", "bottleneck"),
        11,
        "imagenet networks of bottleneck blocks (3n+2, from 14); 14 is the least",
    ),
)


@families
@given(n=st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_a_depth_that_exists_is_the_depth_of_its_network(
    family: Family, step: int, least: int, n: int
) -> None:
    depth = least + n * step
    spec = of_depth(depth, family, classes=7)
    assert spec.depth == depth
    assert (spec.stem, spec.block, spec.classes) == (family.stem, family.block, 7)
    assert (spec.order, spec.shortcut) == (family.order, family.shortcut)
    assert len(spec.blocks) == (3 if family.stem == "cifar" else 4)
    if family.stem == "cifar":
        assert len(set(spec.blocks)) == 1


@families
@given(depth=st.integers(-50, 3000))
@settings(max_examples=200, deadline=None)
def test_every_other_depth_is_refused_with_neighbours_that_exist(
    family: Family, step: int, least: int, depth: int
) -> None:
    if depth >= least and (depth - least) % step == 0:
        assert of_depth(depth, family, classes=10).depth == depth
        return
    with pytest.raises(UserError) as caught:
        of_depth(depth, family, classes=10)
    said = str(caught.value)
    assert said.startswith(f"depth {depth} does not exist")
    if depth < least:
        assert said.endswith(f"; {least} is the least")
        neighbours = [least]
    else:
        neighbours = [int(n) for n in re.findall(r"\d+", said.rpartition(";")[2])]
        below, above = neighbours
        assert below < depth < above == below + step
    assert [of_depth(n, family, classes=10).depth for n in neighbours] == neighbours


@pytest.mark.parametrize(("family", "depth", "said"), REFUSED)
def test_the_refusal_says_the_rule(family: Family, depth: int, said: str) -> None:
    with pytest.raises(UserError) as caught:
        of_depth(depth, family, classes=10)
    assert str(caught.value) == f"depth {depth} does not exist among {said}"


@pytest.mark.parametrize(("depth", "asked", "block", "blocks"), FOUR_STAGES)
def test_four_stages(
    depth: int, asked: BlockKind | None, block: BlockKind, blocks: tuple[int, ...]
) -> None:
    spec = of_depth(depth, Family("imagenet", asked), classes=10)
    assert (spec.block, spec.blocks, spec.depth) == (block, blocks, depth)


def test_a_deeper_network_of_the_same_family_contains_the_shallower_below_the_next_split() -> None:
    for block, splits in PUBLISHED_SPLITS.items():
        step = 2 if block == "basic" else 3
        for depth in range(max(splits), max(splits) + 10 * step, step):
            here, there = (
                of_depth(d, Family("imagenet", block), classes=10).blocks
                for d in (depth, depth + step)
            )
            assert [b - a for a, b in zip(here, there, strict=True)] == [0, 0, 1, 0]


@pytest.mark.parametrize(("stem", "width"), [("cifar", 16), ("imagenet", 64)])
def test_the_width_follows_the_stem(stem: Stem, width: int) -> None:
    assert of_depth(20, Family(stem), classes=10).width == width


def test_the_plain_family_differs_in_its_shortcut() -> None:
    assert of_depth(20, Family(shortcut=None), classes=10) == Spec((3, 3, 3), shortcut=None)
