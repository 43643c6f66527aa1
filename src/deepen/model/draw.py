"""Pictures of an evaluation."""

import io
import warnings
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from deepen.files import replace_durably
from deepen.model.evaluation import Evaluation

NAMED = 20
"""Classes up to which a confusion matrix carries names and counts."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG durably; a letter that the font lacks becomes a box. Raises UserError."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar in a name is a dollar
    body = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(body, format="png", dpi=100)
    replace_durably(path, body.getvalue())


def draw_evaluation(result: Evaluation, path: Path) -> None:
    """Confusion matrix, errors by class and calibration, as a PNG."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_confusion(left, result)
    draw_classes(middle, result)
    draw_calibration(right, result)
    figure.suptitle(f"{result.pictures}: top-1 error {result.top1_error}")
    save_figure(figure, path)


def draw_confusion(axes: Axes, result: Evaluation) -> None:
    """Counts, true classes down, predicted ones across; the diagonal left out of the colours."""
    counts = np.array(result.confusion)
    mistakes = counts - np.diag(np.diag(counts))
    axes.imshow(mistakes, cmap="Reds")
    axes.set(title="mistakes", xlabel="called", ylabel="is")
    if len(counts) > NAMED:
        return
    names = [one.name for one in result.per_class]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    dark = mistakes.max() / 2
    for (row, column), count in np.ndenumerate(counts):
        if count:
            weight, colour = ("bold", "0.45") if row == column else ("normal", "black")
            colour = "white" if mistakes[row, column] > dark else colour
            axes.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                size=7,
                weight=weight,
                color=colour,
            )


def draw_classes(axes: Axes, result: Evaluation) -> None:
    """Errors of the classes with most of them."""
    worst = sorted(result.per_class, key=lambda one: one.recall if one.recall is not None else 2)
    worst = worst[:NAMED][::-1]
    axes.barh(
        [one.name for one in worst],
        [100 * (1 - (one.recall or 0)) for one in worst],
        color="tab:red",
    )
    axes.set(title="error by class", xlabel="percent")


def draw_calibration(axes: Axes, result: Evaluation) -> None:
    """How often the model is right, by how sure it is."""
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="calibrated")
    confidence = [one.confidence for one in result.calibration]
    axes.plot(
        confidence, [one.accuracy for one in result.calibration], marker="o", label="this model"
    )
    axes.set(
        title=f"calibration error {100 * result.calibration_error:.1f} %",
        xlabel="how sure",
        ylabel="how often right",
    )
    axes.legend()
