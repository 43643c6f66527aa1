"""Tables of pictures, read by the library `datasets`: CSV, Parquet, saved datasets, the Hub."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepen.data.cache import cache_folder
from deepen.data.columns import Columns, rows_of
from deepen.data.rows import SPLITS, Found, Rows, some
from deepen.errors import UserError

TABLES = {".csv": "csv", ".parquet": "parquet"}
"""Suffixes, and what `datasets` calls their kinds."""


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
    return Found(
        {split: rows_of(part, split, base, columns) for split, part in known.items()}, notes
    )


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

    return rows_of(_asked(str(paths[0]), load), split, paths[0].parent, columns)


def _as_text(path: Path) -> dict[str, Any]:
    """How to read a CSV file: all as text, so that a class 01 stays 01, and None a class."""
    import datasets

    with path.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file), [])
    if not header:
        raise ValueError("it is empty")
    features = datasets.Features({name: datasets.Value("string") for name in header})
    return {"features": features, "keep_default_na": False, "na_values": [""]}
