"""How to train: frozen settings, each with its source. Named recipes are literals."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from deepen.data.augment import Augment
from deepen.errors import UserError, nearest


@dataclass(frozen=True)
class Recipe:
    """The settings of one training, apart from the data and the network."""

    optimiser: Literal["sgd", "muon"] = "sgd"
    """sgd: momentum on everything. muon: orthogonalised momentum on the convolutions' filters
    (arXiv:2502.16982), SGD on the rest."""
    epochs: int = 20
    """Passes over the training pictures; the schedule is fitted to them."""
    batch: int = 0
    """Pictures a step; 0: 250 small ones or 64 larger ones, fewer (down to 16) of a small set."""
    learning_rate: float = 0.1
    """Of SGD, at the schedule's height."""
    filter_rate: float = 0.042
    """Of muon's filters, at the schedule's height: the share of their length that a step adds."""
    momentum: float = 0.9
    """Of SGD: the share of the last update that the next one keeps."""
    filter_momentum: float = 0.8
    """Of muon's filters."""
    nesterov: bool = False
    """Look ahead along the momentum, in SGD."""
    weight_decay: float = 1e-4
    """Of the weights in SGD; beside muon, of the last layer's alone."""
    schedule: Literal["step", "linear", "cosine"] = "step"
    """step: divided by ten at each milestone. linear, cosine: down to zero at the end."""
    hold: float = 0.0
    """Share of the training that `linear` and `cosine` stay at their height first."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """Of `step`, as shares of the whole training."""
    warmup: int = 0
    """Steps before the schedule's height."""
    warmup_form: Literal["flat", "ramp"] = "ramp"
    """flat: a tenth of the height (section 4.2). ramp: from near zero up to it."""
    warmup_depth: int = 0
    """Warm up only networks of at least this many layers."""
    label_smoothing: float = 0.0
    """Share of a label spread over all classes (arXiv:1512.00567, section 7)."""
    class_weights: bool = False
    """Weigh the loss so that each class counts alike, however many pictures it has."""
    average: float = 0.0
    """Decay of an exponential moving average of the weights, saved in their stead; 0: none."""
    clip: float = 0.0
    """Largest norm of the gradient, scaled down above it; 0: any."""
    accumulate: int = 1
    """Parts that a batch is computed in, one after the other: less memory; norms see a part."""
    patience: int = 0
    """Stop after so many epochs without a lower validation error, and keep the best; 0: never."""
    augment: Augment = field(default_factory=Augment)
    """What is done to training pictures."""

    def __post_init__(self) -> None:
        for name in ("epochs", "accumulate"):
            if getattr(self, name) < 1:
                raise UserError(f"{_flag(name)} is at least 1, found {getattr(self, name)}")
        for name in (
            "batch",
            "learning_rate",
            "filter_rate",
            "weight_decay",
            "warmup",
            "clip",
            "patience",
        ):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"{_flag(name)} is at least 0, found {getattr(self, name)}")
        for name in ("momentum", "filter_momentum", "label_smoothing", "average", "hold"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{_flag(name)} is from 0 to below 1, found {getattr(self, name)}")
        if not all(0 < milestone < 1 for milestone in self.milestones):
            raise UserError(f"--milestones are between 0 and 1, found {self.milestones}")
        if self.batch % self.accumulate:
            raise UserError(f"a batch of {self.batch} does not divide into {self.accumulate} parts")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The Recipe that `dataclasses.asdict` and JSON made plain."""
        allowed = [f.name for f in fields(cls)]
        for name in values.keys() - set(allowed):
            raise UserError(f"a recipe has no setting {name!r}{nearest(name, allowed)}")
        special = {
            "augment": Augment(**values["augment"]),
            "milestones": tuple(values["milestones"]),
        }
        return cls(**{**values, **special})


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


RecipeName = Literal["fast", "cifar", "imagenet"]

RECIPES: dict[RecipeName, Recipe] = {
    # The default: the best accuracy in the time given, for any number of epochs.
    "fast": Recipe(
        optimiser="muon",
        epochs=20,
        learning_rate=0.1,
        nesterov=True,
        weight_decay=5e-4,
        schedule="linear",
        hold=0.4,
        label_smoothing=0.05,
        augment=Augment(padding=2, border="reflect", flip="alternate"),
    ),
    # arXiv:1512.03385, section 4.2: 64k steps of 128 are 164 epochs of 50,000 pictures; the rate is
    # divided at 32k and 48k, and 110 layers start at a tenth of it for about 400 steps.
    "cifar": Recipe(
        epochs=164,
        batch=128,
        learning_rate=0.1,
        warmup=400,
        warmup_form="flat",
        warmup_depth=110,
        augment=Augment(crop="shift", padding=4, border="zero", flip="random"),
    ),
    # Section 3.4: batch 256, up to 60e4 steps are 120 epochs of 1.28 million pictures; "divided by
    # 10 when the error plateaus", placed at 30, 60 and 90 as published implementations do.
    "imagenet": Recipe(
        epochs=120,
        batch=256,
        learning_rate=0.1,
        milestones=(0.25, 0.5, 0.75),
        augment=Augment(crop="scale", flip="random"),
    ),
}
