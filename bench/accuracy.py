"""How many epochs and minutes until a network's test error on CIFAR-10 is what the paper reports?

    python bench/accuracy.py [--depth 20] [--epochs 20] [--seeds 0 1 2] [--out FILE.json] [--quick]

Trains with the recipe `fast` on all 50,000 training pictures of $DEEPEN_DATA/cifar10, none of them
held out, and tests in fp32 on the 10,000 test pictures, once as they are and once averaging each
with its mirror image. The schedule is fitted to the epochs: an error is that of a whole training.
The peer is the paper: Table 6 of arXiv:1512.03385, 164 epochs, no averaging. A ratio is our error
over the paper's. The minutes are those of the training steps; reading and testing are left out.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from scipy.stats import t

from deepen.data.source import Source
from deepen.errors import UserError
from deepen.files import replace_durably
from deepen.model.evaluate import evaluate
from deepen.model.options import Inference, Machine
from deepen.nets.choice import Choice
from deepen.nets.zoo import published
from deepen.training.job import Job, prepare
from deepen.training.loop import train
from deepen.training.recipe import RECIPES
from deepen.training.settings import Settings
from side_by_side import Flags, begin, cifar10, machine, run

LEAST = 3
"""Seeds from which an interval is given."""


@dataclass(frozen=True)
class Result:
    """Of one seed; errors are fractions."""

    seed: int
    error: float
    flipped: float
    """Averaging over each picture and its mirror image."""
    minutes: float


@Parameter(name="*")
@dataclass(frozen=True)
class Asked:
    """What to train."""

    depth: int = 20
    """Layers: 20, 32, 44, 56, 110 or 1202, as in the paper."""
    epochs: int = 20
    """Passes over the training pictures."""
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (0, 1, 2)
    """One training each."""
    limit: int | None = None
    """Pictures a split, to see that it works."""
    threads: int | None = None
    """Cores to use; all there are unless told otherwise."""
    runs: Path | None = None
    """Keep the run folders in this one."""


def main(
    *,
    flags: Flags = Flags(),  # noqa: B008 - frozen
    asked: Asked = Asked(),
    out: Path | None = None,
) -> None:
    """Test error on CIFAR-10 beside the paper's, for some seeds.

    Parameters
    ----------
    out
        Also write what was found to this file, as JSON.
    """
    if flags.quick:
        asked = replace(asked, epochs=1, seeds=asked.seeds[:1], limit=100)
    settings, paper = settings_of(asked), published(f"cifar-resnet{asked.depth}").error
    since = begin(flags, asked.threads)
    with TemporaryDirectory() as temporary:
        runs = asked.runs or Path(temporary)
        results = [trained(replace(settings, seed=seed), runs) for seed in asked.seeds]
    assert paper
    title = f"ResNet-{asked.depth}, epochs: {asked.epochs}"
    lines = [*table(results, paper, title), "", *machine(since)]
    print("\n".join(lines))
    if out is not None:
        values = {"settings": settings.to_dict(), "seeds": [asdict(result) for result in results]}
        replace_durably(out, json.dumps({**values, "table": lines}, indent=2).encode())


def settings_of(asked: Asked) -> Settings:
    """Of each training, but for its seed."""
    data = cifar10()
    if data is None:
        raise UserError("DEEPEN_DATA is not set: a folder with cifar10 in it")
    return Settings(
        source=Source(str(data), validation=0, limit=asked.limit),
        choice=Choice(depth=asked.depth),
        recipe=replace(RECIPES["fast"], epochs=asked.epochs),
        machine=Machine(device="cpu", threads=asked.threads),
    )


def trained(settings: Settings, runs: Path) -> Result:
    """Train, then test the model file that training leaves, in both ways."""
    depth, seed = settings.choice.depth, settings.seed
    job = prepare(settings, runs / f"resnet{depth}-seed{seed}")
    plain = train(job, Console(stderr=True, highlight=False))
    flipped = evaluate(job.run.model, inference=Inference(flip=True))
    assert plain
    return Result(seed, plain.top1_error.value, flipped.top1_error.value, minutes(job))


def minutes(job: Job) -> float:
    """Of the training steps, as the run's log has them."""
    ends = [event["seconds"] for event in job.run.events() if event["event"] == "epoch"]
    return float(ends[-1]) / 60


def table(results: list[Result], paper: float, title: str) -> Iterator[str]:
    """A line a seed, then their mean and spread, then the paper."""
    yield f"{'ratio':>6}  {'error %':>7}  {'flipped %':>9}  {'minutes':>7}  {title}"
    for result in results:
        yield _row(paper, result.error, result.flipped, result.minutes, f"seed {result.seed}")
    errors, flipped = [r.error for r in results], [r.flipped for r in results]
    average = mean(r.minutes for r in results)
    yield _row(paper, mean(errors), mean(flipped), average, f"mean of {len(results)}")
    if len(results) > 1:
        yield _spread("least to most", (min(errors), max(errors)), (min(flipped), max(flipped)))
    if len(results) >= LEAST:
        yield _spread("95 % interval of the mean", interval(errors), interval(flipped))
    yield f"{1:>6.2f}  {paper:>7.2f}  {'':>9}  {'':>7}  the paper, 164 epochs"


def _row(paper: float, error: float, flipped: float, minutes: float, name: str) -> str:
    plain, both = 100 * error, 100 * flipped
    return f"{plain / paper:>6.2f}  {plain:>7.2f}  {both:>9.2f}  {minutes:>7.1f}  {name}"


def _spread(name: str, plain: tuple[float, float], both: tuple[float, float]) -> str:
    ends = [f"{100 * low:.2f} to {100 * high:.2f} %" for low, high in (plain, both)]
    return f"{'':>6}  {name}: {ends[0]}; flipped {ends[1]}"


def interval(values: list[float]) -> tuple[float, float]:
    """Student's t, 95 %."""
    n, middle = len(values), mean(values)
    variance = sum((value - middle) ** 2 for value in values) / (n - 1)
    half = float(t.ppf(0.975, n - 1)) * (variance / n) ** 0.5
    return middle - half, middle + half


if __name__ == "__main__":
    run(main)
