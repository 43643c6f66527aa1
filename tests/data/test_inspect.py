import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepen.data.cache import Cache
from deepen.data.copies import exact_pairs, near_pairs
from deepen.data.inspect import check, inspect
from deepen.data.pack import Packed, prepare
from deepen.data.preprocess import Preprocess
from deepen.data.report import stop_if_unfit
from deepen.data.source import Source, read
from deepen.data.table import Split, Table
from deepen.errors import UserError
from deepen.watch import silent


def blobs(seed: int, side: int = 64) -> Image.Image:
    """A picture with large shapes, unlike that of any other seed."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def split(prefix: str, pictures: list[bytes], labels: list[int]) -> Split:
    return Split(pictures, np.array(labels), [f"{prefix}{i}" for i in range(len(pictures))])


def table(**splits: Split) -> Table:
    return Table("mine", ("cat", "dog"), splits, ("Said before.",))


def test_a_report() -> None:
    train = [encoded(blobs(i)) for i in range(6)]
    train[3] = train[1]  # another label
    train[5] = b"broken"
    test = [train[0], encoded(blobs(2).resize((40, 50)), "JPEG"), encoded(blobs(90))]
    report = inspect(
        table(train=split("a", train, [0, 0, 0, 1, 0, 0]), test=split("b", test, [0, 0, 1])), 2
    )
    assert report.lines() == [
        "Said before.",
        "9 pictures of 2 classes: train 6, test 3.",
        "Height 50 to 64 (median 64), width 40 to 64 (median 64) pixels.",
        "PNG RGB: 7, JPEG RGB: 1.",
        "Unbalanced: train has 5 pictures of cat, 1 of dog (5.0 to 1).",
        "1 picture of train cannot be used: a5 (not a JPEG, PNG, WEBP, BMP or TIFF file).",
        "Exact copies within splits: 1; train a1 = train a3.",
        "Exact copies across splits (leakage): 1; train a0 = test b0.",
        "Near copies across splits (leakage): 1; train a2 = test b1.",
        "Same picture, different labels: 1; train a1 = train a3 (cat, dog).",
    ]
    record = json.loads(json.dumps(report.to_dict()))
    assert record["counts"] == {"train": [5, 1], "test": [2, 1]}
    assert record["imbalance"] == 5
    assert record["bad"]["train"][0]["index"] == 5
    assert record["exact"][0]["second"] == {"split": "train", "name": "a3", "label": "dog"}


def test_packing_looks_for_it() -> None:
    train = split("a", [encoded(blobs(i)) for i in range(4)] * 2, [0, 1] * 4)
    square = Preprocess(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    packed = prepare(train, square, Cache(), 1, silent)
    assert isinstance(packed, Packed)
    known = {"train": packed.records}
    unread = Split([], train.labels, train.names)
    assert (
        inspect(table(train=unread), 1, known=known).lines()
        == inspect(table(train=train), 1).lines()
    )


def test_a_sample_is_said() -> None:
    train = split("a", [encoded(blobs(i)) for i in range(40)], [0, 1] * 20)
    report = inspect(table(train=train), 1, sample=10)
    assert report.checked == {"train": 10}
    assert report.counts == {"train": (20, 20)}
    assert "Looked at a sample of 10 of the 40 pictures of train." in report.lines()


@pytest.mark.parametrize(("bad", "stops"), [(1, False), (2, True), (20, True), (21, True)])
def test_too_many_bad(bad: int, stops: bool) -> None:
    good = encoded(Image.new("L", (4, 4)))
    report = inspect(table(train=split("a", [b""] * bad + [good] * (100 - bad), [0, 1] * 50)), 1)
    if not stops:
        stop_if_unfit(report)
        return
    with pytest.raises(UserError) as caught:
        stop_if_unfit(report)
    listed = ", ".join(f"a{i} (the file is empty)" for i in range(min(bad, 20)))
    more = " and 1 more; deepen check SOURCE --json lists all" if bad == 21 else ""
    assert str(caught.value) == (
        f"{bad} of 100 pictures cannot be used, more than 1%: {listed}{more}"
    )


def test_check_looks_at_the_split_of_a_seed() -> None:
    def said(seed: int) -> str:
        return check(Source(limit=10), workers=1, seed=seed).notes[0]

    assert [said(seed).rpartition("seed ")[2] for seed in (0, 7)] == ["0.", "7."]


def test_nothing_good() -> None:
    report = inspect(table(train=split("a", [b"", b""], [0, 1])), 1)
    assert report.height is None
    assert len(report.bad["train"]) == 2


def test_exact_pairs_name_the_first() -> None:
    digests = np.array([b"x", b"y", b"x", b"x"], "S16").view("V16")
    assert exact_pairs(digests).tolist() == [[0, 2], [0, 3]]


def thumbs(images: list[Image.Image]) -> np.ndarray:
    return np.stack(
        [np.asarray(i.convert("L").resize((16, 16), Image.Resampling.BOX)) for i in images]
    )


def test_near_pairs() -> None:
    images = [blobs(i) for i in range(300)]
    images[200] = Image.open(io.BytesIO(encoded(images[10], "JPEG")))
    images[201] = images[11].resize((23, 35))
    images[202] = images[12].point(lambda v: 40 + v // 2)
    flat = [Image.new("RGB", (64, 64), (v, v, v)) for v in (90, 91, 92)]
    assert near_pairs(thumbs(images + flat), 1).tolist() == [[10, 200], [11, 201], [12, 202]]


def test_pictures_that_are_all_alike_are_no_copies() -> None:
    outline = np.zeros((64, 64), np.uint8)
    outline[8:56, 20:44] = 180
    rng = np.random.default_rng(0)
    images = []
    for _ in range(300):
        inside = rng.integers(-30, 31, (8, 8)).repeat(8, 0).repeat(8, 1)
        images.append(Image.fromarray(np.where(outline, outline + inside, 0).astype(np.uint8)))
    assert len(near_pairs(thumbs(images), 1)) == 0


def test_thousands_of_the_same_are_soon_seen() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (5000, 16, 16))
    same = np.asarray(thumbs([blobs(0)]), np.int64) // 2 + noise
    assert len(near_pairs(same.astype(np.uint8), 1)) < 5 * 5000


def test_cifar10_has_near_copies(cifar10: Path) -> None:
    source = Source(str(cifar10 / "test-00000-of-00001.parquet"), validation=0)
    report = inspect(read(source, seed=0), 1)
    assert report.exact == ()
    assert 5 <= len(report.near) <= 50
    assert report.kinds == {"PNG RGB": 10_000}
