"""A stopped training goes on with the same bits, wherever it was stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deepen.data.augment import Augment
from deepen.data.pack import Streamed
from deepen.errors import Interrupted, UserError
from deepen.model import checkpoint
from deepen.nets.choice import Choice
from deepen.training.job import prepare, prepared_or_resumed, resume
from deepen.training.loop import train
from deepen.training.settings import Settings
from deepen.watch import Stop

Tiny = Callable[..., Settings]

KINDS: dict[str, dict[str, Any]] = {
    "fast": {},
    "averaged, with dropped blocks": {
        "optimiser": "sgd",
        "average": 0.9,
        "choice": Choice(depth=14, survival=0.5),
    },
    "mixed, patient, in parts": {
        "augment": Augment(mixup=0.2, cutmix=0.2, erasing=0.3, randaugment=1, flip="random"),
        "patience": 5,
        "accumulate": 2,
    },
}


class StopAfter(Stop):
    """As if Ctrl-C came during the n-th step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.signal_number = signal.SIGINT
        super().check()


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(path)[0]


def same_bits(a: Path, b: Path) -> bool:
    first, second = tensors(a), tensors(b)
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_at_any_step_then_resumed_equals_unbroken(
    kind: str, tiny: Tiny, tmp_path: Path
) -> None:
    settings = tiny(**KINDS[kind])
    train(prepare(settings, tmp_path / "whole"))
    for steps in (1, 6, 11):
        broken = tmp_path / f"broken{steps}"
        with pytest.raises(Interrupted):
            train(prepare(settings, broken), stop=StopAfter(steps))
        train(resume(broken, workers=2))
        for name in ("model.safetensors", "state.safetensors"):
            assert same_bits(broken / name, tmp_path / "whole" / name), (kind, steps, name)


def test_interrupted_twice_logs_each_epoch_once(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(prepare(tiny(), folder), stop=StopAfter(8))
    with pytest.raises(Interrupted):
        train(resume(folder), stop=StopAfter(6))
    job = resume(folder)
    train(job)
    epochs = [e["epoch"] for e in job.run.events() if e["event"] == "epoch"]
    assert epochs == [1, 2, 3]


def test_same_seed_same_bits_other_seed_other_bits(tiny: Tiny, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train(prepare(replace(tiny(), seed=seed), tmp_path / name))
    model = "model.safetensors"
    assert same_bits(tmp_path / "a" / model, tmp_path / "b" / model)
    assert not same_bits(tmp_path / "a" / model, tmp_path / "c" / model)


def test_finished_run_resumed_stays_as_it_is(tiny: Tiny, tmp_path: Path) -> None:
    train(prepare(tiny(), tmp_path / "run"))
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    train(resume(tmp_path / "run"))
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before


def test_changed_pictures_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    from PIL import Image

    photos = tmp_path / "photos"
    for name, grey in (("cat", 50), ("dog", 200)):
        (photos / name).mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (16, 16), (grey, i, 2 * i)).save(photos / name / f"{i}.png")
    settings = tiny()
    settings = replace(settings, source=replace(settings.source, source=str(photos)))
    with pytest.raises(Interrupted):
        train(prepare(settings, tmp_path / "run"), stop=StopAfter(1))
    (photos / "cat" / "3.png").unlink()
    with pytest.raises(UserError, match=r"are not those that .* began with"):
        resume(tmp_path / "run")


def test_settings_beside_resume_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    message = "goes on with the settings in its run.json; beside it only --workers may be given"
    with pytest.raises(UserError, match=message):
        prepared_or_resumed(tiny(), None, tmp_path, lambda items, *_: items)
    with pytest.raises(UserError, match=r"is no run folder: it has no run.json"):
        resume(tmp_path)


KILLED = """
import os, signal, sys
from dataclasses import replace
from deepen.data.source import Source
from deepen.model import checkpoint
from deepen.model.options import Machine
from deepen.nets.choice import Choice
from deepen.training import job, loop
from deepen.training.recipe import RECIPES
from deepen.training.settings import Settings

folder, how, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
loop.SAVE_SECONDS = 0.0
whole = checkpoint.replace_durably

def dying(path, body):
    global calls
    calls -= 1
    if calls == 0:  # half-way through writing, as a power cut would
        with path.with_name(f".{path.name}.half.tmp").open("wb") as file:
            file.write(body[: len(body) // 2])
            file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    whole(path, body)

checkpoint.replace_durably = dying
if how == "new":
    recipe = replace(RECIPES["fast"], epochs=3, batch=20)
    machine = Machine(threads=1, workers=1)
    settings = Settings(Source(limit=120), Choice(depth=8), recipe, machine, seed=3)
    task = job.prepare(settings, folder)
else:
    task = job.resume(folder, workers=2)
loop.train(task)
"""


def run(folder: Path, how: str, calls: int) -> int:
    """Exit code of a training in a process of its own that kills itself with SIGKILL while it
    writes the `calls`-th file: it writes one after every step, and two after an epoch."""
    command = [sys.executable, "-c", KILLED, str(folder), how, str(calls)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.slow
def test_killed_while_writing_ends_with_the_same_bits(tiny: Tiny, tmp_path: Path) -> None:
    """Before the first checkpoint, in the middle of epochs, and on either side of their ends."""
    train(prepare(tiny(), tmp_path / "whole"))
    folder, how = tmp_path / "killed", "new"
    for calls in (1, 3, 5, 2, 8):
        assert run(folder, how, calls) == -signal.SIGKILL
        how = "again"
    assert run(folder, how, 0) == 0
    assert same_bits(folder / "model.safetensors", tmp_path / "whole" / "model.safetensors")


@pytest.mark.slow
def test_decoded_on_the_way_by_any_number_of_threads_gives_the_same_bits(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sets that are too large to be packed."""
    settings = tiny()
    train(prepare(settings, tmp_path / "packed"))
    monkeypatch.setattr("deepen.data.cache.Cache.holds", lambda *_: False)
    monkeypatch.setattr("deepen.data.pack._load", lambda *_: None)
    job = prepare(settings, tmp_path / "streamed")
    assert isinstance(job.data.train, Streamed)
    with pytest.raises(Interrupted):
        train(job, stop=StopAfter(8))
    train(resume(tmp_path / "streamed", workers=3))
    model = "model.safetensors"
    assert same_bits(tmp_path / "streamed" / model, tmp_path / "packed" / model)
