"""What was asked for becomes what is run."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from deepen.data.source import Source
from deepen.errors import UserError
from deepen.nets.choice import Choice
from deepen.training.compare import compare
from deepen.training.job import fitted, prepare, resume
from deepen.training.lines import duration, first_lines
from deepen.training.loop import train
from deepen.training.recipe import RECIPES, Recipe
from deepen.training.run import claimed
from deepen.training.settings import Settings

Tiny = Callable[..., Settings]


def photos(folder: Path, side: int, counts: dict[str, int]) -> str:
    draws = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = draws.integers(0, 256, (side, side + 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return str(folder)


def test_small_pictures_get_the_cifar_family_at_their_own_size(tiny: Tiny, tmp_path: Path) -> None:
    settings = replace(tiny(epochs=1), choice=Choice())
    job = prepare(settings, tmp_path / "run")
    assert (job.plan.spec.depth, job.plan.spec.stem, job.plan.preprocess.size) == (20, "cifar", 28)
    lines = dict(first_lines(job))
    assert "20 layers: basic blocks 3-3-3, shortcuts A, cifar stem" in lines["network"]
    assert (
        lines["stem"] == "cifar, as pictures of 28 pixels want it; for another network: --depth 56"
    )
    assert "120 train, 120 validation, 120 test; seen at 28x28 pixels" in lines["images"]
    assert lines["parameters"].startswith("269,722")


def test_larger_pictures_get_resnet18_at_a_size_the_time_allows(tiny: Tiny, tmp_path: Path) -> None:
    source = Source(photos(tmp_path / "photos", 120, {"a": 20, "b": 20}))
    settings = replace(tiny(epochs=1, batch=0), source=source, choice=Choice(), minutes=0.05)
    job = prepare(settings, tmp_path / "run")
    assert (job.plan.spec.depth, job.plan.spec.stem) == (18, "imagenet")
    assert job.plan.preprocess.size == 96  # the largest of the sizes that is not above their own
    assert job.plan.recipe.augment.crop == "resized"
    assert job.size_reason == "the least, though 5 epochs do not fit into 0 minutes"


def test_minutes_become_steps_before_the_first_of_them(tiny: Tiny, tmp_path: Path) -> None:
    job = prepare(replace(tiny(), minutes=0.2), tmp_path / "run")
    written = json.loads((tmp_path / "run" / "run.json").read_text())
    assert written["plan"]["steps"] == job.plan.steps
    spent = 12 * 0.95 / job.step_seconds
    assert 0.2 * spent < job.plan.steps <= spent
    assert resume(tmp_path / "run").plan == job.plan


def test_settings_and_plan_survive_json(tiny: Tiny, tmp_path: Path) -> None:
    settings = tiny(choice=Choice(depth=14, plain=True), milestones=(0.3, 0.6))
    job = prepare(settings, tmp_path / "run")
    again = resume(tmp_path / "run")
    assert again.settings == settings
    assert again.plan == job.plan


def test_class_weights_make_each_class_count_alike(tiny: Tiny, tmp_path: Path) -> None:
    source = Source(photos(tmp_path / "photos", 16, {"few": 10, "many": 40}))
    settings = replace(tiny(class_weights=True, epochs=1), source=source)
    job = prepare(settings, tmp_path / "run")
    assert job.task.weights is not None
    counts = np.bincount(job.data.train.labels)
    assert np.allclose(job.task.weights.numpy() * counts, counts.sum() / 2)


@pytest.mark.parametrize(
    ("recipe", "size", "pictures", "batch", "crop"),
    [
        (RECIPES["fast"], 32, 50_000, 250, "shift"),
        (RECIPES["fast"], 224, 50_000, 64, "resized"),
        (RECIPES["fast"], 32, 400, 20, "shift"),
        (RECIPES["fast"], 32, 12, 12, "shift"),
        (RECIPES["cifar"], 32, 100, 100, "shift"),
        (replace(RECIPES["cifar"], accumulate=32), 32, 100, 96, "shift"),
        (RECIPES["imagenet"], 224, 50_000, 256, "scale"),
    ],
)
def test_fitted_to_the_pictures(
    recipe: Recipe, size: int, pictures: int, batch: int, crop: str
) -> None:
    found = fitted(recipe, size, pictures)
    assert (found.batch, found.augment.crop) == (batch, crop)


def test_used_folder_is_refused_and_kept(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError) as caught:
        prepare(tiny(), tmp_path / "run")
    assert str(caught.value) == (
        f"{tmp_path / 'run'} is not empty; continue it with --resume {tmp_path / 'run'}, "
        "or name another folder with --out"
    )
    assert (tmp_path / "run" / "thesis.txt").read_text() == "mine"


def test_default_folders_do_not_collide(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [str(prepare(tiny()).run.folder) for _ in range(2)]
    assert folders == ["runs/built-in", "runs/built-in-2"]


def test_patience_stops_early_and_keeps_the_best(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([0.5, 0.3, 0.4, 0.6, 0.1])
    monkeypatch.setattr("deepen.training.loop.validation_error", lambda *_: next(errors))
    job = prepare(tiny(epochs=5, patience=2), tmp_path / "run")
    train(job)
    epochs = [e for e in job.run.events() if e["event"] == "epoch"]
    assert [e["validation_error"] for e in epochs] == [0.5, 0.3, 0.4, 0.6]
    from deepen.model.model import load

    assert load(tmp_path / "run").facts["epoch"] == 2


def test_patience_without_validation_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    settings = tiny(patience=2)
    settings = replace(settings, source=replace(settings.source, validation=0.0))
    with pytest.raises(UserError, match=r"--patience needs pictures to validate on"):
        prepare(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_compare_says_what_differs_and_pairs_the_pictures(tiny: Tiny, tmp_path: Path) -> None:
    for name, epochs in (("a", 1), ("b", 2)):
        train(prepare(tiny(epochs=epochs), tmp_path / name))
    found = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "curves.png")
    assert found.settings["recipe.epochs"] == (1, 2)
    assert "seed" not in found.settings
    first, second = found.rows
    assert first.paired is None
    assert second.paired is not None
    wrong = [json.loads((tmp_path / n / "evaluation.json").read_text())["wrong"] for n in "ab"]
    assert second.paired.second_only - second.paired.first_only == wrong[1] - wrong[0]
    assert second.paired.difference == pytest.approx((wrong[1] - wrong[0]) / 120)
    assert second.paired.low <= second.paired.difference <= second.paired.high
    with Image.open(tmp_path / "curves.png") as curves:
        assert curves.width > 500
    Console(width=80, quiet=True).print(found)


def test_compare_refuses_what_it_cannot_compare(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"two runs or more, found 1"):
        compare([tmp_path])
    prepare(tiny(), tmp_path / "unfinished")
    with pytest.raises(UserError, match=r"has no evaluation.json: finish the training"):
        compare([tmp_path / "unfinished"] * 2)


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.2, "7 s"), (99, "99 s"), (130, "2 min"), (90_000, "25.0 h")]
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.slow
def test_1202_layers_take_training_steps(tiny: Tiny, tmp_path: Path) -> None:
    """Section 4.2 of arXiv:1512.03385: no difficulty; the loss is finite and so is the gradient."""
    settings = tiny(Choice(depth=1202), epochs=1, batch=4)
    settings = replace(settings, source=Source(limit=8, validation=0.0), image_size=8)
    job = prepare(settings, tmp_path / "run")
    train(job)
    (epoch,) = [e for e in job.run.events() if e["event"] == "epoch"]
    assert np.isfinite(epoch["loss"])


def test_padding_beyond_a_picture_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    augment = replace(RECIPES["fast"].augment, padding=40)
    with pytest.raises(UserError, match=r"^--padding 40: a border can be reflected up to 30$"):
        prepare(tiny(augment=augment), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_picture_of_one_pixel_has_no_norm(tiny: Tiny, tmp_path: Path) -> None:
    settings = replace(tiny(Choice(depth=18, stem="imagenet"), batch=1), image_size=32)
    with pytest.raises(UserError, match=r"^a norm needs more than one value"):
        prepare(settings, tmp_path / "run")


def test_odd_names_are_printed_and_drawn_as_they_are(tiny: Tiny, tmp_path: Path) -> None:
    names = {"[red]": 12, "caf\u00e9 $_$": 12, "\u732b :smile:": 12}
    source = Source(photos(tmp_path / "photos", 16, names))
    job = prepare(replace(tiny(epochs=1), source=source), tmp_path / "out[/x]")
    console = Console(record=True, width=100, markup=False, emoji=False, file=io.StringIO())
    console.print(train(job, console))
    said = console.export_text()
    assert all(name in said for name in names)
    assert (tmp_path / "out[/x]" / "report.png").exists()


def test_bad_pictures_are_trained_around_and_named_in_the_log(tiny: Tiny, tmp_path: Path) -> None:
    source = photos(tmp_path / "photos", 12, {"a": 110, "b": 110})
    (tmp_path / "photos" / "a" / "0.png").write_bytes(b"\x89PNG nonsense")
    (tmp_path / "photos" / "b" / "1.png").write_bytes(b"")
    job = prepare(replace(tiny(epochs=2), source=Source(source)), tmp_path / "run")
    train(job)
    train(resume(tmp_path / "run"))  # and says it no second time
    left_out = [e["name"] for e in job.run.events() if e["event"] == "left out"]
    assert sorted(left_out) == ["a/0.png", "b/1.png"]
    assert [e["epoch"] for e in job.run.events() if e["event"] == "epoch"] == [1, 2]


def test_two_default_runs_at_once_get_two_folders(tmp_path: Path) -> None:
    assert [claimed(tmp_path, "photos").name for _ in range(3)] == [
        "photos",
        "photos-2",
        "photos-3",
    ]


def test_patience_keeps_a_model_even_if_nothing_is_ever_right(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepen.training.loop.validation_error", lambda *_: 1.0)
    job = prepare(tiny(epochs=4, patience=1), tmp_path / "run")
    train(job)
    assert job.run.model.exists()
    assert len([e for e in job.run.events() if e["event"] == "epoch"]) == 2


def test_a_damaged_run_json_is_said(tiny: Tiny, tmp_path: Path) -> None:
    prepare(tiny(), tmp_path / "run")
    written = json.loads((tmp_path / "run" / "run.json").read_text())
    del written["plan"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(written))
    with pytest.raises(UserError, match=r"run.json is not whole: 'plan'"):
        resume(tmp_path / "run")
