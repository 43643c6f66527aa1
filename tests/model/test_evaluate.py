"""`evaluate`: pictures matched to a model's classes by name, whatever their order."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from deepen.data.source import Source
from deepen.errors import UserError
from deepen.model.evaluate import evaluate
from deepen.model.evaluation import Evaluation
from deepen.model.model import load
from deepen.model.options import Inference
from deepen.model.predict import predict

from .conftest import CLASSES, Shelf, small_model


def called(shelf: Shelf, folder: Path) -> list[tuple[str, str]]:
    """What each picture is and what `predict` calls it."""
    rows = predict(shelf.model, [folder]).rows
    return [(Path(row.name).parent.name, str(row.label)) for row in rows]


def refused(shelf: Shelf, source: Source | None) -> str:
    with pytest.raises(UserError) as caught:
        evaluate(shelf.model, source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_classes_are_matched_by_name(shelf: Shelf) -> None:
    folder = shelf.folder("photos", ("blue", "green", "red"), each=8)
    pairs = called(shelf, folder)
    wrong = sum(true != said for true, said in pairs)
    alphabetical = dict(zip(sorted(CLASSES), CLASSES, strict=True))
    by_position = sum(alphabetical[true] != said for true, said in pairs)
    assert wrong != by_position  # else this test could not fail
    found = evaluate(shelf.model, Source(str(folder)))
    assert (found.n, found.wrong) == (24, wrong)
    assert [one.name for one in found.per_class] == list(CLASSES)
    for row, true in enumerate(CLASSES):
        expected = [sum((true, said) == pair for pair in pairs) for said in CLASSES]
        assert list(found.confusion[row]) == expected


def test_a_missing_class_is_one_without_pictures(shelf: Shelf) -> None:
    folder = shelf.folder("photos", ("green", "red"))
    found = evaluate(shelf.model, Source(str(folder)))
    assert [(one.name, one.n) for one in found.per_class] == [
        ("red", 5),
        ("blue", 0),
        ("green", 5),
    ]
    assert found.per_class[1].recall is None


def test_a_single_class_is_enough(shelf: Shelf) -> None:
    folder = shelf.folder("photos", ("blue",), each=3)
    assert evaluate(shelf.model, Source(str(folder))).n == 3


@pytest.mark.parametrize(
    ("unknown", "said"), [("bleu", "; did you mean blue?"), ("zzz", "")], ids=["near", "far"]
)
def test_an_unknown_class_is_refused(shelf: Shelf, unknown: str, said: str) -> None:
    folder = shelf.folder("photos", ("red", unknown))
    assert refused(shelf, Source(str(folder))) == (
        f"{folder} has a class {unknown!r} that the model does not know{said}; "
        "it knows red, blue, green"
    )


def test_the_test_split_comes_first_then_validation_then_training(shelf: Shelf) -> None:
    for split, each in (("train", 4), ("val", 3), ("test", 2)):
        shelf.folder(f"photos/{split}", CLASSES, each)
    source = Source(str(shelf.root / "photos"))
    assert_split(evaluate(shelf.model, source), "test", 6)
    rename(shelf, "test")
    assert_split(evaluate(shelf.model, source), "validation", 9)
    rename(shelf, "val")
    assert_split(evaluate(shelf.model, source), "train", 12)


def rename(shelf: Shelf, split: str) -> None:
    (shelf.root / "photos" / split).rename(shelf.root / f"away-{split}")


def assert_split(found: Evaluation, split: str, n: int) -> None:
    assert found.pictures.endswith(f", {split} split")
    assert found.n == n


def test_nothing_is_held_out_of_a_source_that_is_named(shelf: Shelf) -> None:
    folder = shelf.folder("photos", CLASSES, 10)
    assert evaluate(shelf.model, Source(str(folder))).n == 30


def test_bad_pictures_do_not_count(shelf: Shelf) -> None:
    folder = shelf.folder("photos", CLASSES)
    expected = evaluate(shelf.model, Source(str(folder)))
    (folder / "red" / "bad.png").write_bytes(b"no picture")
    found = evaluate(shelf.model, Source(str(folder)))
    assert (found.n, found.wrong) == (expected.n, expected.wrong)


def test_pictures_that_are_all_bad_are_refused(shelf: Shelf) -> None:
    folder = shelf.folder("photos", CLASSES, 2)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    assert refused(shelf, Source(str(folder))) == (
        f"{folder}: none of 6 pictures can be used; "
        "blue/0.png: not a JPEG, PNG, WEBP, BMP or TIFF file"
    )


def test_flipping_is_passed_on(shelf: Shelf) -> None:
    folder = shelf.folder("photos", CLASSES, 8)
    usual, flipped = (
        evaluate(shelf.model, Source(str(folder)), inference=Inference(flip=flip))
        for flip in (False, True)
    )
    assert usual.calibration_error != flipped.calibration_error


def test_results_are_written_where_asked_and_never_over_a_run_by_another_source(
    shelf: Shelf,
) -> None:
    folder = shelf.folder("photos", CLASSES)
    before = sorted(os.listdir(shelf.root))
    found = evaluate(shelf.root, Source(str(folder)))
    assert sorted(os.listdir(shelf.root)) == before
    out = shelf.root / "results" / "photos"
    assert evaluate(shelf.model, Source(str(folder)), out=out) == found
    written = json.loads((out / "evaluation.json").read_text())
    assert written == json.loads(json.dumps(found.to_dict()))
    assert (out / "evaluation.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_folder_gets_the_result_on_its_own_pictures(shelf: Shelf) -> None:
    model = small_model()
    model.facts = {"source": asdict(Source(str(shelf.folder("photos", CLASSES, 10)))), "seed": 3}
    model.save(shelf.model)
    found = evaluate(shelf.root)
    assert json.loads((shelf.root / "evaluation.json").read_text())["wrong"] == found.wrong


def test_without_a_source_the_recorded_one_is_read(shelf: Shelf) -> None:
    folder = shelf.folder("photos", CLASSES, 10)
    model = small_model()
    source = Source(str(folder), validation=0.2)
    model.facts = {"source": asdict(source), "seed": 3}
    model.save(shelf.model)
    found = evaluate(shelf.model)
    assert (found.n, found.pictures) == (6, f"{folder}, validation split")


def test_a_model_that_does_not_say_its_source_needs_one(shelf: Shelf) -> None:
    assert "source" not in load(shelf.model).facts
    assert refused(shelf, None) == (
        "the model does not say what it was trained on: name a source to evaluate on"
    )


@pytest.mark.parametrize("name", ["nowhere", "photos/nowhere"])
def test_a_source_that_is_not_there(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(shelf.root)
    assert refused(shelf, Source(name)).startswith("no file or folder ")


def test_the_same_pictures_give_the_same_digest(shelf: Shelf) -> None:
    photos: Callable[[], Evaluation] = lambda: evaluate(  # noqa: E731
        shelf.model, Source(str(shelf.root / "photos"))
    )
    shelf.folder("photos", CLASSES)
    first = photos()
    assert photos() == first
    (shelf.root / "photos" / "red" / "0.png").unlink()
    assert photos().labels != first.labels
