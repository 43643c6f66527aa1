"""What a person asks for becomes a Spec: a published name or a depth, and what else they said."""

from dataclasses import dataclass, fields, replace

from deepen.errors import UserError
from deepen.nets.depth import Family, of_depth
from deepen.nets.spec import BlockKind, Option, Order, Spec, Stem
from deepen.nets.zoo import published

SMALL = 64
"""Largest pictures, in pixels, that get the CIFAR stem: the ImageNet stem would shrink 32 pixels to
8 before the first block, which costs tens of points of accuracy."""


@dataclass(frozen=True)
class Choice:
    """A network by its name or by its depth."""

    network: str | None = None
    """A published network, by its exact name: `deepen info` lists them."""
    depth: int | None = None
    """Layers: 6n+2 with the CIFAR stem (9n+2 of bottlenecks), else in four stages."""
    stem: Stem | None = None
    """Follows from the picture's size: cifar up to 64 pixels, imagenet above."""
    block: BlockKind | None = None
    """basic, but bottleneck from 50 layers on with the ImageNet stem."""
    order: Order | None = None
    """post: convolution, norm, ReLU, the default; pre: norm, ReLU, convolution."""
    shortcut: Option | None = None
    """How shortcuts change shape: A with the CIFAR stem, B with the ImageNet stem, as published."""
    plain: bool = False
    """No shortcuts at all."""
    zero_gamma: bool = False
    """Start each residual block as the identity: its last norm's scale at 0."""
    survival: float = 1.0
    """Stochastic depth: probability that the last block is kept in a step; 1: always."""


def spec_of(choice: Choice, image_size: int, classes: int) -> Spec:
    """The network asked for; 20 layers for small pictures and resnet18 for larger ones where
    nothing was. Raises UserError for a name or depth that does not exist, or for both at once."""
    spec = _named(choice) if choice.network else _by_depth(choice, image_size)
    if choice.plain:
        spec = replace(spec, shortcut=None)
    return replace(
        spec,
        classes=classes,
        zero_gamma=choice.zero_gamma or spec.zero_gamma,
        survival=choice.survival,
    )


def stem_of(choice: Choice, image_size: int) -> Stem:
    """The stem asked for, or the one that suits the pictures' size in pixels."""
    return choice.stem or ("cifar" if image_size <= SMALL else "imagenet")


def _named(choice: Choice) -> Spec:
    assert choice.network
    said = [f"--{name}" for name in _shape_settings() if getattr(choice, name) is not None]
    if said:
        raise UserError(f"--network {choice.network} already says what {said[0]} would; give one")
    return published(choice.network).spec


def _shape_settings() -> list[str]:
    return [
        field.name for field in fields(Choice) if field.default is None and field.name != "network"
    ]


def _by_depth(choice: Choice, image_size: int) -> Spec:
    stem = stem_of(choice, image_size)
    usual: Option = "A" if stem == "cifar" else "B"
    family = Family(stem, choice.block, choice.order or "post", choice.shortcut or usual)
    unsaid = 20 if stem == "cifar" else 18
    return of_depth(unsaid if choice.depth is None else choice.depth, family, classes=1)
