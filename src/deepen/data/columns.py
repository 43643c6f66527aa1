"""Tables of pictures, read by the library `datasets`: CSV, Parquet, saved datasets, the Hub."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepen.data.cache import cache_folder
from deepen.data.folder import SUFFIXES
from deepen.data.rows import SPLITS, Found, Rows, coded, some
from deepen.data.table import Indices, Lazy
from deepen.errors import UserError, nearest

TABLES = {".csv": "csv", ".parquet": "parquet"}
"""Suffixes, and what `datasets` calls their kinds."""

_IMAGE_NAMES = ("image", "img", "picture", "photo", "file_name", "filename", "file", "path")
_LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target")


@dataclass(frozen=True)
class Columns:
    """The columns asked for; None = found by type and name."""

    image: str | None
    label: str | None
    group: str | None


def table_files(folder: Path) -> list[Path]:
    """The tables below a folder, hidden ones aside."""
    found = [path for path in folder.rglob("*") if path.suffix.casefold() in TABLES]
    return sorted(
        path
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read_tables(files: list[Path], columns: Columns) -> Found:
    """CSV or Parquet files whose names begin with their split; a single file needs no such name.

    Paths of pictures are relative to the table's folder. Raises UserError.
    """
    by_split: dict[str, list[Path]] = {}
    for path in files:
        by_split.setdefault("train" if len(files) == 1 else _split(path), []).append(path)
    if len({(path.parent, path.suffix) for path in files}) > 1:
        raise UserError(
            f"tables of several kinds or folders: {some([str(p) for p in files], 3)}; "
            "give one file, or a folder that holds those of one data set"
        )
    # Split by split: `datasets` would take the class names of the first file for all of them.
    return Found({split: _read_files(paths, split, columns) for split, paths in by_split.items()})


def is_saved(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` wrote this folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def read_saved(folder: Path, columns: Columns) -> Found:
    """What `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote. Raises UserError."""
    import datasets

    saved = _asked(str(folder), lambda: datasets.load_from_disk(str(folder)))
    return _found(saved, folder, columns)


def read_hub(name: str, columns: Columns) -> Found:
    """The data set `owner/name` of the Hugging Face Hub. Raises UserError."""
    import datasets

    _refuse_absent(name)
    return _found(
        _asked(name, lambda: datasets.load_dataset(name, cache_dir=_cache())), None, columns
    )


def _cache() -> str:
    return str(cache_folder() / "datasets")


def _split(path: Path) -> str:
    word = re.match(r"[a-z]*", path.stem.casefold())
    if word is None or word[0] not in SPLITS:
        raise UserError(
            f"{path} is of no split: tables beside others are named train…, validation… or test…"
        )
    return SPLITS[word[0]]


def _asked(what: str, load: Callable[[], Any]) -> Any:
    try:
        with _quiet_datasets():
            return load()
    except Exception as error:  # whatever the readers of a foreign file meet
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(cause).partition("\n")[0] or type(cause).__name__
        if "corresponds to no data" in reason:
            reason = "it has no rows"
        raise UserError(f"{what} cannot be read as a table: {reason}") from error


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """Without its bars and its log: what went wrong is said once, in the error."""
    from datasets.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _refuse_absent(name: str) -> None:
    """Ask once, for `datasets` tries for half a minute before it says that there is no network."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if list(Path(_cache()).glob(name.replace("/", "___").casefold())):
        return
    try:
        HfApi().dataset_info(name, timeout=10)
    except HfHubHTTPError as error:
        raise UserError(
            f"no file or folder {name} here, and no such public data set on huggingface.co"
        ) from error
    except Exception as error:
        raise UserError(
            f"no file or folder {name} here, and huggingface.co cannot be reached"
        ) from error


def _found(loaded: Any, base: Path | None, columns: Columns) -> Found:
    parts: Mapping[str, Any] = loaded if isinstance(loaded, dict) else {"train": loaded}
    known = {SPLITS[name]: part for name, part in parts.items() if name in SPLITS}
    rest = [name for name in parts if name not in SPLITS]
    if not known:
        raise UserError(f"its splits are {some(rest)}; train, validation or test is needed")
    notes = (f"Splits left out: {some(rest)}.",) if rest else ()
    return Found({split: _rows(part, split, base, columns) for split, part in known.items()}, notes)


def _read_files(paths: list[Path], split: str, columns: Columns) -> Rows:
    import datasets

    kind = TABLES[paths[0].suffix.casefold()]

    def load() -> Any:
        return datasets.load_dataset(
            kind,
            data_files=[str(path) for path in paths],
            split="train",
            cache_dir=_cache(),
            **(_as_text(paths[0]) if kind == "csv" else {}),
        )

    return _rows(_asked(str(paths[0]), load), split, paths[0].parent, columns)


def _as_text(path: Path) -> dict[str, Any]:
    """How to read a CSV file: all as text, so that a class 01 stays 01, and None a class."""
    import datasets

    with path.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file), [])
    if not header:
        raise ValueError("it is empty")
    features = datasets.Features({name: datasets.Value("string") for name in header})
    return {"features": features, "keep_default_na": False, "na_values": [""]}


def _rows(dataset: Any, split: str, base: Path | None, columns: Columns) -> Rows:
    image = _column(dataset, columns.image, "--image-column", _image_columns(dataset))
    others = [name for name in _label_columns(dataset) if name != image]
    label = _column(dataset, columns.label, "--label-column", others)
    table = dataset.with_format("arrow")[:]
    classes, codes = _labels(dataset, table, label)
    groups = None
    if columns.group is not None:
        _column(dataset, columns.group, "--group-by", [])
        groups = _grouped(table[columns.group], columns.group)
    pictures, names = _pictures(table[image], split, base)
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
    raw = [name for name, kind in features.items() if _storage(kind) in ("binary", "large_binary")]
    texts = [
        name for name, kind in features.items() if _storage(kind) in ("string", "large_string")
    ]
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
        return tuple(feature.names), column.fill_null(-1).to_numpy().astype(np.int64)
    if pa.types.is_nested(column.type) or pa.types.is_floating(column.type):
        raise UserError(f"--label-column {label} holds {column.type}; one class each is needed")
    texts = column.cast(pa.string()).to_pylist()
    classes, codes = coded([text or "" for text in texts])
    if "" not in classes:
        return classes, codes
    return classes[1:], codes - 1  # the empty text sorts first


def _grouped(column: Any, name: str) -> Indices:
    if column.null_count:
        raise UserError(f"--group-by {name}: {column.null_count} rows have no value")
    codes = column.combine_chunks().dictionary_encode().indices
    return np.asarray(codes, np.int64)


def _pictures(column: Any, split: str, base: Path | None) -> tuple[Sequence[bytes], Sequence[str]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    count = len(column)
    numbered = Lazy(partial(_numbered, split), count)
    if pa.types.is_struct(column.type):
        inline, paths = (pc.struct_field(column, part) for part in ("bytes", "path"))
        return Lazy(partial(_from_struct, inline, paths, base), count), numbered
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return Lazy(partial(_from_path, column, base), count), [p or "" for p in column.to_pylist()]
    return Lazy(partial(_from_bytes, column), count), numbered


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
