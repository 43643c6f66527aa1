"""Whatever a person's pictures lie in, read into a labelled table."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepen.data.columns import Columns
from deepen.data.folder import listed, read_folder
from deepen.data.rows import Found, Rows, number, some
from deepen.data.split import choose, hold_out
from deepen.data.table import Indices, Split, Table, same_name
from deepen.data.tables import TABLES, is_saved, read_hub, read_saved, read_tables, table_files
from deepen.errors import UserError, nearest

BUILTIN = Path(__file__).parent / "builtin"
"""12,000 pictures of Fashion-MNIST (arXiv:1708.07747), 10,000 of them to train on."""


@dataclass(frozen=True)
class Source:
    """Where the pictures are and how to read them."""

    source: str | None = None
    """A folder of class folders, perhaps within train, validation and test; a CSV or Parquet file
    or a folder of them; a saved dataset; a Hugging Face `owner/name`. None: the built-in set."""
    image_column: str | None = None
    """Of a table: paths relative to its folder, or encoded bytes. None: found by type and name."""
    label_column: str | None = None
    """Of a table: the class of each picture. None: found by type and name."""
    group_by: str | None = None
    """A column of a table, or a regular expression whose first group (or whole match) in a
    picture's path names its group: pictures of a group stay on one side of the split made."""
    validation: float = 0.1
    """Share of the training pictures held out where there is no validation split; 0: none is
    made, and a single class is enough, as for evaluation."""
    limit: int | None = None
    """Pictures a split, chosen by class."""


def read(source: Source, seed: int) -> Table:
    """The pictures of `source` in splits; `seed` decides what is held out and chosen.

    The classes are those of the training split, in the order that the source declares, or sorted.
    Raises UserError.
    """
    _check(source)
    name = source.source or "built-in"
    found = _found(source)
    table = _matched(name, found)
    if source.validation:
        _refuse_untrainable(table)
        table = _with_validation(table, source, found.splits["train"].groups, seed)
    return _limited(table, source.limit, seed)


def absolute(source: Source) -> Source:
    """The same with the whole path of what lies on this machine: it is found from any folder.

    None and names of the Hub stay. Raises UserError for what can be no path.
    """
    if source.source is None or not (path := _path(source.source)).exists():
        return source
    return replace(source, source=str(path.absolute()))


def _path(text: str) -> Path:
    try:
        path = Path(text).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such user, a closed folder
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"no file or folder {text}: {reason}; a folder, a table (.csv, .parquet) "
            "or a Hugging Face owner/name is needed"
        ) from error
    return path


def _check(source: Source) -> None:
    if not 0 <= source.validation < 1:
        raise UserError(f"--validation {source.validation}: a share from 0 to below 1 is needed")
    if source.limit is not None and source.limit < 1:
        raise UserError(f"--limit {source.limit}: at least 1 picture a split is needed")


def _found(source: Source) -> Found:
    columns = Columns(source.image_column, source.label_column, source.group_by)
    if source.source is None:
        return read_tables(table_files(BUILTIN), columns)
    path = _path(source.source)
    if path.is_dir():
        return _in_folder(path, columns)
    if path.is_file():
        if path.suffix.casefold() not in TABLES:
            raise UserError(f"{path} is no table (.csv, .parquet) and no folder")
        return read_tables([path], columns)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", source.source) and not path.parent.is_dir():
        return read_hub(source.source, columns)
    raise UserError(f"no file or folder {source.source}{_neighbour(path)}")


def _in_folder(path: Path, columns: Columns) -> Found:
    if is_saved(path):
        return read_saved(path, columns)
    listing = listed(path)
    # Tables beside a single folder of pictures are about these.
    if len(listing.tops) < 2 and not listing.has_splits and (tables := table_files(path)):
        return read_tables(tables, columns)
    for kind in ("image", "label"):
        if name := getattr(columns, kind):
            raise UserError(f"--{kind}-column {name} is for tables; {path} is a folder of pictures")
    return read_folder(listing, columns.group)


def _neighbour(path: Path) -> str:
    folder = path.parent
    while not folder.is_dir():
        folder, path = folder.parent, folder
    return nearest(path.name, [entry.name for entry in folder.iterdir()])


def _refuse_untrainable(table: Table) -> None:
    if "train" not in table.splits:
        raise UserError(f"{table.source} has no training split, only {some(list(table.splits))}")
    if len(table.classes) == 1:
        only = table.classes[0]
        below = Path(table.source) / only
        inner = sorted(path.name for path in below.glob("*/"))
        hint = f"; did you mean {below}, with {some(inner)}?" if len(inner) > 1 else ""
        raise UserError(f"{table.source} has a single class, {only}; two are needed{hint}")


def _matched(name: str, found: Found) -> Table:
    """Classes by name: the training split's list holds for all."""
    splits = {
        split: found.splits[split]
        for split in ("train", "validation", "test")
        if split in found.splits and len(found.splits[split].codes)
    }
    if not splits:
        raise UserError(f"{name} holds no pictures")
    notes = list(found.notes)
    for split, rows in list(splits.items()):
        if note := _unlabelled(name, split, rows):
            notes.append(note)
            del splits[split]
    first = next(iter(splits))
    classes = _used(splits[first])
    _refuse_alike(name, classes)
    notes += _absent(first, splits[first].classes, classes)
    for split, rows in splits.items():
        _refuse_unknown(split, _used(rows), first, classes)
        notes += _absent(split, classes, _used(rows))
    matched = {split: _recoded(rows, classes) for split, rows in splits.items()}
    return Table(name, classes, matched, tuple(notes))


def _unlabelled(name: str, split: str, rows: Rows) -> str | None:
    """A test split without labels is left out; labels missing elsewhere are an error."""
    missing, count = int((rows.codes < 0).sum()), len(rows.codes)
    if missing and (missing < count or split == "train"):
        first = rows.names[int(np.argmax(rows.codes < 0))]
        raise UserError(
            f"{name}: {missing} of {count} pictures of {split} have no label, the first is {first}"
        )
    return f"No picture of {split} has a label: this split is left out." if missing else None


def _used(rows: Rows) -> tuple[str, ...]:
    counts = np.bincount(rows.codes, minlength=len(rows.classes))
    return tuple(name for name, count in zip(rows.classes, counts, strict=True) if count)


def _refuse_alike(name: str, classes: tuple[str, ...]) -> None:
    seen: dict[str, str] = {}
    for given in classes:
        same = seen.setdefault(same_name(given).strip().casefold(), given)
        if same != given:
            raise UserError(
                f"{name} has classes {same!r} and {given!r}, which differ only in "
                "case or spaces: name them alike"
            )


def _refuse_unknown(
    split: str, used: tuple[str, ...], first: str, classes: tuple[str, ...]
) -> None:
    if unknown := [name for name in used if name not in set(classes)]:
        raise UserError(
            f"{split} has classes that {first} has not: {some(unknown)}"
            + nearest(unknown[0], classes)
        )


def _absent(split: str, classes: tuple[str, ...], used: tuple[str, ...]) -> Iterator[str]:
    there = set(used)
    if absent := [name for name in classes if name not in there]:
        count = number(len(absent), "class", "classes")
        yield f"{split} has no picture of {count}: {some(absent)}."


def _recoded(rows: Rows, classes: tuple[str, ...]) -> Split:
    place = {name: i for i, name in enumerate(classes)}
    codes = np.array([place.get(name, -1) for name in rows.classes], np.int64)
    return Split(rows.pictures, codes[rows.codes], rows.names)


def _with_validation(table: Table, source: Source, groups: Indices | None, seed: int) -> Table:
    if "validation" in table.splits:
        unused = (
            ("There is a validation split: --group-by is not used.",) if source.group_by else ()
        )
        return table.noting(*unused)
    train = table.splits["train"]
    kept, out = hold_out(train.labels, source.validation, seed, groups)
    if not len(out) or not len(kept):
        raise UserError(
            f"{table.source}: no validation split of {source.validation:g} can be made from "
            f"{len(train)} pictures"
            + (f" in {len(np.unique(groups))} groups" if groups is not None else "")
        )
    splits = {"train": train.select(kept), "validation": train.select(out)}
    whole = f", {len(np.unique(groups[out]))} whole groups" if groups is not None else ""
    return Table(table.source, table.classes, splits | _test(table), table.notes).noting(
        f"No validation split: {len(out)} of {len(train)} training pictures are held out, "
        f"by class{whole}, with seed {seed}."
    )


def _test(table: Table) -> dict[str, Split]:
    return {name: split for name, split in table.splits.items() if name == "test"}


def _limited(table: Table, limit: int | None, seed: int) -> Table:
    if limit is None:
        return table
    splits = {
        name: split.select(choose(split.labels, limit, seed))
        for name, split in table.splits.items()
    }
    cut = [
        f"{len(splits[name])} of {len(split)} {name} pictures"
        for name, split in table.splits.items()
        if len(splits[name]) < len(split)
    ]
    table = Table(table.source, table.classes, splits, table.notes)
    return table.noting(f"--limit {limit}: {', '.join(cut)}.") if cut else table
