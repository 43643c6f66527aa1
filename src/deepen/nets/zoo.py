"""Every published network: its Spec and what its paper says of it. Facts, one a row."""

from dataclasses import dataclass, replace
from typing import Literal

from deepen.errors import UserError, nearest
from deepen.nets.depth import PUBLISHED_SPLITS, Family, of_depth
from deepen.nets.spec import Order, Spec


@dataclass(frozen=True)
class Published:
    """A row: what a paper names, and what it reports."""

    name: str
    spec: Spec
    image_size: int
    """Pixels a side, in the paper's experiments."""
    source: str
    """arXiv id and place."""
    giga_multiply_adds: float | None = None
    million_parameters: float | None = None
    error: float | None = None
    """Percent, top-1: the test set of CIFAR-10; ImageNet's validation set, as `source` tests it."""


_RESNET = "1512.03385"
_V2 = "1603.05027"
_IMAGENET = Spec((2, 2, 2, 2), stem="imagenet", shortcut="B", width=64, classes=1000)


def _imagenet(depth: int, order: Order = "post", stride_on: Literal["1x1", "3x3"] = "3x3") -> Spec:
    block: Literal["basic", "bottleneck"] = "bottleneck" if depth >= 50 else "basic"
    blocks = PUBLISHED_SPLITS[block][depth]
    return replace(_IMAGENET, blocks=blocks, block=block, order=order, stride_on=stride_on)


def _plain(spec: Spec) -> Spec:
    return replace(spec, shortcut=None)


def _cifar(depth: int, order: Order = "post") -> Spec:
    return of_depth(depth, Family(order=order), classes=10)


def _cifar_bottleneck(depth: int) -> Spec:
    return of_depth(depth, Family(block="bottleneck", order="pre", shortcut="B"), classes=10)


_TABLE_1, _TABLE_2, _TABLE_3 = (f"{_RESNET} Table {n}" for n in (1, 2, 3))
_TABLE_6, _FIGURE_6 = f"{_RESNET} Table 6", f"{_RESNET} Fig. 6"

TABLE: tuple[Published, ...] = (
    Published("plain18", _plain(_imagenet(18)), 224, _TABLE_2, 1.8, error=27.94),
    Published("plain34", _plain(_imagenet(34)), 224, _TABLE_2, 3.6, error=28.54),
    # Option A in Table 2; the networks that others ship, and Table 3's best of 34 layers, have
    # projections. Table 3 gives 24.52 for option B at 34 layers.
    Published("resnet18", _imagenet(18), 224, _TABLE_1, 1.8),
    Published("resnet34", _imagenet(34), 224, _TABLE_3, 3.6, error=24.52),
    # The "v1.5" form that torchvision and timm ship: the 3x3 halves the map.
    Published("resnet50", _imagenet(50), 224, "v1.5"),
    Published("resnet101", _imagenet(101), 224, "v1.5"),
    Published("resnet152", _imagenet(152), 224, "v1.5"),
    Published("resnet50-v1", _imagenet(50, stride_on="1x1"), 224, _TABLE_3, 3.8, error=22.85),
    Published("resnet101-v1", _imagenet(101, stride_on="1x1"), 224, _TABLE_3, 7.6, error=21.75),
    Published("resnet152-v1", _imagenet(152, stride_on="1x1"), 224, _TABLE_3, 11.3, error=21.43),
    Published("resnet50-v2", _imagenet(50, order="pre"), 224, _V2),
    Published("resnet101-v2", _imagenet(101, order="pre"), 224, _V2),
    Published("resnet152-v2", _imagenet(152, order="pre"), 224, f"{_V2} Table 5", error=21.1),
    Published("resnet200-v2", _imagenet(200, order="pre"), 224, f"{_V2} Table 5", error=20.7),
    Published(
        "resnext50-32x4d",
        replace(_imagenet(50), inner=128, groups=32),
        224,
        "1611.05431 Table 1",
        4.2,
        25.0,
        22.2,
    ),
    Published(
        "resnext101-32x4d",
        replace(_imagenet(101), inner=128, groups=32),
        224,
        "1611.05431 Table 3",
        error=21.2,
    ),
    Published("resnext101-32x8d", replace(_imagenet(101), inner=256, groups=32), 224, "1805.00932"),
    Published(
        "resnext101-64x4d",
        replace(_imagenet(101), inner=256, groups=64),
        224,
        "1611.05431 Table 4",
        error=20.4,
    ),
    Published(
        "wide-resnet50-2",
        replace(_imagenet(50), inner=128),
        224,
        "1605.07146 Table 8",
        million_parameters=68.9,
        error=21.9,
    ),
    Published("wide-resnet101-2", replace(_imagenet(101), inner=128), 224, "1605.07146"),
    *(
        Published(f"cifar-plain{d}", _plain(_cifar(d)), 32, _FIGURE_6)
        for d in (20, 32, 44, 56, 110, 1202)
    ),
    Published("cifar-resnet20", _cifar(20), 32, _TABLE_6, None, 0.27, 8.75),
    Published("cifar-resnet32", _cifar(32), 32, _TABLE_6, None, 0.46, 7.51),
    Published("cifar-resnet44", _cifar(44), 32, _TABLE_6, None, 0.66, 7.17),
    Published("cifar-resnet56", _cifar(56), 32, _TABLE_6, None, 0.85, 6.97),
    Published("cifar-resnet110", _cifar(110), 32, _TABLE_6, None, 1.7, 6.43),
    Published("cifar-resnet1202", _cifar(1202), 32, _TABLE_6, None, 19.4, 7.93),
    Published(
        "cifar-resnet110-v2", _cifar(110, order="pre"), 32, f"{_V2} Table 2", None, 1.7, 6.37
    ),
    Published("cifar-resnet164-v2", _cifar_bottleneck(164), 32, f"{_V2} Table 3", None, 1.7, 5.46),
    Published(
        "cifar-resnet1001-v2", _cifar_bottleneck(1001), 32, f"{_V2} Table 3", None, 10.2, 4.92
    ),
)


def is_published(name: str) -> bool:
    """Whether there is a row of this exact name."""
    return any(row.name == name for row in TABLE)


def published(name: str) -> Published:
    """The row of this exact name; raises UserError naming the nearest."""
    for row in TABLE:
        if row.name == name:
            return row
    names = [row.name for row in TABLE]
    close = (
        nearest(name, names) or f"; there are {names[0]} to {names[-1]}: `deepen info` lists all"
    )
    raise UserError(f"no published network is called {name!r}{close}")
