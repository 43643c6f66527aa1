"""Probabilities and labels to what can be said of a model: counts first, shares from them."""

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepen.data.loader import Pictures
from deepen.data.rows import some
from deepen.model.predict import Probabilities
from deepen.tables import plain_table

if TYPE_CHECKING:
    from rich.console import Group

CALIBRATION_BINS = 15
MOST_CLASSES = 30
"""Rows of the printed table; the classes with most errors come first."""


@dataclass(frozen=True)
class Share:
    """A share of pictures with its 95 % interval (Wilson's)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.2f} % ({100 * self.low:.2f} to {100 * self.high:.2f})"


@dataclass(frozen=True)
class ClassResult:
    """How one class fares."""

    name: str
    n: int
    """Pictures of this class."""
    wrong: int
    """Of these, called something else."""
    claimed: int
    """Pictures that were called this, rightly or not."""

    @property
    def precision(self) -> float | None:
        """Share of right ones among those claimed; None where none was."""
        return (self.n - self.wrong) / self.claimed if self.claimed else None

    @property
    def recall(self) -> float | None:
        """Share of right ones among the pictures of this class; None without any."""
        return (self.n - self.wrong) / self.n if self.n else None


@dataclass(frozen=True)
class Bin:
    """Pictures whose highest probability falls into one range."""

    n: int
    confidence: float
    """Mean of the highest probability."""
    accuracy: float
    """Share of them that was right."""


@dataclass(frozen=True)
class Evaluation:
    """Of a model on labelled pictures."""

    n: int
    wrong: int
    """Pictures whose most likely class is not theirs."""
    top1_error: Share
    top5_error: Share | None
    """None with five classes or fewer, where it says nothing."""
    per_class: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Row: the true class. Column: the predicted one."""
    calibration: tuple[Bin, ...]
    calibration_error: float
    """Expected calibration error (arXiv:1706.04599, equation 3): mean |accuracy - confidence|."""
    left_out: tuple[str, ...]
    """Pictures that could not be read, with the reason; they are not among the n."""
    mistakes: tuple[int, ...]
    """Numbers of the wrong pictures within the split."""
    labels: str
    """Digest of names and labels of the pictures: two evaluations of equal ones are paired."""

    pictures: str
    """Which ones they were, for a person: source and split."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __rich__(self) -> "Group":
        """For a terminal."""
        from rich.console import Group
        from rich.text import Text

        worst = sorted(self.per_class, key=lambda c: (c.recall is None, c.recall))
        table = plain_table()
        table.add_column("class")
        for heading in ("pictures", "wrong", "recall", "precision"):
            table.add_column(heading, justify="right")
        table.add_column("most often called")
        for one in worst[:MOST_CLASSES]:
            shares = [_percent(one.recall), _percent(one.precision)]
            table.add_row(one.name, str(one.n), str(one.wrong), *shares, self._confused(one.name))
        return Group(*(Text(line) for line in self.lines()), table)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The whole in a few sentences."""
        top5 = f"; top-5 error {self.top5_error}" if self.top5_error else ""
        said = [
            f"{self.pictures}: {self.wrong:,} wrong of {self.n:,}",
            f"top-1 error {self.top1_error}{top5}; intervals of 95 %",
            f"expected calibration error {100 * self.calibration_error:.1f} %",
        ]
        return said + ([f"left out: {some(self.left_out)}"] if self.left_out else [])

    def _confused(self, name: str) -> str:
        names = [one.name for one in self.per_class]
        row = list(self.confusion[names.index(name)])
        row[names.index(name)] = 0
        return f"{names[row.index(max(row))]} ({max(row)})" if max(row) else ""


def score(
    likely: Probabilities, pictures: Pictures, classes: tuple[str, ...], said: str
) -> Evaluation:
    """Of probabilities (n, classes) of n pictures; those that could not be read do not count.

    `said` names the pictures for a person.
    """
    from sklearn.metrics import confusion_matrix

    good = np.setdiff1d(np.arange(len(likely)), list(pictures.unreadable))
    likely, labels = likely[good], pictures.labels[good]
    predicted = likely.argmax(1)
    right = predicted == labels
    confusion = confusion_matrix(labels, predicted, labels=np.arange(len(classes)))
    bins = _calibration(likely.max(1), right)
    return Evaluation(
        n=len(labels),
        wrong=int((~right).sum()),
        top1_error=share(int((~right).sum()), len(labels)),
        top5_error=_top5(likely, labels),
        per_class=_per_class(confusion, classes),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        calibration=bins,
        calibration_error=sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / len(labels),
        left_out=tuple(f"{bad.name} ({bad.reason})" for bad in pictures.bad.values()),
        mistakes=tuple(int(i) for i in good[~right]),
        labels=_digest(pictures),
        pictures=said,
    )


def share(count: int, n: int) -> Share:
    """count / n with Wilson's 95 % interval."""
    from scipy.stats import binomtest

    interval = binomtest(count, n).proportion_ci(0.95, method="wilson")
    return Share(count / n, float(interval.low), float(interval.high))


def _top5(likely: Probabilities, labels: NDArray[np.int64]) -> Share | None:
    if likely.shape[1] <= 5:
        return None
    best = np.argpartition(likely, -5, axis=1)[:, -5:]
    return share(int((best != labels[:, None]).all(1).sum()), len(labels))


def _per_class(confusion: NDArray[np.int64], classes: tuple[str, ...]) -> tuple[ClassResult, ...]:
    return tuple(
        ClassResult(name, int(row.sum()), int(row.sum() - row[i]), int(confusion[:, i].sum()))
        for i, (name, row) in enumerate(zip(classes, confusion, strict=True))
    )


def _calibration(confidence: Probabilities, right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    place = np.digitize(confidence, edges, right=True)
    filled = [place == i for i in range(CALIBRATION_BINS) if (place == i).any()]
    return tuple(
        Bin(int(here.sum()), float(confidence[here].mean()), float(right[here].mean()))
        for here in filled
    )


def _digest(pictures: Pictures) -> str:
    whole = hashlib.blake2b(pictures.labels.tobytes(), digest_size=16)
    for name in pictures.names:
        whole.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return whole.hexdigest()


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
