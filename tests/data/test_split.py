import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deepen.data.split import choose, hold_out

labels_of = st.lists(st.integers(0, 4), min_size=1, max_size=80).map(np.array)
seeds = st.integers(0, 2**32)


@given(labels=labels_of, seed=seeds, share=st.floats(0.01, 0.9))
def test_every_picture_is_on_one_side(labels: np.ndarray, seed: int, share: float) -> None:
    kept, out = hold_out(labels, share, seed)
    assert sorted([*kept, *out]) == list(range(len(labels)))
    for label in np.unique(labels):
        count, there = (labels == label).sum(), (labels[out] == label).sum()
        assert there < count
        assert abs(there - count * share) <= 1


@given(labels=labels_of, seed=seeds)
def test_groups_are_never_torn(labels: np.ndarray, seed: int) -> None:
    groups = np.arange(len(labels)) // 3
    kept, out = hold_out(labels, 0.2, seed, groups)
    assert not set(groups[kept]) & set(groups[out])
    assert sorted([*kept, *out]) == list(range(len(labels)))


def test_groups_come_near_the_share() -> None:
    labels, groups = np.arange(4000) % 4, np.arange(4000) // 8
    _, out = hold_out(labels, 0.1, 0, groups)
    assert 380 <= len(out) <= 420
    assert np.ptp(np.bincount(labels[out])) <= 4


@given(labels=labels_of, seed=seeds, count=st.integers(1, 90))
def test_choice_keeps_the_shares(labels: np.ndarray, seed: int, count: int) -> None:
    chosen = choose(labels, count, seed)
    assert len(set(chosen)) == len(chosen) == min(count, len(labels))
    share = len(chosen) / len(labels)
    for label in np.unique(labels):
        whole, there = (labels == label).sum(), (labels[chosen] == label).sum()
        assert abs(there - whole * share) <= 2


def test_the_seed_decides() -> None:
    labels = np.arange(1000) % 7
    assert (choose(labels, 50, 1) == choose(labels, 50, 1)).all()
    assert not np.array_equal(choose(labels, 50, 1), choose(labels, 50, 2))
    assert (hold_out(labels, 0.1, 1)[1] == hold_out(labels, 0.1, 1)[1]).all()
    assert not np.array_equal(hold_out(labels, 0.1, 1)[1], hold_out(labels, 0.1, 2)[1])
