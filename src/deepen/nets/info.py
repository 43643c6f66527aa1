"""What `deepen info` prints: the published networks, or one network stage by stage."""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from deepen.errors import UserError
from deepen.nets.choice import Choice, spec_of
from deepen.nets.cost import Cost, cost, stage_costs
from deepen.nets.spec import EXPANSION, Spec
from deepen.nets.zoo import TABLE, published
from deepen.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

CIFAR_SIZE, CIFAR_CLASSES = 32, 10


@dataclass(frozen=True)
class Info:
    """One network at one size of picture: Table 1 of arXiv:1512.03385, and what stages cost."""

    name: str
    spec: Spec
    image_size: int
    """Pixels a side."""
    batch: int
    """Pictures for which activation bytes are counted, in fp32."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UserError(f"--batch is at least 1, found {self.batch}")
        if self.image_size < 1:
            raise UserError(f"--image-size is at least 1 pixel, found {self.image_size}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        stages = zip(self._names(), stage_costs(self.spec, self.image_size), strict=True)
        return {
            "name": self.name,
            "depth": self.spec.depth,
            "spec": self.spec.to_dict(),
            "image_size": self.image_size,
            "batch": self.batch,
            "total": self._row(cost(self.spec, self.image_size)),
            "stages": [{"name": name} | self._row(part) for name, part in stages],
        }

    def __rich__(self) -> "Table":
        """For a terminal."""
        title = f"{self.name}: {self.spec.depth} layers, {describe(self.spec)}"
        pixels = f"Images of {self.image_size} pixels"
        caption = f"{pixels}; activations kept for a batch of {self.batch}, fp32."
        table = plain_table(title=title, caption=caption)
        for heading in ("stage", "output", "layers"):
            table.add_column(heading)
        for heading in ("parameters", "mult-adds", "activations"):
            table.add_column(heading, justify="right", no_wrap=True)
        parts = stage_costs(self.spec, self.image_size)
        for name, layers, part in zip(self._names(), self._layers(), parts, strict=True):
            table.add_row(name, f"{part.size}x{part.size}", layers, *self._numbers(part))
        table.add_section()
        table.add_row("total", "", "", *self._numbers(cost(self.spec, self.image_size)))
        return table

    def _names(self) -> list[str]:
        return ["stem", *(f"layer{s}" for s in range(1, len(self.spec.blocks) + 1)), "head"]

    def _layers(self) -> list[str]:
        spec = self.spec
        stem = f"3x3 {spec.width}" if spec.stem == "cifar" else f"7x7 {spec.width} /2, pool /2"
        stages = [f"{count} x ({_block(spec, 2**s)})" for s, count in enumerate(spec.blocks)]
        return [stem, *stages, f"mean, {spec.classes} outputs"]

    def _numbers(self, part: Cost) -> list[str]:
        size = part.activation_bytes(self.batch)
        adds = f"{part.multiply_adds / 1e6:,.1f} M"
        return [f"{part.parameters:,}", adds, f"{size / 2**20:,.1f} MiB"]

    def _row(self, part: Cost) -> dict[str, int]:
        return {
            "size": part.size,
            "parameters": part.parameters,
            "multiply_adds": part.multiply_adds,
            "activation_bytes": part.activation_bytes(self.batch),
        }


@dataclass(frozen=True)
class Listing:
    """Every published network."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"networks": [asdict(row) | {"depth": row.spec.depth} for row in TABLE]}

    def __rich__(self) -> "Table":
        """For a terminal."""

        caption = "Error: top-1, percent, as the source says. Any other depth: deepen info DEPTH"
        table = plain_table(caption=caption)
        table.add_column("network", no_wrap=True)
        for heading in ("depth", "parameters", "mult-adds", "error"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("source", no_wrap=True)
        for row in TABLE:
            whole = cost(row.spec, row.image_size)
            numbers = f"{whole.parameters / 1e6:.2f} M", f"{whole.multiply_adds / 1e9:.2f} G"
            error = "" if row.error is None else f"{row.error:.2f}"
            table.add_row(row.name, str(row.spec.depth), *numbers, error, row.source)
        return table


def info(
    asked: str,
    choice: Choice,
    image_size: int | None = None,
    classes: int | None = None,
    batch: int = 128,
) -> Info:
    """A network by published name, or by depth as `choice` and the image size complete it.

    Without `classes` a published network has its own, another one 10. Raises UserError for a name
    or depth that does not exist, and for a choice that the name answers.
    """
    if asked.isdecimal():
        name, choice = f"depth {asked}", replace(choice, depth=int(asked))
        usual, outputs = 224 if choice.stem == "imagenet" else CIFAR_SIZE, CIFAR_CLASSES
    else:
        row = published(asked)
        name, choice = row.name, replace(choice, network=row.name)
        usual, outputs = row.image_size, row.spec.classes
    size = usual if image_size is None else image_size
    spec = spec_of(choice, size, outputs if classes is None else classes)
    return Info(name, spec, size, batch)


def describe(spec: Spec) -> str:
    """A network in a line: its blocks by stage, its shortcuts, its stem."""
    split = "-".join(str(count) for count in spec.blocks)
    shortcuts = "plain" if spec.shortcut is None else f"shortcuts {spec.shortcut}"
    order = ", pre-activation" if spec.order == "pre" else ""
    return f"{spec.block} blocks {split}, {shortcuts}{order}, {spec.stem} stem"


def _block(spec: Spec, scale: int) -> str:
    width, inner = spec.width * scale, (spec.inner or spec.width) * scale
    if spec.block == "basic":
        return f"3x3 {width}, 3x3 {width}"
    groups = f" in {spec.groups}" if spec.groups > 1 else ""
    return f"1x1 {inner}, 3x3 {inner}{groups}, 1x1 {width * EXPANSION[spec.block]}"
