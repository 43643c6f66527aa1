"""The order of pictures is a pure function of (seed, epoch, step)."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepen.data.loader import in_order, key, order, shuffled, steps_per_epoch
from deepen.data.survey import Bad


@dataclass
class Numbered:
    """Each picture is filled with its own number."""

    n: int
    ahead: int = 0
    unreadable: set[int] = field(default_factory=set)
    bad: dict[int, Bad] = field(default_factory=dict)

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.arange(self.n)

    @property
    def names(self) -> list[str]:
        return [str(i) for i in range(self.n)]

    def fetch(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.broadcast_to(
            indices.astype(np.uint8)[:, None, None, None], (len(indices), 2, 2, 3)
        )


def seen(pictures: Numbered, batch: int, **where: int) -> list[list[int]]:
    found = shuffled(pictures, batch, **{"seed": 1, "epoch": 0, **where})
    return [b.indices.tolist() for b in found]


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5))
def test_each_picture_at_most_once_an_epoch_in_full_batches(n: int, batch: int, epoch: int) -> None:
    batches = seen(Numbered(n), min(batch, n), epoch=epoch)
    flat = [i for b in batches for i in b]
    assert len(set(flat)) == len(flat)
    assert {len(b) for b in batches} == {min(batch, n)}
    assert len(batches) == steps_per_epoch(n, min(batch, n))


def test_seed_and_epoch_decide_the_order() -> None:
    assert (order(50, 1, 2) == order(50, 1, 2)).all()
    assert (order(50, 1, 2) != order(50, 1, 3)).any()
    assert (order(50, 1, 2) != order(50, 2, 2)).any()
    assert sorted(order(50, 1, 2)) == list(range(50))


def test_numbers_do_not_run_into_each_other() -> None:
    """(1, 23) and (12, 3) are different places, and so is every neighbour."""
    keys = {key(a, b, 0, c) for a in range(8) for b in range(8) for c in range(8)}
    assert len(keys) == 8**3
    assert all(0 <= k < 2**63 for k in keys)


@given(st.integers(0, 6))
def test_an_epoch_begun_in_the_middle_is_its_rest(first: int) -> None:
    assert seen(Numbered(60), 10, first=first) == seen(Numbered(60), 10)[first:]


def test_fetching_ahead_changes_nothing() -> None:
    for ahead in (0, 1, 3):
        found = list(shuffled(Numbered(40, ahead), 7, 5, 1))
        assert [b.indices.tolist() for b in found] == seen(Numbered(40), 7, seed=5, epoch=1)
        assert all((b.pixels[:, 0, 0, 0] == b.labels).all() for b in found)


def test_unreadable_pictures_are_not_learnt_from_but_are_counted() -> None:
    pictures = Numbered(30, unreadable={3, 4})
    learnt = [i for b in shuffled(pictures, 10, 1, 0) for i in b.indices]
    assert sorted(learnt) == sorted(set(range(30)) - {3, 4})
    assert [i for b in in_order(pictures, 7) for i in b.indices] == list(range(30))
