"""The first lines of a run: what was found and chosen, and what to type for something else."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepen.nets.cost import cost
from deepen.nets.info import describe
from deepen.training.conclude import REPORT
from deepen.training.job import Job


def first_lines(job: Job) -> list[tuple[str, str]]:
    """(what, what it is) pairs, in the order of printing."""
    plan, machine = job.plan, job.machine
    size = plan.preprocess.size
    whole = cost(plan.spec, size)
    lines = [
        (
            "device",
            f"{machine.device.type}; threads: {machine.threads}, to decode {machine.workers}",
        ),
        ("precision", f"{machine.precision} ({machine.reason}), channels last"),
        ("images", _images(job)),
        ("classes", _classes(plan.classes)),
        ("network", f"{plan.spec.depth} layers: {describe(plan.spec)}"),
        ("stem", _stem(job)),
        ("parameters", f"{whole.parameters:,}; {whole.multiply_adds / 1e6:,.0f} M multiply-adds"),
        ("memory", _memory(job)),
        ("recipe", _recipe(job)),
        ("time", f"about {duration(job.seconds)}, at {1000 * job.step_seconds:,.0f} ms a step"),
        ("folder", str(job.run.folder)),
    ]
    return lines + [("note", line) for line in job.data.report.lines()]


def say(job: Job, console: Console) -> None:
    """Print the first lines."""
    table = Table.grid(padding=(0, 2))
    for what, line in first_lines(job):
        table.add_row(what, Text(line))
    console.print(table)
    console.print()


def say_next(job: Job, console: Console) -> None:
    """Print where everything is and what to type next."""
    folder = job.run.folder
    for one in job.bad:
        console.print(f"left out: {one.name} ({one.reason})", soft_wrap=True)
    console.print(f"model     {job.run.model}", soft_wrap=True)
    console.print(f"report    {folder / REPORT}", soft_wrap=True)
    console.print(f"curves    tensorboard --logdir {folder}", soft_wrap=True)
    console.print(f"next      deepen predict {folder} PICTURES", soft_wrap=True)


def duration(seconds: float) -> str:
    """In the unit that a person would use."""
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _images(job: Job) -> str:
    splits = {
        "train": job.data.train,
        "validation": job.data.validation,
        "test": job.data.test,
    }
    counts = [f"{len(split.labels):,} {name}" for name, split in splits.items() if split]
    size = job.plan.preprocess.size
    return f"{', '.join(counts)}; seen at {size}x{size} pixels ({job.size_reason})"


def _classes(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:8])
    return f"{len(names)}: {shown}{', ...' if len(names) > 8 else ''}"


def _stem(job: Job) -> str:
    choice, stem = job.settings.choice, job.plan.spec.stem
    size = job.plan.preprocess.size
    if choice.network or choice.stem:
        return f"{stem}, asked for"
    if choice.depth:
        return f"{stem}, as pictures of {size} pixels want it; for another: --stem"
    other = "--depth 56" if stem == "cifar" else "--network resnet50"
    return f"{stem}, as pictures of {size} pixels want it; for another network: {other}"


def _memory(job: Job) -> str:
    plan = job.plan
    whole = cost(plan.spec, plan.preprocess.size)
    batch = -(-plan.recipe.batch // plan.recipe.accumulate)
    kept = whole.activation_bytes(batch, 2 if plan.precision == "bf16" else 4)
    weights = 3 * 4 * whole.parameters
    return (
        f"about {kept / 2**20:,.0f} MiB of activations, "
        f"{weights / 2**20:,.0f} MiB of weights, gradients and momentum"
    )


def _recipe(job: Job) -> str:
    plan, recipe = job.plan, job.plan.recipe
    epochs = plan.steps / plan.steps_per_epoch
    return (
        f"{recipe.optimiser}, {epochs:.3g} epochs of {plan.steps_per_epoch} steps "
        f"of {recipe.batch}, {recipe.schedule} schedule"
    )
