"""Pictures that occur twice: the same bytes, or nearly the same to look at."""

import math

import numpy as np
from numpy.typing import NDArray

from deepen.data.split import generator

Pairs = NDArray[np.int64]
"""(m, 2) places, the lower first."""

NEAREST = 0.25
"""The greatest distance, root of 2 (1 - correlation), of near copies: correlation 0.97.

On CIFAR-10 every pair up to here that was looked at is one photograph."""

USUAL = 0.28
"""The same limit as a share of the distance usual between neighbours, by which it falls for sets
whose pictures are all alike: two coats on black correlate by their outline alone."""

FLAT = 8.0
"""Standard deviation in grey levels of 4 x 4 averages, below which too little can be compared."""

NEIGHBOURS = 5
"""That are compared with each picture, so that a thousand near copies are not a million pairs."""


def exact_pairs(digests: NDArray[np.void]) -> Pairs:
    """Each later copy with the first of its kind. digests: (n,)."""
    first, inverse = np.unique(digests, return_index=True, return_inverse=True)[1:]
    of = first[inverse]
    later = np.flatnonzero(of != np.arange(len(digests)))
    return np.stack([of[later], later], axis=1)


def near_pairs(thumbs: NDArray[np.uint8], workers: int) -> Pairs:
    """Pictures that differ at most in brightness, contrast, size or compression, or by a little.

    thumbs: (n, 16, 16). Candidates are found by 4 x 4 averages, then compared in full.
    """
    from scipy.spatial import cKDTree

    coarse = thumbs.reshape(-1, 4, 4, 4, 4).mean((2, 4), dtype=np.float32).reshape(-1, 16)
    shown = np.flatnonzero(coarse.std(axis=1) >= FLAT)
    if len(shown) < 2:
        return np.empty((0, 2), np.int64)
    limit = _limit(thumbs[shown])
    points = _unit(coarse[shown])
    distance, place = cKDTree(points).query(
        points, k=NEIGHBOURS, distance_upper_bound=limit, workers=workers
    )
    one, rank = np.nonzero(np.isfinite(distance))
    pairs = np.sort(shown[np.stack([one, place[one, rank]], axis=1)], axis=1)
    pairs = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
    first, second = (_unit(thumbs[side]) for side in pairs.T)
    return np.asarray(pairs[np.linalg.norm(first - second, axis=1) <= limit])


def _unit(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """(n, ...) -> (n, d) of mean 0 and length 1: their distance tells their correlation."""
    rows = values.reshape(len(values), math.prod(values.shape[1:])).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)
    return rows


def _limit(thumbs: NDArray[np.uint8]) -> float:
    """The distance of near copies, from that between neighbours in a sample of the set."""
    some = _unit(thumbs[generator(0, 3).permutation(len(thumbs))[:256]])
    apart = np.sqrt(np.maximum(0, 2 - 2 * some @ some.T))
    np.fill_diagonal(apart, np.inf)
    usual = float(np.quantile(apart.min(axis=1), 0.25))
    return float(np.clip(USUAL * usual, 0.05, NEAREST))
