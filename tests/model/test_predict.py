"""Pictures to labels: the same ones in any batch, order and company."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from deepen.errors import UserError
from deepen.model.machine import choose
from deepen.model.model import load
from deepen.model.options import Inference, Machine
from deepen.model.predict import Prediction, Predictions, predict
from deepen.model.predict import probabilities as all_probabilities

from .conftest import CLASSES, SIZE, Shelf, small_model

TOLERANCE = 1e-5


@pytest.fixture
def files(shelf: Shelf) -> list[Path]:
    """Forty pictures of several sizes."""
    shapes = [(SIZE, SIZE), (30, 20), (9, 40), (12, 13)]
    return [shelf.picture(f"p/{i:02}.png", i, shapes[i % 4]) for i in range(40)]


def shares(row: Prediction) -> dict[str, float]:
    assert row.label is not None
    assert row.probability is not None
    return {row.label: row.probability, **dict(row.others)}


def assert_same(first: Predictions, second: Predictions) -> None:
    assert len(first.rows) == len(second.rows) > 0
    for one, other in zip(first.rows, second.rows, strict=True):
        assert (one.name, one.label, one.error) == (other.name, other.label, other.error)
        assert shares(one) == pytest.approx(shares(other), abs=TOLERANCE)


def test_answers_differ_between_pictures(shelf: Shelf, files: list[Path]) -> None:
    """Else the tests below would hold for a model that always says the same."""
    rows = predict(shelf.model, files).rows
    assert {row.label for row in rows} == set(CLASSES)
    assert len({row.probability for row in rows}) == 40


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_the_batch_does_not_matter(shelf: Shelf, files: list[Path], batch: int) -> None:
    usual = predict(shelf.model, files, inference=Inference(batch=16))
    assert_same(usual, predict(shelf.model, files, inference=Inference(batch=batch)))


def test_the_order_does_not_matter(shelf: Shelf, files: list[Path]) -> None:
    usual = predict(shelf.model, files, inference=Inference(batch=7))
    order = np.random.default_rng(0).permutation(40)
    moved = predict(shelf.model, [files[i] for i in order], inference=Inference(batch=7))
    back = Predictions(tuple(moved.rows[i] for i in np.argsort(order)))
    assert_same(usual, back)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_do_not_matter(shelf: Shelf, files: list[Path], workers: int) -> None:
    usual = predict(shelf.model, files)
    found = predict(shelf.model, files, Machine(workers=workers), Inference(batch=5))
    assert_same(usual, found)


def test_probabilities_are_the_softmax_of_the_normalised_picture(shelf: Shelf) -> None:
    path = shelf.picture("one.png", 7)
    [row] = predict(shelf.model, [path]).rows
    pixels = np.asarray(Image.open(path), np.float64) / 255
    import torch

    x = torch.tensor((pixels - 0.4) / 0.25, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = load(shelf.model).network(x).softmax(1)[0]
    assert shares(row) == pytest.approx(
        dict(zip(CLASSES, expected.tolist(), strict=True)), abs=1e-5
    )
    assert row.probability == max(shares(row).values())
    assert sum(shares(row).values()) == pytest.approx(1, abs=1e-5)


def test_others_fall_from_likely_to_unlikely(shelf: Shelf, files: list[Path]) -> None:
    for row in predict(shelf.model, files).rows:
        falling = list(shares(row).values())
        assert falling == sorted(falling, reverse=True)
        assert len(row.others) == 2


def test_a_folder_gives_all_pictures_in_it_sorted(shelf: Shelf, files: list[Path]) -> None:
    (shelf.root / "p" / "note.txt").write_text("no picture")
    (shelf.root / "p" / ".hidden.png").write_bytes(files[0].read_bytes())
    deep = shelf.picture("p/deep/er/x.PNG", 50)
    rows = predict(shelf.model, [shelf.root / "p"]).rows
    assert [row.name for row in rows] == [*map(str, files), str(deep)]
    both = predict(shelf.model, [files[3], str(shelf.root / "p")]).rows
    assert [row.name for row in both] == [str(files[3]), *map(str, files), str(deep)]


@pytest.mark.parametrize(
    "body", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + bytes(40), b"GIF89a" + bytes(20)]
)
def test_a_bad_file_is_a_row_with_an_error(shelf: Shelf, files: list[Path], body: bytes) -> None:
    bad = shelf.root / "bad.png"
    bad.write_bytes(body)
    found = predict(shelf.model, [files[0], bad, files[1]], inference=Inference(batch=2)).rows
    assert [row.name for row in found] == [str(files[0]), str(bad), str(files[1])]
    assert (found[1].label, found[1].probability, found[1].others) == (None, None, ())
    assert found[1].error
    assert "\n" not in found[1].error
    alone = predict(shelf.model, [files[0], files[1]])
    assert_same(alone, Predictions((found[0], found[2])))


def test_a_truncated_picture_is_a_row_with_an_error(shelf: Shelf) -> None:
    path = shelf.picture("cut.png", 1, (40, 40))
    path.write_bytes(path.read_bytes()[:2000])
    [row] = predict(shelf.model, [path]).rows
    assert row.label is None
    assert row.error


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a file one cannot read")
def test_a_file_that_may_not_be_read_is_a_row_with_an_error(shelf: Shelf) -> None:
    path = shelf.picture("secret.png", 1)
    path.chmod(0)
    [row] = predict(shelf.model, [path]).rows
    assert (row.label, row.error) == (None, "Permission denied")


def test_flipping_averages_a_picture_and_its_mirror_image(shelf: Shelf) -> None:
    path = shelf.picture("one.png", 3)
    mirrored = shelf.root / "mirrored.png"
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    there, back = (shares(row) for row in predict(shelf.model, [path, mirrored]).rows)
    assert any(abs(there[name] - back[name]) > 1e-3 for name in CLASSES)
    [both] = predict(shelf.model, [path], inference=Inference(flip=True)).rows
    expected = {name: (there[name] + back[name]) / 2 for name in CLASSES}
    assert shares(both) == pytest.approx(expected, abs=TOLERANCE)


def test_predictions_compute_in_fp32_unless_told_otherwise(shelf: Shelf) -> None:
    path = shelf.picture("one.png", 3)
    [usual], [full], [half] = (
        predict(shelf.model, [path], Machine(precision=p)).rows  # type: ignore[arg-type]
        for p in ("auto", "fp32", "bf16")
    )
    assert usual == full
    assert usual != half
    assert shares(usual) == pytest.approx(shares(half), abs=0.05)


def test_the_picture_is_cropped_as_the_model_file_says(shelf: Shelf) -> None:
    """A border that the crop cuts off changes nothing."""
    from dataclasses import replace

    model = small_model()
    model.preprocess = replace(model.preprocess, resize=SIZE + 4)
    model.save(shelf.model)
    path = shelf.picture("large.png", 5, (SIZE + 4, SIZE + 4))
    pixels = np.asarray(Image.open(path)).copy()
    [whole] = predict(shelf.model, [path]).rows
    pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:] = 0, 255, 0, 255
    Image.fromarray(pixels).save(path)
    [framed] = predict(shelf.model, [path]).rows
    assert framed == whole


def refused(shelf: Shelf, *paths: Any) -> str:
    with pytest.raises(UserError) as caught:
        predict(shelf.model, paths)
    return str(caught.value)


def test_what_cannot_be_predicted_is_said(shelf: Shelf) -> None:
    picture = shelf.picture("one.png", 1)
    nothing = shelf.root / "empty"
    nothing.mkdir()
    assert refused(shelf, "none.png") == "there is no picture none.png"
    assert refused(shelf, picture, "none.png") == "there is no picture none.png"
    assert refused(shelf, nothing) == f"there are no pictures in {nothing}"
    assert refused(shelf) == ("no pictures are named: give files, folders, or - and paths on stdin")


ROWS = Predictions(
    (
        Prediction('a, "b".png', "T-shirt/top", 0.75, (("Dress", 0.2), ("Coat", 0.05))),
        Prediction("bad.png", None, None, (), "no picture, but text"),
    )
)


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(ROWS.csv())))
    assert rows == [
        {"name": 'a, "b".png', "label": "T-shirt/top", "probability": "0.75", "error": ""},
        {"name": "bad.png", "label": "", "probability": "", "error": "no picture, but text"},
    ]
    assert ROWS.csv().startswith("name,label,probability,error\n")
    assert "\r" not in ROWS.csv()


def test_json_lines() -> None:
    first, second = [json.loads(line) for line in ROWS.json_lines().splitlines()]
    assert first == {
        "name": 'a, "b".png',
        "label": "T-shirt/top",
        "probability": 0.75,
        "others": [["Dress", 0.2], ["Coat", 0.05]],
        "error": None,
    }
    assert (second["label"], second["error"]) == (None, "no picture, but text")
    assert json.loads(json.dumps(ROWS.to_dict())) == [first, second]


def test_the_table() -> None:
    out = io.StringIO()
    Console(width=80, file=out).print(ROWS)
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert 'a, "b".png T-shirt/top 75.0 % Dress 20 %' in lines
    assert "bad.png no picture, but text" in lines


def test_names_with_brackets_are_printed_as_they_are() -> None:
    rows = (
        Prediction("photos[bold]/[1].png", "[red]", 0.5, (("[/]", 0.5),)),
        Prediction("x[0].png", None, None, (), "[Errno 5] broken"),
    )
    out = io.StringIO()
    Console(width=80, file=out).print(Predictions(rows))
    for said in ("photos[bold]/[1].png", "[red]", "[/]", "x[0].png", "[Errno 5] broken"):
        assert said in out.getvalue()


def test_probabilities_of_a_split_are_in_its_order(shelf: Shelf, files: list[Path]) -> None:
    from deepen.data.pack import Streamed
    from deepen.data.table import Split
    from deepen.watch import silent

    model = load(shelf.model)
    split = Split([f.read_bytes() for f in files], np.zeros(40, np.int64), [str(f) for f in files])
    machine = choose(Machine(), training=False)
    pictures = Streamed(split, model.preprocess, 2)
    found = all_probabilities(model, pictures, machine, Inference(batch=9), silent)
    assert found.shape == (40, 3)
    assert found.dtype == np.float32
    for row, expected in zip(predict(shelf.model, files).rows, found, strict=True):
        assert row.label == CLASSES[expected.argmax()]
        assert row.probability == pytest.approx(expected.max(), abs=TOLERANCE)
