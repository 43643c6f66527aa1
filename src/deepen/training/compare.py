"""`deepen compare`: what differs between runs, in settings and in errors."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepen.errors import UserError
from deepen.model.evaluate import RESULT
from deepen.model.evaluation import Share
from deepen.tables import plain_table
from deepen.training.draw import draw_curves
from deepen.training.run import Run

if TYPE_CHECKING:
    from rich.console import Group

PICTURE = "compare.png"
NORMAL_95 = 1.959964
NEEDED = ("n", "top1_error", "pictures", "labels", "mistakes")
"""Of an evaluation's fields."""


@dataclass(frozen=True)
class Paired:
    """Two networks on the same pictures."""

    first_only: int
    """Pictures that only the first run got wrong."""
    second_only: int
    difference: float
    """Error of the second minus that of the first, as a fraction."""
    low: float
    high: float
    """Its 95 % interval."""
    p_value: float
    """Of no difference: exact McNemar test."""


@dataclass(frozen=True)
class Row:
    """One run."""

    name: str
    error: Share
    pictures: str
    paired: Paired | None
    """With the first run; None for itself, and where the pictures were others."""


@dataclass(frozen=True)
class Comparison:
    """Of several runs, the first being the one that others are held against."""

    rows: tuple[Row, ...]
    settings: dict[str, tuple[Any, ...]]
    """Settings that differ: one value a run."""
    picture: str
    """Path of the curves."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __rich__(self) -> "Group":
        """For a terminal."""
        from rich.console import Group
        from rich.text import Text

        errors = plain_table()
        for heading in ("run", "top-1 error, 95 %", "against the first, paired", "p"):
            errors.add_column(heading)
        for row in self.rows:
            errors.add_row(row.name, str(row.error), *_said(row.paired))
        settings = plain_table()
        for heading in ("setting", *(row.name for row in self.rows)):
            settings.add_column(heading)
        for name, values in self.settings.items():
            settings.add_row(name, *(str(value) for value in values))
        return Group(errors, settings, Text(f"curves: {self.picture}"))


def compare(folders: Sequence[str | Path], picture: str | Path | None = None) -> Comparison:
    """Runs that have been trained to the end, held against the first of them.

    Their curves are drawn into `picture`, else into compare.png in the first run's folder. Raises
    UserError for a folder that is no finished run.
    """
    if len(folders) < 2:
        raise UserError(f"comparing takes two runs or more, found {len(folders)}")
    runs = [Run(Path(folder)) for folder in folders]
    settings, results = [_flat(run.settings()) for run in runs], [_result(run) for run in runs]
    picture = Path(picture) if picture else runs[0].folder / PICTURE
    draw_curves([(str(run.folder), run.events()) for run in runs], picture)
    rows = [
        Row(
            str(run.folder),
            Share(**result["top1_error"]),
            result["pictures"],
            _paired(results[0], result),
        )
        for run, result in zip(runs, results, strict=True)
    ]
    return Comparison(tuple(rows), _differing(settings), str(picture))


def _result(run: Run) -> dict[str, Any]:
    path = run.folder / RESULT
    if not path.exists():
        raise UserError(f"{run.folder} has no {RESULT}: finish the training, or deepen evaluate it")
    try:
        result = json.loads(path.read_text())
        return {name: result[name] for name in NEEDED}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not whole ({error}): deepen evaluate {run.folder}") from error


def _flat(written: dict[str, Any]) -> dict[str, Any]:
    """settings and plan as `a.b.c` to a value; the plan's own fields win."""
    flat: dict[str, Any] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, inside in value.items():
                add(f"{prefix}.{name}" if prefix else name, inside)
        else:
            flat[prefix] = value

    add("", written["settings"])
    add("", written["plan"])
    return flat


def _differing(settings: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    names = sorted(set().union(*settings))
    values = {name: tuple(one.get(name) for one in settings) for name in names}
    return {name: row for name, row in values.items() if any(v != row[0] for v in row)}


def _paired(first: dict[str, Any], second: dict[str, Any]) -> Paired | None:
    same = first["labels"] == second["labels"]
    if first is second or not same:
        return None
    from scipy.stats import binomtest

    n, a, b = first["n"], set(first["mistakes"]), set(second["mistakes"])
    only_a, only_b = len(a - b), len(b - a)
    difference = (only_b - only_a) / n
    half = NORMAL_95 * (only_a + only_b - n * difference**2) ** 0.5 / n
    p = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return Paired(only_a, only_b, difference, difference - half, difference + half, float(p))


def _said(paired: Paired | None) -> tuple[str, str]:
    if paired is None:
        return "", ""
    low, high = 100 * paired.low, 100 * paired.high
    return (
        f"{100 * paired.difference:+.2f} points ({low:+.2f} to {high:+.2f})",
        f"{paired.p_value:.2g}",
    )
