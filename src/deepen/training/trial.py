"""A short trial on this machine: how long a step takes, before anyone waits for a thousand."""

import time
from copy import deepcopy
from statistics import median

import numpy as np

from deepen.data.loader import Batch
from deepen.training.optimiser import optimisers
from deepen.training.step import Task, step

TRIAL_SECONDS = 2.0
TRIAL_STEPS = 12


def seconds_per_step(task: Task, stored: int) -> float:
    """Median time of a step, in seconds, on a copy of the network and on pictures of noise."""
    task = deepcopy(task)
    task.machine.place(task.network)
    task.network.train()
    trial = optimisers(task.network, task.recipe)
    for optimiser in trial:
        for group in optimiser.param_groups:
            group["lr"] = 0.0  # noise at the full rate may overflow, which would say nothing
    times: list[float] = []
    batch = _noise(task, stored)
    with task.machine.running():
        step(task, trial, batch, epoch=0)  # Kernels are chosen and memory is found once.
        while len(times) < TRIAL_STEPS and (not times or sum(times) < TRIAL_SECONDS):
            began = time.perf_counter()
            step(task, trial, batch, epoch=0)
            times.append(time.perf_counter() - began)
    return median(times)


def _noise(task: Task, stored: int) -> Batch:
    n, draws = task.recipe.batch, np.random.default_rng(0)
    pixels = draws.integers(0, 256, (n, stored, stored, 3), dtype=np.uint8)
    return Batch(np.arange(n), pixels, draws.integers(0, task.classes, n))
