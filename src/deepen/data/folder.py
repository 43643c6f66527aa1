"""Folders of pictures: one folder a class, perhaps below one folder a split.

The library `datasets` is not asked ("imagefolder"): it takes splits from file names too, so that
`cat/test 1.jpg` becomes the test split and the pictures without such a word are dropped in silence.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from deepen.data.rows import SPLITS, Found, Rows, coded, number, some
from deepen.data.table import Indices, Lazy
from deepen.errors import UserError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Of pictures, in any case."""


@dataclass(frozen=True)
class Listing:
    """What lies below a folder; paths are relative to it, with slashes, sorted."""

    root: Path
    pictures: list[str]
    folders: list[str]
    others: Counter[str]
    """Files that are not pictures, by suffix."""

    @property
    def tops(self) -> list[str]:
        """The folders right below the root that have pictures somewhere in them."""
        return sorted({path.partition("/")[0] for path in self.pictures if "/" in path})

    @property
    def has_splits(self) -> bool:
        """Whether the folders are splits: all of them, or else `train` may be a vehicle."""
        return bool(self.tops) and all(top.casefold() in SPLITS for top in self.tops)


def listed(root: Path) -> Listing:
    """Walk through `root`, following links; hidden files and folders are passed over."""
    pictures, folders, others = [], [], Counter[str]()
    for folder, files in _walk(root):
        folders.append(folder)
        for name in files:
            suffix = PurePosixPath(name).suffix.casefold()
            if suffix in SUFFIXES:
                pictures.append(f"{folder}/{name}".lstrip("/"))
            else:
                others[suffix or "no suffix"] += 1
    return Listing(root, sorted(pictures), sorted(folders), others)


def read_folder(listing: Listing, group_by: str | None) -> Found:
    """The splits of a folder of class folders. Raises UserError."""
    depth = 2 if listing.has_splits else 1
    _refuse_mixture(listing)
    inside = [path for path in listing.pictures if path.count("/") >= depth]
    _refuse_bare(listing, inside, depth)
    by_split: dict[str, list[str]] = {}
    for path in inside:
        by_split.setdefault(_split(path) if depth == 2 else "train", []).append(path)
    rows = {name: _rows(listing.root, paths, depth, group_by) for name, paths in by_split.items()}
    return Found(rows, tuple(_notes(listing, inside, depth)))


def _walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder below `root` by its relative path ("" for the root), with the files in it."""
    above: dict[str, set[tuple[int, int]]] = {"": set()}
    for folder, folders, files in os.walk(root, onerror=_refuse_unreadable, followlinks=True):
        relative = Path(folder).relative_to(root).as_posix().removeprefix(".")
        seen = above.pop(relative)
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder that it lies in
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        for name in folders:
            above[f"{relative}/{name}".lstrip("/")] = seen | {(status.st_dev, status.st_ino)}
        yield relative, [name for name in files if not name.startswith(".")]


def _refuse_unreadable(error: OSError) -> None:
    """Or else a class would be missing in silence."""
    raise UserError(
        f"the folder {error.filename} cannot be read: {error.strerror}; move it elsewhere, "
        "or make it readable"
    ) from error


def _split(path: str) -> str:
    return SPLITS[path.partition("/")[0].casefold()]


def _rows(root: Path, paths: list[str], depth: int, group_by: str | None) -> Rows:
    classes, codes = coded([path.split("/")[depth - 1] for path in paths])
    groups = None if group_by is None else _groups(paths, group_by)
    pictures = Lazy(partial(_read, root, paths), len(paths))
    return Rows(pictures, paths, classes, codes, groups)


def _read(root: Path, paths: list[str], index: int) -> bytes:
    return (root / paths[index]).read_bytes()


def _groups(paths: list[str], pattern: str) -> Indices:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--group-by {pattern!r} is no regular expression: {error}") from error
    found = [expression.search(path) for path in paths]
    if missed := [path for path, match in zip(paths, found, strict=True) if match is None]:
        raise UserError(
            f"--group-by {pattern!r} matches nothing in {len(missed)} of {len(paths)} paths: "
            + some(missed, 3)
        )
    keys = [match[1] if expression.groups else match[0] for match in found if match]
    return np.unique([key or "" for key in keys], return_inverse=True)[1].astype(np.int64)


def _refuse_mixture(listing: Listing) -> None:
    splits = [top for top in listing.tops if top.casefold() in SPLITS]
    meant = {SPLITS[top.casefold()] for top in splits}
    if listing.has_splits and len(meant) < len(splits):
        raise UserError(f"{listing.root} has several folders of one split: {some(splits)}")
    if not listing.has_splits and len(meant) > 1:
        rest = [top for top in listing.tops if top not in splits]
        raise UserError(
            f"{listing.root} has folders of splits ({some(splits)}) beside others ({some(rest)}): "
            "move the others elsewhere, or rename the first if they are classes"
        )


def _refuse_bare(listing: Listing, inside: list[str], depth: int) -> None:
    bare = len(listing.pictures) - len(inside)
    if inside:
        return
    if bare:
        where = f"{listing.root}/{listing.tops[0]}" if depth == 2 else str(listing.root)
        raise UserError(
            f"{where} holds {number(bare, 'picture')} but no class folders; "
            "a folder for each class is needed"
        )
    held = f"; files found: {_counted(listing.others)}" if listing.others else ""
    raise UserError(
        f"{listing.root} holds no pictures ({', '.join(sorted(SUFFIXES))}) and no tables "
        f"(.csv, .parquet){held}"
    )


def _notes(listing: Listing, inside: list[str], depth: int) -> Iterator[str]:
    if bare := len(listing.pictures) - len(inside):
        yield f"Outside the class folders, left out: {number(bare, 'picture')}."
    if listing.others:
        yield f"Not pictures by their names, left out: {_counted(listing.others)}."
    full = {"/".join(path.split("/")[:depth]) for path in inside}
    empty = [f for f in listing.folders if f and f.count("/") == depth - 1 and f not in full]
    if empty:
        yield f"Class folders without pictures: {some(empty)}."
    nested = sorted({path.rpartition("/")[0] for path in inside if path.count("/") > depth})
    if nested:
        yield f"Folders inside class folders belong to these: {some(nested)}."


def _counted(others: Counter[str]) -> str:
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
