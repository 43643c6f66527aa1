"""The training loop: one straight function from the first step to the last."""

import time
from collections.abc import Iterator
from itertools import islice

import torch
from rich.console import Console

from deepen.data.loader import Batch, key, shuffled
from deepen.errors import Interrupted
from deepen.model.evaluation import Evaluation, score
from deepen.model.model import Model
from deepen.model.options import Inference
from deepen.model.predict import probabilities
from deepen.training.conclude import conclude
from deepen.training.job import Job
from deepen.training.journal import Journal, opened
from deepen.training.schedule import rate_factor
from deepen.training.state import Progress, State, begin
from deepen.training.step import Diverged, step
from deepen.watch import Stop

SAVE_SECONDS = 60.0
"""At least so often a training saves its state: what a kill can cost."""


def train(job: Job, console: Console | None = None, stop: Stop | None = None) -> Evaluation | None:
    """From where the run folder's state stands to the end of the plan; the folder holds the model.

    Returns the evaluation on held-out pictures, if there are any. Raises Interrupted when asked to
    stop, after saving, and Diverged when the numbers overflow; the last good state is kept.
    """
    console, stop = console or Console(quiet=True), stop or Stop()
    plan, saved = job.plan, time.monotonic()
    with job.machine.running(), opened(job.run, plan, console, stop) as journal:
        state = started(job, journal)
        progress = state.progress
        try:
            while progress.epoch < plan.epochs and not out_of_patience(job, state):
                state.network.train()
                began = time.monotonic()
                for batch in islice(batches(job, progress), plan.steps - progress.step):
                    torch.manual_seed(key(plan.seed, progress.epoch, 0, progress.step))
                    set_rates(job, state)
                    result = step(job.task, state.optimisers, batch, progress.epoch)
                    state.follow()
                    now = time.monotonic()
                    progress.add(result, len(batch.labels), now - began)
                    began = now
                    journal.step(progress, result)
                    stop.check()
                    if now - saved > SAVE_SECONDS:
                        state.save(job.run.state)
                        saved = now
                finish_epoch(job, state, journal)
            return conclude(job, journal.watch)
        except Interrupted:
            state.save(job.run.state)
            journal.interrupted(progress)
            raise
        except Diverged as reason:
            raise Diverged(f"step {progress.step + 1}: {reason}; {kept(job, progress)}") from None


def kept(job: Job, progress: Progress) -> str:
    """What a training that cannot go on leaves behind."""
    good = f"kept in {job.run.folder} as of its last save"
    return f"epoch {progress.epoch + 1}; {good if job.run.state.exists() else 'nothing saved yet'}"


def batches(job: Job, progress: Progress) -> Iterator[Batch]:
    """What is left of this epoch, in the order that (seed, epoch) decide."""
    plan = job.plan
    first = progress.step - progress.epoch * plan.steps_per_epoch
    return shuffled(job.data.train, plan.recipe.batch, plan.seed, progress.epoch, first)


def started(job: Job, journal: Journal) -> State:
    """The saved state if there is one, else the state before the first step."""
    job.machine.place(job.model.network)
    state = begin(job.model.network, job.plan.recipe)
    if job.run.state.exists():
        state.restore(job.run.state)
    journal.begin(state.progress, resumed=job.resumed)
    journal.left_out(job.bad)
    return state


def set_rates(job: Job, state: State) -> None:
    """Give every optimiser this step's learning rate."""
    plan = job.plan
    factor = rate_factor(plan.recipe, state.progress.step, plan.steps, plan.spec.depth)
    heights = (plan.recipe.learning_rate, plan.recipe.filter_rate)
    for optimiser, height in zip(state.optimisers, heights, strict=False):
        for group in optimiser.param_groups:
            group["lr"] = height * factor * group["share"]


def finish_epoch(job: Job, state: State, journal: Journal) -> None:
    """Validate, keep the model (with patience: the best one), save the state, write it down."""
    progress, plan = state.progress, job.plan
    state.refuse_overflow()
    model = Model(state.best_guess, plan.classes, plan.preprocess)
    error = validation_error(job, model, journal)
    best = progress.best_error
    better = error is not None and (best is None or error < best)
    journal.epoch(progress, error)
    journal.left_out(job.bad)
    progress.next_epoch(error if better else None)
    if better or not plan.recipe.patience:
        model.facts = {**job.facts, "epoch": progress.epoch, "validation_error": error}
        model.save(job.run.model)
    state.save(job.run.state)


def validation_error(job: Job, model: Model, journal: Journal) -> float | None:
    """Top-1, as a fraction, in the precision of training; None without a validation split."""
    if job.data.validation is None:
        return None
    pictures = job.data.validation
    likely = probabilities(model, pictures, job.machine, Inference(), journal.watch)
    return score(likely, pictures, model.classes, "validation split").top1_error.value


def out_of_patience(job: Job, state: State) -> bool:
    """Whether the validation error has not fallen for as many epochs as the recipe allows."""
    patience, progress = job.plan.recipe.patience, state.progress
    return patience > 0 and progress.epoch - progress.best_epoch >= patience
