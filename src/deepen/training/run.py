"""The run folder: settings, log, checkpoints and where they come from."""

import json
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from deepen.errors import UserError
from deepen.files import replace_durably
from deepen.model.model import FILE

SETTINGS, LOG, STATE = "run.json", "log.jsonl", "state.safetensors"
FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A folder that holds one training."""

    folder: Path

    @property
    def model(self) -> Path:
        """The trained network, self-describing."""
        return self.folder / FILE

    @property
    def state(self) -> Path:
        """What resuming needs."""
        return self.folder / STATE

    def settings(self) -> dict[str, Any]:
        """What `begin` wrote; raises UserError where there is no run."""
        path = self.folder / SETTINGS
        if not path.is_file():
            raise UserError(f"{self.folder} is no run folder: it has no {SETTINGS}")
        try:
            settings: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise UserError(f"{path} is not whole JSON: {error}") from error
        if not isinstance(settings, dict) or settings.get("format") != FORMAT:
            raise UserError(f"{path} is not of format {FORMAT}, which this version writes")
        return settings

    def refuse_if_used(self) -> None:
        """Raises UserError rather than overwrite anything."""
        if self.folder.is_file():
            raise UserError(f"{self.folder} is a file; --out names a folder")
        for above in self.folder.parents:
            if above.is_file():
                raise UserError(f"cannot make {self.folder}: {above} is a file")
        if self.folder.exists() and any(self.folder.iterdir()):
            raise UserError(
                f"{self.folder} is not empty; continue it with --resume {self.folder}, "
                "or name another folder with --out"
            )

    def begin(self, settings: dict[str, Any]) -> None:
        """Make the folder and write the settings; raises UserError rather than overwrite a run."""
        self.refuse_if_used()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {self.folder}: {error.strerror}") from error
        body = {"format": FORMAT, **settings, "versions": _versions(), "command": sys.argv}
        replace_durably(self.folder / SETTINGS, json.dumps(body, indent=2).encode())

    def log(self, event: str, **values: Any) -> None:
        """Append one line to the log."""
        try:
            with (self.folder / LOG).open("a") as file:
                file.write(json.dumps({"event": event, **values}) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {self.folder / LOG}: {error.strerror}") from error

    def events(self) -> list[dict[str, Any]]:
        """The log, as far as its lines are whole."""
        path = self.folder / LOG
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def forget_after(self, step: int, epoch: int) -> None:
        """Drop the log's lines of steps and epochs that a resumed run will do again."""
        kept = [e for e in self.events() if e.get("step", 0) <= step and e.get("epoch", 0) <= epoch]
        body = "".join(json.dumps(event) + "\n" for event in kept)
        replace_durably(self.folder / LOG, body.encode())


def claimed(parent: Path, name: str) -> Path:
    """parent/name, or the first of name-2, name-3, ... that was not there: made now, so that two
    runs that start together do not share it. Raises UserError."""
    for number in count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"cannot make {folder}: {error.strerror}") from error
        return folder
    raise AssertionError


def _versions() -> dict[str, str]:
    packages = ("deepen", "torch", "torchvision", "numpy", "pillow", "simplejpeg", "datasets")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
