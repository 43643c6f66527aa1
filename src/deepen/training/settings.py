"""Everything that decides a training: asked for by a person, then settled and written down."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from deepen.data.source import Source
from deepen.errors import UserError
from deepen.model.options import Machine
from deepen.nets.choice import Choice
from deepen.training.recipe import RECIPES, Recipe


@dataclass(frozen=True)
class Settings:
    """What was asked for; the flags of `deepen train`."""

    source: Source = field(default_factory=Source)
    choice: Choice = field(default_factory=Choice)
    recipe: Recipe = RECIPES["fast"]
    machine: Machine = field(default_factory=Machine)
    image_size: int | None = None
    """Pixels a side that the network sees; the pictures' own up to 64, otherwise 224 or what the
    time allows."""
    minutes: float | None = None
    """Time for the whole training; a short trial turns it into a number of steps."""
    seed: int = 0
    """Decides the first weights, the order, the augmentation and the splits."""

    def __post_init__(self) -> None:
        if self.minutes is not None and not 0 < self.minutes < float("inf"):
            raise UserError(f"--minutes is above 0, found {self.minutes}")
        if self.image_size is not None and not 8 <= self.image_size <= 2048:
            raise UserError(f"--image-size is from 8 to 2048 pixels, found {self.image_size}")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"--seed is from 0 to 2**63 - 1, found {self.seed}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, after JSON."""
        return cls(
            source=Source(**values["source"]),
            choice=Choice(**values["choice"]),
            recipe=Recipe.from_dict(values["recipe"]),
            machine=Machine(**values["machine"]),
            image_size=values["image_size"],
            minutes=values["minutes"],
            seed=values["seed"],
        )
