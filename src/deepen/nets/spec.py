"""A network as a value: what is said here is all there is to say about an architecture."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from deepen.errors import UserError, nearest

BlockKind = Literal["basic", "bottleneck"]
Option = Literal["A", "B", "C"]
Order = Literal["post", "pre"]
Stem = Literal["cifar", "imagenet"]
ShortcutKind = Literal["identity", "pad", "projection"]

EXPANSION = {"basic": 1, "bottleneck": 4}
LAYERS_PER_BLOCK = {"basic": 2, "bottleneck": 3}


@dataclass(frozen=True)
class Spec:
    """A plain or residual network (arXiv:1512.03385, section 3; pre-activation: 1603.05027)."""

    blocks: tuple[int, ...]
    """Blocks of each stage; each stage but the first halves the map and doubles the filters."""
    stem: Stem = "cifar"
    """cifar: one 3x3 convolution (section 4.2). imagenet: 7x7 of stride 2 and pooling (Table 1)."""
    block: BlockKind = "basic"
    """basic: two 3x3 layers. bottleneck: 1x1, 3x3, 1x1 (Figure 5)."""
    shortcut: Option | None = "A"
    """Section 3.3's options. A: identity, padded with zeros where filters double; B: projection
    there; C: projection everywhere. None: a plain network."""
    order: Order = "post"
    """post: convolution, norm, ReLU (1512.03385). pre: norm, ReLU, convolution (1603.05027)."""
    width: int = 16
    """Filters of the stem and of the first stage (before a bottleneck's expansion by four)."""
    inner: int | None = None
    """Filters of the 3x3 layer in the first stage's bottlenecks, where it is not `width`: wide
    networks (1605.07146) and ResNeXt (1611.05431)."""
    groups: int = 1
    """Groups of the bottleneck's 3x3 layer: ResNeXt's cardinality."""
    stride_on: Literal["1x1", "3x3"] = "3x3"
    """The bottleneck's layer that halves the map: the first 1x1 (1512.03385), or the 3x3: v1.5."""
    zero_gamma: bool = False
    """Start the last norm's scale of each residual block at 0 (1706.02677, section 5.1)."""
    survival: float = 1.0
    """Probability that the last block is kept in a training step, falling linearly from 1 at the
    input: stochastic depth (1603.09382, section 3)."""
    classes: int = 10
    """Outputs of the last, fully connected layer."""

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise UserError(problem)

    @property
    def depth(self) -> int:
        """Weighted layers on the longest path, as the paper counts them (projections excluded)."""
        return LAYERS_PER_BLOCK[self.block] * sum(self.blocks) + 2

    @property
    def features(self) -> int:
        """Channels that reach the last, fully connected layer."""
        last = len(self.blocks) - 1
        return self.width * (1 << last) * EXPANSION[self.block]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The Spec written by `to_dict`; raises UserError for a field that it does not have."""
        allowed = [field.name for field in fields(cls)]
        for name in values.keys() - set(allowed):
            raise UserError(f"a network has no setting {name!r}{nearest(name, allowed)}")
        return cls(**{**values, "blocks": tuple(values["blocks"])})


@dataclass(frozen=True)
class BlockShape:
    """Where a block stands and what it does to a feature map."""

    stage: int
    """From 1, as in the name layer1."""
    index: int
    """From 0 within the stage."""
    c_in: int
    inner: int
    """Filters of the layers before the last."""
    c_out: int
    stride: int
    shortcut: ShortcutKind | None
    shares_activation: bool
    """Pre-activation only: the first norm and ReLU stand before the paths part, as they do in the
    first block and wherever the shape changes (1603.05027, appendix)."""
    survival: float

    @property
    def name(self) -> str:
        """Such as layer1.0: torchvision's name of the block."""
        return f"layer{self.stage}.{self.index}"


def block_shapes(spec: Spec) -> Iterator[BlockShape]:
    """Every block of a network, from input to output."""
    c_in, total, position = spec.width, sum(spec.blocks), 0
    for stage, count in enumerate(spec.blocks, start=1):
        scale = 2 ** (stage - 1)
        c_out = spec.width * scale * EXPANSION[spec.block]
        for index in range(count):
            position += 1
            stride = 2 if stage > 1 and index == 0 else 1
            changes = stride > 1 or c_in != c_out
            yield BlockShape(
                stage=stage,
                index=index,
                c_in=c_in,
                inner=(spec.inner or spec.width) * scale,
                c_out=c_out,
                stride=stride,
                shortcut=_shortcut_kind(spec.shortcut, changes),
                shares_activation=changes or position == 1,
                survival=1 - position / total * (1 - spec.survival),
            )
            c_in = c_out


def _shortcut_kind(option: Option | None, changes: bool) -> ShortcutKind | None:
    if option is None:
        return None
    if option == "C" or (changes and option == "B"):
        return "projection"
    return "pad" if changes else "identity"


def _problems(spec: Spec) -> Iterator[str]:
    if not spec.blocks or min(spec.blocks) < 1:
        yield f"every stage needs at least one block, found {list(spec.blocks)}"
    if spec.classes < 1 or spec.width < 1:
        yield f"classes and width are at least 1, found {spec.classes} and {spec.width}"
    if not 0 < spec.survival <= 1:
        yield f"survival is a probability above 0 and up to 1, found {spec.survival}"
    if spec.shortcut is None and spec.survival < 1:
        yield "a plain network cannot drop blocks: survival below 1 needs shortcuts"
    if spec.zero_gamma and (spec.shortcut is None or spec.order == "pre"):
        yield "zero_gamma needs a residue that ends in a norm: post-activation, with shortcuts"
    if spec.block == "basic" and (spec.groups != 1 or spec.inner):
        yield "groups and inner are for bottlenecks; this network has basic blocks"
    if (spec.inner or spec.width) % spec.groups:
        yield f"{spec.inner or spec.width} filters do not divide into {spec.groups} groups"
