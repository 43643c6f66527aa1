"""A depth becomes a Spec: the families of the paper, and the rule between its published members."""

from dataclasses import dataclass, replace

from deepen.errors import UserError
from deepen.nets.spec import LAYERS_PER_BLOCK, BlockKind, Option, Order, Spec, Stem

PUBLISHED_SPLITS: dict[BlockKind, dict[int, tuple[int, ...]]] = {
    # arXiv:1512.03385, Table 1; 200 layers: 1603.05027, section 5.
    "basic": {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)},
    "bottleneck": {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)},
}
ONE_EACH = (1, 1, 1, 1)


@dataclass(frozen=True)
class Family:
    """What a depth leaves open."""

    stem: Stem = "cifar"
    block: BlockKind | None = None
    """None: basic, but bottleneck from 50 layers on with the ImageNet stem, as in Table 1."""
    order: Order = "post"
    shortcut: Option | None = "A"


def of_depth(depth: int, family: Family, classes: int) -> Spec:
    """The network of this many layers; raises UserError naming the neighbours that exist."""
    block = family.block or ("bottleneck" if family.stem == "imagenet" and depth >= 50 else "basic")
    spec = Spec(
        blocks=_split(depth, family.stem, block),
        stem=family.stem,
        block=block,
        shortcut=family.shortcut,
        order=family.order,
        classes=classes,
    )
    return replace(spec, width=64) if family.stem == "imagenet" else spec


def _split(depth: int, stem: Stem, block: BlockKind) -> tuple[int, ...]:
    layers = LAYERS_PER_BLOCK[block]
    step, least = (3 * layers, 3 * layers + 2) if stem == "cifar" else (layers, 4 * layers + 2)
    if depth < least or (depth - 2) % step:
        raise UserError(_no_such_depth(depth, step, least, f"{stem} networks of {block} blocks"))
    count = (depth - 2) // layers
    return (count // 3,) * 3 if stem == "cifar" else _four_stages(depth, count, block)


def _four_stages(depth: int, count: int, block: BlockKind) -> tuple[int, ...]:
    """The published split where there is one; else the nearest shallower one, the further blocks
    in the third stage, as from 50 to 101 layers in Table 1."""
    shallower = [d for d in PUBLISHED_SPLITS[block] if d <= depth]
    split = PUBLISHED_SPLITS[block][max(shallower)] if shallower else ONE_EACH
    return (split[0], split[1], split[2] + count - sum(split), split[3])


def _no_such_depth(depth: int, step: int, least: int, family: str) -> str:
    below = (depth - 2) // step * step + 2
    form = f"{step}n+2" if least == step + 2 else f"{step}n+2, from {least}"
    exist = f"{least} is the least" if below < least else f"{below} and {below + step} do"
    return f"depth {depth} does not exist among {family} ({form}); {exist}"
