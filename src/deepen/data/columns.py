"""The columns of a table that hold its pictures, their classes and their groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepen.data.folder import SUFFIXES
from deepen.data.rows import Rows, coded, some
from deepen.data.table import Indices, Lazy, same_name
from deepen.errors import UserError, nearest

_IMAGE_NAMES = ("image", "img", "picture", "photo", "file_name", "filename", "file", "path")
_LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target")
_TEXT = ("string", "large_string", "string_view")
_BYTES = ("binary", "large_binary", "binary_view")


@dataclass(frozen=True)
class Columns:
    """The columns asked for; None = found by type and name."""

    image: str | None
    label: str | None
    group: str | None


def rows_of(dataset: Any, split: str, base: Path | None, columns: Columns) -> Rows:
    """The rows of one split of a `datasets.Dataset`; paths are relative to `base`.

    Raises UserError for columns that are missing, unclear or of no use.
    """
    image = _column(dataset, columns.image, "--image-column", _image_columns(dataset))
    others = [name for name in _label_columns(dataset) if name != image]
    label = _column(dataset, columns.label, "--label-column", others)
    table = dataset.with_format("arrow")[:]
    classes, codes = _labels(dataset, table, label)
    groups = None
    if columns.group is not None:
        _column(dataset, columns.group, "--group-by", [])
        groups = _grouped(table[columns.group], columns.group)
    pictures, names = _pictures(table[image], image, split, base)
    return Rows(pictures, names, classes, codes, groups)


def _column(dataset: Any, asked: str | None, flag: str, likely: list[str]) -> str:
    names: list[str] = dataset.column_names
    if asked is not None and asked not in names:
        raise UserError(
            f"{flag} {asked}: no such column; there are {', '.join(names)}{nearest(asked, names)}"
        )
    if asked is None and len(likely) != 1:
        found = f"{some(likely)} may be meant" if likely else "none is clearly it"
        raise UserError(f"{flag} is needed: {found}; the columns are {', '.join(names)}")
    return asked or likely[0]


def _image_columns(dataset: Any) -> list[str]:
    import datasets

    features = dataset.features
    typed = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    if typed:
        return typed
    raw = [name for name, kind in features.items() if _storage(kind) in _BYTES]
    texts = [name for name, kind in features.items() if _storage(kind) in _TEXT]
    named = [name for name in texts if name.casefold() in _IMAGE_NAMES]
    return raw or named or [name for name in texts if _is_path(dataset, name)]


def _label_columns(dataset: Any) -> list[str]:
    import datasets

    features = dataset.features
    typed = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    return typed or [name for name in features if name.casefold() in _LABEL_NAMES]


def _storage(feature: Any) -> str | None:
    return getattr(feature, "dtype", None)


def _is_path(dataset: Any, name: str) -> bool:
    value = dataset[0][name] if len(dataset) else None
    return Path(value or "").suffix.casefold() in SUFFIXES


def _labels(dataset: Any, table: Any, label: str) -> tuple[tuple[str, ...], Indices]:
    import datasets
    import pyarrow as pa

    feature, column = dataset.features[label], table[label]
    if isinstance(feature, datasets.ClassLabel):
        return _declared(feature.names, column.fill_null(-1).to_numpy().astype(np.int64))
    refusal = UserError(f"--label-column {label} holds {column.type}; one class each is needed")
    if pa.types.is_nested(column.type) or pa.types.is_floating(column.type):
        raise refusal
    try:
        texts = column.cast(pa.string()).to_pylist()
    except pa.ArrowException as error:  # bytes that are no text, for one
        raise refusal from error
    classes, codes = coded([text or "" for text in texts])
    if "" not in classes:
        return classes, codes
    return classes[1:], codes - 1  # the empty text sorts first


def _declared(names: Sequence[str], codes: Indices) -> tuple[tuple[str, ...], Indices]:
    """The classes in the order declared, two of one `same_name` as one; codes: (n,), -1 = none."""
    alike = [same_name(name) for name in names]
    classes = tuple(dict.fromkeys(alike))
    places = np.array([*map(classes.index, alike), -1], np.int64)  # -1 takes the last
    return classes, places[codes]


def _grouped(column: Any, name: str) -> Indices:
    import pyarrow as pa

    if column.null_count:
        raise UserError(f"--group-by {name}: {column.null_count} rows have no value")
    if pa.types.is_nested(column.type):
        raise UserError(
            f"--group-by {name} holds {column.type}; one text, number or date each is needed"
        )
    codes = column.combine_chunks().dictionary_encode().indices
    return np.asarray(codes, np.int64)


def _pictures(
    column: Any, name: str, split: str, base: Path | None
) -> tuple[Sequence[bytes], Sequence[str]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    count, kind = len(column), str(column.type)
    numbered = Lazy(partial(_numbered, split), count)
    if pa.types.is_struct(column.type) and {"bytes", "path"} <= {part.name for part in column.type}:
        inline, paths = (pc.struct_field(column, part) for part in ("bytes", "path"))
        return Lazy(partial(_from_struct, inline, paths, base), count), numbered
    if kind in _TEXT:
        return Lazy(partial(_from_path, column, base), count), [p or "" for p in column.to_pylist()]
    if kind in _BYTES:
        return Lazy(partial(_from_bytes, column), count), numbered
    raise UserError(
        f"--image-column {name} holds {kind}; paths (string), encoded pictures (binary) or both "
        "(a struct of bytes and path) are needed"
    )


def _numbered(split: str, index: int) -> str:
    return f"{split}[{index}]"


def _from_struct(inline: Any, paths: Any, base: Path | None, index: int) -> bytes:
    data: bytes | None = inline[index].as_py()
    return data if data is not None else _from_path(paths, base, index)


def _from_bytes(column: Any, index: int) -> bytes:
    data: bytes | None = column[index].as_py()
    return data or b""


def _from_path(paths: Any, base: Path | None, index: int) -> bytes:
    path: str | None = paths[index].as_py()
    if not path:
        raise OSError("its row names no file")
    return ((base or Path()) / path).read_bytes()
