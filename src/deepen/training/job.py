"""From what was asked for to what can be run: pictures read, network built, steps counted."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepen.data.loader import steps_per_epoch
from deepen.data.ready import Data, differing, measured, ready
from deepen.data.source import absolute, read
from deepen.data.survey import Bad
from deepen.data.table import Table
from deepen.errors import UserError
from deepen.model.machine import Chosen, choose
from deepen.model.model import Model, new
from deepen.model.options import Machine
from deepen.nets.choice import SMALL, spec_of
from deepen.nets.cost import stage_costs
from deepen.nets.spec import Spec
from deepen.training.plan import Plan
from deepen.training.recipe import Recipe
from deepen.training.run import Run, claimed
from deepen.training.settings import Settings
from deepen.training.size import picture_size, preprocessing
from deepen.training.step import Task
from deepen.training.trial import seconds_per_step
from deepen.watch import Watch, silent

MARGIN = 0.95
"""Share of the minutes given that is planned for: the rest is for what a trial cannot see."""


@dataclass(frozen=True)
class Job:
    """A training that can begin, or go on."""

    run: Run
    settings: Settings
    plan: Plan
    data: Data
    model: Model
    task: Task
    machine: Chosen
    step_seconds: float
    """Expected, from a short trial."""
    size_reason: str
    """Why the network sees pictures of this size."""
    resumed: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What the model file says of its origin."""
        return {"source": asdict(self.settings.source), "seed": self.plan.seed}

    @property
    def bad(self) -> list[Bad]:
        """Pictures that turned out not to be usable, so far."""
        splits = (self.data.train, self.data.validation, self.data.test)
        return [one for split in splits if split for one in split.bad.values()]

    @property
    def seconds(self) -> float:
        """Expected for the whole training."""
        return self.plan.steps * self.step_seconds * (1 + _validation_share(self.data))


def prepare(settings: Settings, out: str | Path | None = None, watch: Watch = silent) -> Job:
    """Read, check and settle everything, then write the run folder; raises UserError before that.

    Without `out` the folder is a new one in runs/, called after the source.
    """
    began = time.monotonic()
    if out:
        Run(Path(out)).refuse_if_used()
    machine = choose(settings.machine, training=True)
    table = read(settings.source, settings.seed)
    size, why = picture_size(settings, table, machine)
    recipe = fitted(settings.recipe, size, len(table.splits["train"]))
    spec = spec_of(settings.choice, size, len(table.classes))
    refuse_unfit(recipe, spec, size, table)
    preprocess = preprocessing(size)
    stored = recipe.augment.stored(size, preprocess.resize)
    data = ready(table, preprocess, stored, machine.workers, watch)
    model = new(spec, table.classes, measured(preprocess, data.train), settings.seed)
    task = task_of(model, recipe, machine, data)
    each = seconds_per_step(task, stored)
    steps = affordable_steps(settings, data, recipe, each, time.monotonic() - began)
    plan = planned(task, data, stored, steps, settings.seed)
    name = Path(settings.source.source or "built-in").stem or "pictures"
    run = Run(Path(out) if out else claimed(Path("runs"), name))
    settings = replace(settings, source=absolute(settings.source))
    run.begin({"settings": settings.to_dict(), "plan": plan.to_dict(), "step_seconds": each})
    return Job(run, settings, plan, data, model, task, machine, each, why)


def affordable_steps(
    settings: Settings, data: Data, recipe: Recipe, each: float, spent: float
) -> int:
    """Steps of `each` seconds in the minutes given, of which `spent` seconds are gone; without
    minutes, those of the recipe's epochs."""
    if settings.minutes is None:
        return recipe.epochs * steps_per_epoch(len(data.train.labels), recipe.batch)
    left = MARGIN * (60 * settings.minutes - spent)
    return max(1, int(left / (each * (1 + _validation_share(data)))))


def planned(task: Task, data: Data, stored: int, steps: int, seed: int) -> Plan:
    """Everything settled, to be written down."""
    machine, per_epoch = task.machine, steps_per_epoch(len(data.train.labels), task.recipe.batch)
    return Plan(
        spec=task.network.spec,
        classes=data.report.classes,
        preprocess=task.preprocess,
        recipe=replace(task.recipe, epochs=-(-steps // per_epoch)),
        stored=stored,
        steps=steps,
        steps_per_epoch=per_epoch,
        seed=seed,
        device=machine.device.type,
        precision=machine.precision,
        threads=machine.threads,
        compile=machine.compile,
        data=data.fingerprint,
    )


def resume(folder: str | Path, workers: int | None = None, watch: Watch = silent) -> Job:
    """The job of a run folder, settled as it was; raises UserError where the pictures changed."""
    run = Run(Path(folder))
    written = run.settings()
    try:
        settings, plan = Settings.from_dict(written["settings"]), Plan.from_dict(written["plan"])
        each = float(written["step_seconds"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{run.folder}'s run.json is not whole: {error}") from error
    same = Machine(plan.device, plan.precision, plan.threads, workers, plan.compile)  # type: ignore[arg-type]
    machine = choose(same, training=True)
    table = read(settings.source, settings.seed)
    data = ready(table, plan.preprocess, plan.stored, machine.workers, watch)
    if data.fingerprint != plan.data:
        raise UserError(
            f"the pictures of {table.source} are not those that {run.folder} began with: "
            f"{differing(plan.data, data.fingerprint)}"
        )
    model = new(plan.spec, plan.classes, plan.preprocess, plan.seed)
    task = task_of(model, plan.recipe, machine, data)
    return Job(run, settings, plan, data, model, task, machine, each, "as before", True)


def prepared_or_resumed(
    settings: Settings, out: Path | None, folder: Path | None, watch: Watch
) -> Job:
    """A new job, or that of a run folder, whose own settings hold: none may be given beside it."""
    if folder is None:
        return prepare(settings, out, watch)
    workers = settings.machine.workers
    if out is not None or settings != Settings(machine=Machine(workers=workers)):
        raise UserError(
            f"--resume {folder} goes on with the settings in its run.json; "
            "beside it only --workers may be given"
        )
    return resume(folder, workers, watch)


def fitted(recipe: Recipe, size: int, pictures: int) -> Recipe:
    """The recipe with what it leaves open settled for `pictures` of `size` pixels."""
    crop = recipe.augment.crop
    if crop == "auto":
        crop = "shift" if size <= SMALL else "resized"
    batch = recipe.batch or max(16, min(250 if size <= SMALL else 64, pictures // 20))
    accumulate = recipe.accumulate
    batch = max(accumulate, min(batch, pictures) // accumulate * accumulate)
    return replace(recipe, batch=batch, augment=replace(recipe.augment, crop=crop))


def refuse_unfit(recipe: Recipe, spec: Spec, size: int, table: Table) -> None:
    """Raises UserError for settings that these pictures and this network cannot be trained with."""
    if recipe.patience and "validation" not in table.splits:
        raise UserError("--patience needs pictures to validate on, and --validation 0 leaves none")
    augment, most = recipe.augment, 32 * (size - 1) // size
    if augment.crop == "shift" and augment.border == "reflect" and augment.padding > most:
        raise UserError(f"--padding {augment.padding}: a border can be reflected up to {most}")
    if stage_costs(spec, size)[-2].size == 1 and recipe.batch == recipe.accumulate:
        raise UserError(
            f"a norm needs more than one value: pictures of {size} pixels end as one pixel, "
            "and parts of the batch are single pictures; take a larger --batch"
        )


def task_of(model: Model, recipe: Recipe, machine: Chosen, data: Data) -> Task:
    """What a training step works on."""
    weights = None
    if recipe.class_weights:
        counts = np.bincount(data.train.labels, minlength=len(model.classes))
        shares = counts.sum() / (len(counts) * np.maximum(counts, 1))
        weights = torch.tensor(shares, dtype=torch.float32, device=machine.device)
    return Task(model.network, recipe, model.preprocess, machine, weights, len(model.classes))


def _validation_share(data: Data) -> float:
    """Time of validation beside that of training: a forward pass is about a third of a step."""
    held_out = len(data.validation.labels) if data.validation else 0
    return held_out / len(data.train.labels) / 3
