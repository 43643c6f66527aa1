"""The folder of everything that can be made again."""

import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deepen.errors import UserError

GIBIBYTE = 2**30


def cache_folder() -> Path:
    """$DEEPEN_CACHE, else $XDG_CACHE_HOME/deepen, else ~/.cache/deepen; not made here."""
    if own := os.environ.get("DEEPEN_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepen"


def clear_cache() -> tuple[int, int]:
    """Remove what is cached; the number of files that were there, and their bytes."""
    folder = cache_folder()
    sizes = [path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()]
    for room in ("packed", "datasets"):  # not the folder itself: $DEEPEN_CACHE may hold more
        shutil.rmtree(folder / room, ignore_errors=True)
    left = [path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()]
    return len(sizes) - len(left), sum(sizes) - sum(left)


@dataclass(frozen=True)
class Usage:
    """What lies in the cache, or lay there before it was cleared."""

    folder: str
    files: int
    bytes: int
    cleared: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __rich__(self) -> str:
        """For a terminal."""
        size = f"{self.files} files, {self.bytes / 2**20:,.1f} MiB"
        if self.cleared:
            return f"removed {size} from {self.folder}"
        return f"{self.folder} holds {size}; deepen cache --clear removes them"


def usage(*, clear: bool) -> Usage:
    """What lies in the cache; removed if `clear`."""
    folder = cache_folder()
    if clear:
        return Usage(str(folder), *clear_cache(), cleared=True)
    sizes = [path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()]
    return Usage(str(folder), len(sizes), sum(sizes), cleared=False)


@dataclass(frozen=True)
class Cache:
    """Where packed pictures lie, and how many bytes one set may take."""

    folder: Path = field(default_factory=lambda: cache_folder() / "packed")
    limit: int = 16 * GIBIBYTE

    def holds(self, size: int) -> bool:
        """Whether `size` more bytes are allowed: within the limit and half of the free disk."""
        self.make()
        return size <= min(self.limit, shutil.disk_usage(self.folder).free // 2)

    def make(self) -> None:
        """See that the folder is there. Raises UserError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"no cache can be made at {self.folder}: {error.strerror}; "
                "DEEPEN_CACHE names another folder"
            ) from error
