"""`deepen evaluate`: a model held against labelled pictures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepen.data.cache import Cache
from deepen.data.pack import prepare
from deepen.data.source import Source, read
from deepen.data.table import Table, same_name
from deepen.errors import UserError, nearest
from deepen.files import replace_durably
from deepen.model.draw import draw_evaluation
from deepen.model.evaluation import Evaluation, score
from deepen.model.machine import choose
from deepen.model.model import Model, load
from deepen.model.options import Inference, Machine
from deepen.model.predict import probabilities
from deepen.watch import Watch, silent

RESULT, PICTURE = "evaluation.json", "evaluation.png"


def evaluate(
    path: str | Path,
    source: Source | None = None,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    inference: Inference = Inference(),  # noqa: B008 - frozen
    watch: Watch = silent,
    out: Path | None = None,
) -> Evaluation:
    """The model of a run folder or file on the test split of `source`, else its validation split,
    else all of it; without a source, on the pictures that were held out when it was trained.

    evaluation.json and evaluation.png are written into the folder `out`; without it, into the run
    folder if neither source, flip nor precision make the result another than the run's own. Raises
    UserError.
    """
    model, chosen = load(path), choose(machine, training=False)
    table = _table(model, source)
    name = next(n for n in ("test", "validation", "train") if n in table.splits)
    labels = matched(table, model.classes)
    split = replace(table.splits[name], labels=labels[table.splits[name].labels])
    pictures = prepare(split, model.preprocess, Cache(), chosen.workers, watch)
    likely = probabilities(model, pictures, chosen, inference, watch)
    if len(pictures.bad) == len(split):
        first = next(iter(pictures.bad.values()))
        raise UserError(
            f"{table.source}: none of {len(split)} pictures can be used; "
            f"{first.name}: {first.reason}"
        )
    result = score(likely, pictures, model.classes, f"{table.source}, {name} split")
    usual = not inference.flip and chosen.precision == "fp32"
    if out is None and source is None and usual and Path(path).is_dir():
        out = Path(path)
    if out is not None:
        save(result, out)
    return result


def save(result: Evaluation, folder: Path) -> None:
    """Write the evaluation and its picture into a folder, made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error
    replace_durably(folder / RESULT, json.dumps(result.to_dict()).encode())
    draw_evaluation(result, folder / PICTURE)


def matched(table: Table, classes: tuple[str, ...]) -> NDArray[np.int64]:
    """For each class of the table its place among the model's, by name; raises UserError for one
    that the model does not know."""
    known = [same_name(name) for name in classes]
    for name in table.classes:
        if same_name(name) not in known:
            first = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
            raise UserError(
                f"{table.source} has a class {name!r} that the model does not know"
                f"{nearest(name, classes)}; it knows {first}"
            )
    return np.array([known.index(same_name(name)) for name in table.classes], dtype=np.int64)


def _table(model: Model, source: Source | None) -> Table:
    if source is not None:
        return read(replace(source, validation=0.0), seed=0)
    if "source" not in model.facts:
        raise UserError(
            "the model does not say what it was trained on: name a source to evaluate on"
        )
    return read(Source(**model.facts["source"]), model.facts["seed"])
