"""Pictures of trainings: curves, and what the trained model makes of pictures it never saw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepen.model.draw import draw_confusion, save_figure
from deepen.model.evaluation import Evaluation

COLUMNS, ROWS = 6, 3
SHOWN = COLUMNS * ROWS
"""Pictures in a report."""
CURVES = (
    ("loss", "training loss"),
    ("train_error", "training error, %"),
    ("validation_error", "validation error, %"),
)


def draw_report(
    events: Sequence[dict[str, Any]],
    result: Evaluation,
    pixels: NDArray[np.uint8],
    said: Sequence[tuple[str, str]],
    path: Path,
) -> None:
    """Curves, confusion matrix and some pictures, as a PNG.

    Shapes: pixels (m, r, r, 3), up to SHOWN; said: the true and the predicted name of each.
    """
    figure = Figure(figsize=(16, 5.5), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, squeeze=False, width_ratios=(1, 1.1, 1.3))[0]
    loss, error = left.subplots(2, 1, sharex=True)
    draw_curve(loss, events, "loss", "training")
    draw_curve(error, events, "train_error", "training, augmented")
    draw_curve(error, events, "validation_error", "validation")
    loss.set(title="loss")
    error.set(title="error, %", xlabel="epoch")
    error.legend()
    draw_confusion(middle.subplots(), result)
    grid = right.subplots(ROWS, COLUMNS)
    for axes in grid.flat:
        axes.axis("off")
    for axes, picture, (true, called) in zip(grid.flat, pixels, said, strict=False):
        draw_picture(axes, picture, true, called)
    right.suptitle("called (if wrong: is)")
    figure.suptitle(f"{result.pictures}: top-1 error {result.top1_error}")
    save_figure(figure, path)


def draw_curves(runs: Sequence[tuple[str, Sequence[dict[str, Any]]]], path: Path) -> None:
    """The curves of several runs in one picture, as a PNG; raises UserError if it cannot."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, 3), CURVES, strict=True):
        for run, events in runs:
            draw_curve(axes, events, name, run)
        axes.set(title=title, xlabel="epoch")
        axes.legend()
    save_figure(figure, path)


def draw_curve(axes: Axes, events: Sequence[dict[str, Any]], name: str, label: str) -> None:
    """One value of the epochs in a log; errors in percent."""
    rows = [e for e in events if e["event"] == "epoch" and e[name] is not None]
    scale = 1 if name == "loss" else 100
    if rows:
        values = [scale * row[name] for row in rows]
        axes.plot(
            [row["epoch"] for row in rows],
            values,
            label=label,
            marker="." if len(rows) < 40 else "",
        )


def draw_picture(axes: Axes, picture: NDArray[np.uint8], true: str, called: str) -> None:
    """A picture under what it was called; what it is beside it, in red, if that was wrong."""
    axes.imshow(picture)
    right = true == called
    axes.set_title(
        called if right else f"{called}\n(is {true})", size=8, color="black" if right else "tab:red"
    )
