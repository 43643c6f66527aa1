"""What a training says while it runs: to the terminal, to log.jsonl and to TensorBoard."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deepen.data.survey import Bad
from deepen.training.plan import Plan
from deepen.training.run import Run
from deepen.training.state import Progress as Standing
from deepen.training.step import Result
from deepen.watch import Stop, Watch, watched

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

LOG_SECONDS = 2.0
"""Between two lines of the log within an epoch."""
PRINT_SECONDS = 30.0
"""Between two printed lines within an epoch, where there is no terminal to draw a bar on."""


class Journal:
    """Keeps the log of one training; made by `opened`."""

    def __init__(self, run: Run, plan: Plan, console: Console, watch: Watch) -> None:
        self.run, self.plan, self.console, self.watch = run, plan, console, watch
        self.events: SummaryWriter | None = None
        self._left_out: set[str] = set()
        self.bar = _bar(console)
        self._task = self.bar.add_task("", total=plan.steps, said="")
        self._logged = self._printed = time.monotonic()

    def begin(self, standing: Standing, *, resumed: bool) -> None:
        """Say where a resumed training goes on."""
        from torch.utils.tensorboard.writer import SummaryWriter

        self.events = SummaryWriter(str(self.run.folder), purge_step=standing.step)
        self.bar.update(self._task, completed=standing.step)
        self.run.forget_after(standing.step, standing.epoch)
        self._left_out = {e["name"] for e in self.run.events() if e["event"] == "left out"}
        if standing.step:
            self.console.print(f"going on after step {standing.step} of {self.plan.steps}")
            self.run.log("resumed", step=standing.step)
        elif resumed:
            self.console.print("stopped before anything was saved: starting from the beginning")

    def left_out(self, pictures: Iterable[Bad]) -> None:
        """Name pictures that could not be used, each once, in the log."""
        for one in pictures:
            if one.name not in self._left_out:
                self._left_out.add(one.name)
                self.run.log("left out", name=one.name, reason=one.reason)

    def interrupted(self, standing: Standing) -> None:
        """Say what was saved and how to go on."""
        self._print(
            f"stopped and saved after step {standing.step} of {self.plan.steps}; go on with: "
            f"deepen train --resume {self.run.folder}"
        )

    def step(self, standing: Standing, result: Result) -> None:
        """Show a step; write some of them down."""
        now = time.monotonic()
        said = _so_far(standing)
        self.bar.update(self._task, completed=standing.step, said=said)
        if not self.console.is_terminal and now - self._printed > PRINT_SECONDS:
            self._print(f"step {standing.step} of {self.plan.steps}: {said}")
        if now - self._logged > LOG_SECONDS:
            self._logged = now
            self.run.log("step", step=standing.step, loss=result.loss, gradient=result.gradient)
            self._scalars(standing.step, {"loss/step": result.loss, "gradient": result.gradient})

    def epoch(self, standing: Standing, validation_error: float | None) -> None:
        """Show an epoch and write it down."""
        loss, error = standing.loss / standing.seen, standing.wrong / standing.seen
        held_out = (
            f", validation error {100 * validation_error:.2f} %"
            if validation_error is not None
            else ""
        )
        number = f"epoch {standing.epoch + 1} of {self.plan.epochs}"
        self._print(f"{number}: {_so_far(standing)}{held_out}")
        self.run.log(
            "epoch",
            step=standing.step,
            epoch=standing.epoch + 1,
            seconds=round(standing.seconds, 3),
            loss=loss,
            train_error=error,
            validation_error=validation_error,
        )
        scalars = {"loss/epoch": loss, "error/train": error, "error/validation": validation_error}
        self._scalars(standing.step, scalars)

    def close(self) -> None:
        """Take the bar away and flush TensorBoard's file."""
        self.bar.stop()
        if self.events is not None:
            self.events.close()

    def _scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        for name, value in values.items():
            if self.events is not None and value is not None:
                self.events.add_scalar(name, value, step)

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        self.console.print(line, soft_wrap=True)


@contextmanager
def opened(run: Run, plan: Plan, console: Console, stop: Stop) -> Iterator[Journal]:
    """The journal of a run, its bar shown on terminals until it is closed."""
    journal = Journal(run, plan, console, watched(console, stop))
    try:
        if console.is_terminal:
            journal.bar.start()
        yield journal
    finally:
        journal.close()


def _bar(console: Console) -> Progress:
    return Progress(
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        refresh_per_second=4,
    )


def _so_far(standing: Standing) -> str:
    """Of this epoch: mean loss, error, and images a second."""
    seen = max(standing.seen, 1)
    speed = standing.seen / standing.epoch_seconds if standing.epoch_seconds else 0.0
    return (
        f"loss {standing.loss / seen:.3f}, error {100 * standing.wrong / seen:.1f} %, "
        f"{speed:,.0f} images/s"
    )
