"""How large a network sees the pictures: small ones as they are, others as time allows."""

from dataclasses import replace

from deepen.data.augment import Augment
from deepen.data.preprocess import Preprocess
from deepen.data.ready import usual_side
from deepen.data.table import Table
from deepen.model.machine import Chosen
from deepen.nets.choice import SMALL, spec_of
from deepen.nets.network import network
from deepen.training.settings import Settings
from deepen.training.step import Task
from deepen.training.trial import seconds_per_step

SIZES = (224, 192, 160, 128, 96)
"""Pixels a side for larger pictures; the first is that of arXiv:1512.03385, section 3.4."""
PATIENCE = 3600.0
"""Seconds that a training on a CPU may take where nobody said."""
FEWEST_EPOCHS = 5
"""Worth having in a given number of minutes; fewer, and smaller pictures teach more."""
TRIED, TRIED_BATCH = 96, 8


def picture_size(settings: Settings, table: Table, machine: Chosen) -> tuple[int, str]:
    """Pixels a side, and why."""
    if settings.image_size is not None:
        return settings.image_size, "asked for"
    side = usual_side(table)
    if side <= SMALL:
        return max(8, side), "their own size"
    sizes = [size for size in SIZES if size <= side] or [SIZES[-1]]
    if machine.device.type != "cpu":
        return sizes[0], "as in the paper" if sizes[0] == SIZES[0] else "about their own"
    return _affordable(settings, table, machine, sizes)


def preprocessing(size: int) -> Preprocess:
    """Small pictures whole; of larger ones the centre of a square 256/224 as large."""
    resize = size if size <= SMALL else round(size * 256 / 224)
    return Preprocess(size, resize, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def _affordable(
    settings: Settings, table: Table, machine: Chosen, sizes: list[int]
) -> tuple[int, str]:
    """The largest of `sizes` at which the training fits: time grows with the number of pixels."""
    budget = PATIENCE if settings.minutes is None else 60 * settings.minutes
    epochs = settings.recipe.epochs if settings.minutes is None else FEWEST_EPOCHS
    tried = _seconds_per_picture(settings, len(table.classes), machine)
    for size in sizes:
        expected = tried * (size / TRIED) ** 2 * epochs * len(table.splits["train"])
        if expected <= budget:
            return size, f"what {budget / 60:.0f} minutes on this CPU allow for {epochs} epochs"
    return sizes[-1], f"the least, though {epochs} epochs do not fit into {budget / 60:.0f} minutes"


def _seconds_per_picture(settings: Settings, classes: int, machine: Chosen) -> float:
    still = replace(settings.recipe, batch=TRIED_BATCH, accumulate=1, augment=Augment(crop="none"))
    spec = spec_of(settings.choice, SIZES[0], classes)
    task = Task(network(spec), still, preprocessing(TRIED), machine, None, classes)
    return seconds_per_step(task, TRIED) / TRIED_BATCH
