"""Files that are either whole or not there."""

import os
from pathlib import Path

from deepen.errors import UserError


def exists(path: Path) -> bool:
    """Whether something is there; a path that no disk could hold is not."""
    try:
        return path.exists()
    except OSError:
        return False


def replace_durably(path: Path, body: bytes) -> None:
    """Write `body` beside `path`, flush it to the disk, then rename: what stood there stays until
    the new file is whole, so neither a kill nor a full disk loses it. Raises UserError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)
    except OSError as error:
        kept = "; what stood there is kept" if exists(path) else ""
        raise UserError(f"cannot write {path}: {error.strerror}{kept}") from error


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows has no handle on a folder to flush.
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
