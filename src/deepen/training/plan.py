"""What is settled before the first step, and written down so that a resumed run is the same run."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from deepen.data.preprocess import Preprocess
from deepen.nets.spec import Spec
from deepen.training.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """Nothing is left open: with the data, it decides every bit of the result on one machine."""

    spec: Spec
    classes: tuple[str, ...]
    preprocess: Preprocess
    recipe: Recipe
    stored: int
    """Side of the squares that training crops from, in pixels."""
    steps: int
    steps_per_epoch: int
    seed: int
    device: str
    precision: str
    threads: int
    compile: bool
    data: str
    """Fingerprint of the pictures and their split."""

    @property
    def epochs(self) -> int:
        """Begun epochs: the last may be cut short by a budget in minutes."""
        return -(-self.steps // self.steps_per_epoch)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, after JSON."""
        special = {
            "spec": Spec.from_dict(values["spec"]),
            "classes": tuple(values["classes"]),
            "preprocess": Preprocess.from_dict(values["preprocess"]),
            "recipe": Recipe.from_dict(values["recipe"]),
        }
        return cls(**{**values, **special})
