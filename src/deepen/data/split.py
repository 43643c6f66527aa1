"""Seeded choices of pictures that keep the classes' shares, and groups on one side."""

import numpy as np
from numpy.typing import NDArray

from deepen.data.table import Indices


def generator(seed: int, purpose: int) -> np.random.Generator:
    """Random numbers that depend on `seed` and on what they are for, nothing else."""
    return np.random.Generator(np.random.Philox(key=[seed, purpose]))


def hold_out(
    labels: Indices, share: float, seed: int, groups: Indices | None = None
) -> tuple[Indices, Indices]:
    """The indices kept and held out, each ascending, about `share` of every class held out.

    labels: (n,) classes. groups: (n,) numbers; pictures with the same number stay on one side.
    Without groups every class of two or more pictures is on both sides.
    """
    rng = generator(seed, 1)
    if groups is None:
        out = np.concatenate([_some(rng.permutation(own), share) for own in _by_value(labels)])
    else:
        out = _whole_groups(labels, share, groups, rng)
    kept = np.setdiff1d(np.arange(len(labels)), out)
    return kept, np.sort(out)


def choose(labels: Indices, count: int, seed: int) -> Indices:
    """`count` indices, ascending, each class by its share of `labels` (n,); all if n is less."""
    if count >= len(labels):
        return np.arange(len(labels))
    # A picture's place within its class, shuffled and spread evenly over 0..1: cutting at any
    # level takes the same share of each class, to within one picture.
    rng = generator(seed, 2)
    level = np.empty(len(labels))
    for own in _by_value(labels):
        level[rng.permutation(own)] = (np.arange(len(own)) + rng.random()) / len(own)
    return np.sort(np.argsort(level, kind="stable")[:count])


def _by_value(values: Indices) -> list[Indices]:
    """The places of each distinct value, ascending."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


def _some(own: Indices, share: float) -> Indices:
    wanted = max(1, round(len(own) * share))
    return own[: min(wanted, len(own) - 1)]


def _whole_groups(
    labels: Indices, share: float, groups: Indices, rng: np.random.Generator
) -> Indices:
    """Groups in random order, each held out if that brings its classes nearer to their shares."""
    missing = np.bincount(labels) * share
    out = [np.empty(0, np.int64)]
    members = _by_value(groups)
    for place in rng.permutation(len(members)):
        own = members[place]
        classes, counts = np.unique(labels[own], return_counts=True)
        if _gain(missing[classes], counts) > 0:
            missing[classes] -= counts
            out.append(own)
    return np.concatenate(out)


def _gain(missing: NDArray[np.float64], counts: Indices) -> float:
    """How much nearer to its goal, in squares, holding out `counts` pictures more comes."""
    return float((missing**2 - (missing - counts) ** 2).sum())
