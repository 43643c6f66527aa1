"""`deepen predict`: pictures to probabilities, in batches."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.text import Text

from deepen.data.folder import listed
from deepen.data.loader import Pictures, in_order
from deepen.data.pack import Streamed
from deepen.data.survey import Bad
from deepen.data.table import Lazy, Split
from deepen.errors import UserError
from deepen.files import exists
from deepen.model.machine import Chosen, choose
from deepen.model.model import Model, load
from deepen.model.options import Inference, Machine
from deepen.tables import plain_table
from deepen.watch import Watch, silent

if TYPE_CHECKING:
    from rich.table import Table

OTHERS = 2
"""Further classes shown beside the most likely one."""

Probabilities = NDArray[np.float32]


def probabilities(
    model: Model, pictures: Pictures, machine: Chosen, settings: Inference, watch: Watch
) -> Probabilities:
    """Softmax of the logits of every picture, in order: shape (n, classes).

    A label does not depend on the batch; probabilities may in the sixth digit, since PyTorch picks
    its kernels by the batch's size.
    """
    n, done = len(pictures.labels), []
    net = model.network.eval()
    machine.place(net)
    batches = in_order(pictures, settings.batch)
    with machine.running(), torch.inference_mode(), machine.autocast():
        for batch in watch(batches, -(-n // settings.batch), "evaluating"):
            crops = model.preprocess.crop(batch.pixels)
            images = machine.images(torch.from_numpy(model.preprocess.normalise(crops)))
            likely = net(images).float().softmax(1)
            if settings.flip:
                likely = (likely + net(images.flip(3)).float().softmax(1)) / 2
            done.append(likely.cpu().numpy())
    return np.concatenate([np.empty((0, model.spec.classes), np.float32), *done])


@dataclass(frozen=True)
class Prediction:
    """Of one picture."""

    name: str
    """Its path, as given."""
    label: str | None
    """The most likely class; None for a picture that could not be read."""
    probability: float | None
    others: tuple[tuple[str, float], ...]
    """The next classes and their probabilities, most likely first."""
    error: str | None = None
    """Why there is no label."""


@dataclass(frozen=True)
class Predictions:
    """Of several pictures, in the order given."""

    rows: tuple[Prediction, ...]

    def to_dict(self) -> list[dict[str, Any]]:
        """Plain values for JSON."""
        return [asdict(row) for row in self.rows]

    def __str__(self) -> str:
        return self.csv()

    def csv(self) -> str:
        """name, label, probability, error; a line a picture."""
        body = io.StringIO()
        writer = csv.writer(body, lineterminator="\n")
        writer.writerow(("name", "label", "probability", "error"))
        for row in self.rows:
            writer.writerow((row.name, row.label, row.probability, row.error))
        return body.getvalue()

    def json_lines(self) -> str:
        """A JSON object a picture."""
        return "".join(json.dumps(row) + "\n" for row in self.to_dict())

    def __rich__(self) -> "Table":
        """For a terminal."""
        table = plain_table()
        for heading in ("picture", "label", "sure", "otherwise"):
            table.add_column(heading, overflow="fold")
        for row in self.rows:
            others = "".join(f"{name} {100 * p:.0f} %" for name, p in row.others[:1] if p >= 0.005)
            sure = "" if row.probability is None else f"{100 * row.probability:.1f} %"
            label = Text(row.label) if row.label else Text(row.error or "", style="red")
            table.add_row(Text(row.name), label, sure, Text(others))
        return table


def predict(
    path: str | Path,
    files: Sequence[str | Path],
    machine: Machine = Machine(),  # noqa: B008 - frozen
    inference: Inference = Inference(),  # noqa: B008 - frozen
    watch: Watch = silent,
) -> Predictions:
    """What the model of a run folder or file calls pictures; folders give all pictures in them.

    A picture that cannot be read is a row with an error. Raises UserError for a path that does not
    exist, for a folder without pictures, and where no path is given.
    """
    model, chosen = load(path), choose(machine, training=False)
    paths = [one for file in files for one in _pictures(Path(file))]
    if not paths:
        raise UserError("no pictures are named: give files, folders, or - and paths on stdin")
    split = Split(
        pictures=Lazy(lambda index: paths[index].read_bytes(), len(paths)),
        labels=np.zeros(len(paths), np.int64),
        names=[str(one) for one in paths],
    )
    pictures = Streamed(split, model.preprocess, chosen.workers)
    likely = probabilities(model, pictures, chosen, inference, watch)
    return Predictions(
        tuple(
            _prediction(name, row, model.classes, pictures.bad.get(index))
            for index, (name, row) in enumerate(zip(split.names, likely, strict=True))
        )
    )


def paths_in(text: str) -> list[str]:
    """One a line; blank lines are nothing."""
    return [line for line in text.splitlines() if line.strip()]


def _prediction(
    name: str, row: Probabilities, classes: Sequence[str], bad: Bad | None
) -> Prediction:
    if bad is not None:
        return Prediction(name, None, None, (), bad.reason)
    first, *others = np.argsort(-row, kind="stable")[: 1 + OTHERS]
    also = tuple((classes[i], float(row[i])) for i in others)
    return Prediction(name, classes[first], float(row[first]), also)


def _pictures(path: Path) -> list[Path]:
    if not exists(path):
        raise UserError(f"there is no picture {path}")
    if not path.is_dir():
        return [path]
    found = [path / inside for inside in listed(path).pictures]
    if not found:
        raise UserError(f"there are no pictures in {path}")
    return found
