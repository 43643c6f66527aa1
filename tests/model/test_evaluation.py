"""What is said of a model, against hand-computed numbers and other libraries."""

import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score

from deepen.data.survey import Bad
from deepen.model.evaluation import Evaluation, score, share


@dataclass
class Labelled:
    """Pictures of which only the labels matter."""

    labels: NDArray[np.int64]
    names: Sequence[str] = ()
    unreadable: Collection[int] = ()
    bad: Mapping[int, Bad] = field(default_factory=dict)
    ahead: int = 0

    def fetch(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        raise NotImplementedError


def scored(
    likely: Sequence[Sequence[float]] | NDArray[np.float32],
    labels: Sequence[int] | NDArray[np.int64],
    unreadable: Collection[int] = (),
) -> Evaluation:
    table = np.asarray(likely, np.float32)
    names = tuple("abcdefghijkl"[: table.shape[1]])
    pictures = Labelled(np.asarray(labels, np.int64), [f"{i}.png" for i in range(len(labels))])
    pictures.unreadable = unreadable
    pictures.bad = {i: Bad(i, f"{i}.png", "it is cut short") for i in unreadable}
    return score(table, pictures, names, "photos, test split")


def random_answers(n: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    draws = np.random.default_rng(0)
    logits = draws.normal(size=(n, classes)) * 2
    likely = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.where(draws.random(n) < 0.5, logits.argmax(1), draws.integers(0, classes, n))
    return likely.astype(np.float32), labels.astype(np.int64)


# Four pictures of three classes, by hand.
LIKELY = ((0.9, 0.05, 0.05), (0.2, 0.5, 0.3), (0.6, 0.3, 0.1), (0.1, 0.2, 0.7))
LABELS = (0, 2, 0, 1)


def test_counts_by_hand() -> None:
    found = scored(LIKELY, LABELS)
    assert (found.n, found.wrong, found.mistakes) == (4, 2, (1, 3))
    assert found.top1_error.value == 0.5
    assert found.confusion == ((2, 0, 0), (0, 0, 1), (0, 1, 0))
    by_class = [(c.name, c.n, c.wrong, c.claimed, c.recall, c.precision) for c in found.per_class]
    assert by_class == [
        ("a", 2, 0, 2, 1.0, 1.0),
        ("b", 1, 1, 1, 0.0, 0.0),
        ("c", 1, 1, 1, 0.0, 0.0),
    ]
    assert found.pictures == "photos, test split"


def test_a_class_without_pictures_and_one_never_claimed() -> None:
    found = scored(((0.9, 0.1, 0.0), (0.8, 0.2, 0.0)), (0, 1))
    a, b, c = found.per_class
    assert (a.recall, a.precision) == (1.0, 0.5)
    assert (b.n, b.wrong, b.claimed, b.recall, b.precision) == (1, 1, 0, 0.0, None)
    assert (c.n, c.claimed, c.recall, c.precision) == (0, 0, None, None)
    assert len(found.confusion) == 3


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (50, 64), (172, 2000), (1, 1)])
def test_the_interval_is_wilsons(count: int, n: int) -> None:
    z, p = 1.959963984540054, count / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    found = share(count, n)
    assert found.value == p
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-9)


def test_a_share_is_said_in_percent() -> None:
    assert str(share(50, 64)) == "78.12 % (66.57 to 86.50)"


def test_expected_calibration_error_by_hand() -> None:
    """Fifteen bins: 0.9 in one (accuracy 0.5), 0.6 in another (1), 0.4 in a third (0)."""
    likely = ((0.9, 0.1, 0), (0.9, 0.1, 0), (0.6, 0.4, 0), (0.4, 0.3, 0.3))
    found = scored(likely, (0, 1, 0, 1))
    assert [(b.n, b.accuracy) for b in found.calibration] == [(1, 0.0), (1, 1.0), (2, 0.5)]
    assert [b.confidence for b in found.calibration] == pytest.approx([0.4, 0.6, 0.9])
    expected = 0.25 * 0.4 + 0.25 * 0.4 + 0.5 * 0.4
    assert found.calibration_error == pytest.approx(expected, abs=1e-6)


def test_expected_calibration_error_by_its_definition() -> None:
    """arXiv:1706.04599, equation 3: bins ((m - 1) / 15, m / 15]."""
    likely, labels = random_answers(500, 4)
    sure, right = likely.max(1), likely.argmax(1) == labels
    expected = 0.0
    for m in range(1, 16):
        here = (sure > (m - 1) / 15) & (sure <= m / 15)
        if here.any():
            expected += here.sum() / 500 * abs(right[here].mean() - sure[here].mean())
    assert scored(likely, labels).calibration_error == pytest.approx(expected, abs=1e-6)


def test_whole_certainty_has_a_bin() -> None:
    found = scored(((1.0, 0.0), (0.0, 1.0)), (0, 1))
    assert [(b.n, b.confidence, b.accuracy) for b in found.calibration] == [(2, 1.0, 1.0)]
    assert found.calibration_error == 0


def test_top_5_by_hand_and_by_scikit_learn() -> None:
    by_hand = scored(((0.3, 0.2, 0.2, 0.1, 0.15, 0.05), (0.3, 0.2, 0.2, 0.1, 0.15, 0.05)), (5, 3))
    assert by_hand.top5_error is not None
    assert by_hand.top5_error == share(1, 2)
    likely, labels = random_answers(300, 12)
    found = scored(likely, labels)
    assert found.top5_error is not None
    within = top_k_accuracy_score(labels, likely, k=5, normalize=False, labels=range(12))
    assert found.top5_error == share(300 - int(within), 300)
    assert 0 < found.top5_error.value < found.top1_error.value


@pytest.mark.parametrize("classes", [2, 5])
def test_top_5_of_five_classes_says_nothing(classes: int) -> None:
    likely, labels = random_answers(20, classes)
    assert scored(likely, labels).top5_error is None


def test_precision_and_recall_are_scikit_learns() -> None:
    likely, labels = random_answers(200, 4)
    found = scored(likely, labels)
    precision, recall, _, count = precision_recall_fscore_support(labels, likely.argmax(1))
    assert [c.precision for c in found.per_class] == pytest.approx(list(precision))
    assert [c.recall for c in found.per_class] == pytest.approx(list(recall))
    assert [c.n for c in found.per_class] == list(count)
    assert sum(c.wrong for c in found.per_class) == found.wrong == len(found.mistakes)


def test_pictures_that_could_not_be_read_do_not_count() -> None:
    likely = ((0.9, 0.1), (0.9, 0.1), (0.2, 0.8), (0.7, 0.3))
    found = scored(likely, (0, 1, 0, 1), unreadable={1})
    assert (found.n, found.wrong) == (3, 2)
    assert found.mistakes == (2, 3)  # places in the split, not among those that were read
    assert found.confusion == ((1, 1), (1, 0))
    assert found.lines()[-1] == "left out: 1.png (it is cut short)"


def test_the_first_of_two_equally_likely_classes_is_called() -> None:
    assert scored(((0.5, 0.5),), (0,)).wrong == 0


def test_evaluations_are_paired_by_names_and_labels() -> None:
    first = scored(LIKELY, LABELS)
    assert scored(LIKELY[::-1], LABELS).labels == first.labels
    assert scored(LIKELY, (0, 2, 0, 0)).labels != first.labels
    other = Labelled(np.asarray(LABELS, np.int64), ["a.png", "b.png", "c.png", "d.png"])
    likely = np.asarray(LIKELY, np.float32)
    assert score(likely, other, ("a", "b", "c"), "").labels != first.labels


def test_json_has_counts_and_fractions() -> None:
    values = json.loads(json.dumps(scored(LIKELY, LABELS).to_dict()))
    assert (values["n"], values["wrong"], values["mistakes"]) == (4, 2, [1, 3])
    assert list(values["top1_error"]) == ["value", "low", "high"]
    assert values["top1_error"]["value"] == 0.5
    assert values["top5_error"] is None
    assert values["confusion"] == [[2, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert values["per_class"][1] == {"name": "b", "n": 1, "wrong": 1, "claimed": 1}
    assert set(values["calibration"][0]) == {"n", "confidence", "accuracy"}


def printed(found: Evaluation) -> list[str]:
    out = io.StringIO()
    Console(width=80, file=out).print(found)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_table_puts_the_worst_class_first_and_one_without_pictures_last() -> None:
    likely = ((0.1, 0.9, 0.0, 0.0), (0.9, 0.1, 0.0, 0.0), (0.0, 0.9, 0.1, 0.0))
    lines = printed(scored(likely, (0, 0, 1)))
    assert lines[0] == "photos, test split: 1 wrong of 3"
    rows = [line.split() for line in lines]
    order = [row[0] for row in rows if row and row[0] in "abcd"]
    assert order == ["a", "b", "c", "d"]
    [worst] = [row for row in rows if row[:1] == ["a"]]
    assert worst == ["a", "2", "1", "50.0", "%", "100.0", "%", "b", "(1)"]


def test_the_table_fits_80_columns() -> None:
    likely, labels = random_answers(3000, 12)
    found = scored(likely, labels)
    named = replace(
        found,
        per_class=tuple(
            replace(c, name=f"a rather long class name {c.name}") for c in found.per_class
        ),
    )
    lines = printed(named)
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines).split())
    assert f"top-1 error {found.top1_error}" in said
    assert f"top-5 error {found.top5_error}" in said
