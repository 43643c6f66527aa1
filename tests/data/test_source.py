import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepen.data.source import Source, absolute, read
from deepen.data.table import Table
from deepen.errors import UserError

NOTHING = (
    "{} holds no pictures (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp) and no tables "
    "(.csv, .parquet)"
)


def png(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4), shade).save(file, "PNG")
    return file.getvalue()


def fill(root: Path, *paths: str) -> Path:
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(png(number))
    return root


def classes(root: Path, *names: str, each: int = 4) -> Path:
    return fill(root, *(f"{name}/{i}.png" for name in names for i in range(each)))


def as_is(root: Path) -> Table:
    return read(Source(str(root), validation=0), seed=0)


def names_by_class(table: Table, split: str = "train") -> dict[str, list[str]]:
    part = table.splits[split]
    return {
        name: [part.names[int(i)] for i in np.flatnonzero(part.labels == place)]
        for place, name in enumerate(table.classes)
    }


def refused(source: Source) -> str:
    with pytest.raises(UserError) as caught:
        read(source, seed=0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    table = as_is(fill(tmp_path, "dog/b.png", "cat/a.PNG", "cat/nested/deep/c.JPeG"))
    assert table.classes == ("cat", "dog")
    assert names_by_class(table) == {
        "cat": ["cat/a.PNG", "cat/nested/deep/c.JPeG"],
        "dog": ["dog/b.png"],
    }
    assert table.splits["train"].pictures[0] == png(1)
    assert table.notes == ("Folders inside class folders belong to these: cat/nested/deep.",)


def test_words_in_file_names_decide_nothing(tmp_path: Path) -> None:
    table = as_is(fill(tmp_path, "cat/test 1.png", "cat/train_2.png", "dog/3.png"))
    assert list(table.splits) == ["train"]
    assert len(table.splits["train"]) == 3


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    table = as_is(classes(tmp_path, "bus", "car", "train"))
    assert table.classes == ("bus", "car", "train")
    assert list(table.splits) == ["train"]


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_splits_in_a_folder(tmp_path: Path, validation: str) -> None:
    for split in ("test", validation, "train"):
        classes(tmp_path / split, "a", "b")
    table = read(Source(str(tmp_path)), seed=0)
    assert list(table.splits) == ["train", "validation", "test"]
    assert [len(split) for split in table.splits.values()] == [8, 8, 8]
    assert table.splits["validation"].names[0] == f"{validation}/a/0.png"
    assert table.notes == ()


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    classes(tmp_path / "train", "a", "b", "c")
    classes(tmp_path / "test", "c", "b")
    table = as_is(tmp_path)
    assert {name: len(found) for name, found in names_by_class(table, "test").items()} == {
        "a": 0,
        "b": 4,
        "c": 4,
    }
    assert names_by_class(table, "test")["c"][0] == "test/c/0.png"
    assert table.notes == ("test has no picture of 1 class: a.",)


def test_an_unknown_class(tmp_path: Path) -> None:
    classes(tmp_path / "train", "cats", "dogs")
    classes(tmp_path / "test", "cats", "dog")
    assert refused(Source(str(tmp_path))) == (
        "test has classes that train has not: dog; did you mean dogs?"
    )


def test_a_validation_split_is_made_and_said(tmp_path: Path) -> None:
    classes(tmp_path / "train", "a", "b", each=20)
    classes(tmp_path / "test", "a", "b", each=3)
    table = read(Source(str(tmp_path)), seed=7)
    assert {name: len(split) for name, split in table.splits.items()} == {
        "train": 36,
        "validation": 4,
        "test": 6,
    }
    assert table.notes == (
        "No validation split: 4 of 40 training pictures are held out, by class, with seed 7.",
    )
    assert not set(table.splits["train"].names) & set(table.splits["validation"].names)
    again = read(Source(str(tmp_path)), seed=7)
    assert list(again.splits["validation"].names) == list(table.splits["validation"].names)


def test_groups_stay_together(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{c}/house{g}_{i}.png" for c in "ab" for g in range(10) for i in range(3)))
    table = read(Source(str(tmp_path), group_by=r"(house\d+)_", validation=0.2), seed=0)
    houses = [
        {re.findall(r"house\d+", name)[0] for name in table.splits[split].names}
        for split in ("train", "validation")
    ]
    assert not houses[0] & houses[1]
    assert "whole groups" in table.notes[0]


def test_wrong_groups(tmp_path: Path) -> None:
    classes(tmp_path, "a", "b", each=2)
    assert refused(Source(str(tmp_path), group_by="(")) == (
        "--group-by '(' is no regular expression: missing ), unterminated subpattern at position 0"
    )
    assert refused(Source(str(tmp_path), group_by="a/")) == (
        "--group-by 'a/' matches nothing in 2 of 4 paths: b/0.png, b/1.png"
    )
    assert refused(Source(str(tmp_path), group_by="[ab]")) == (
        f"{tmp_path}: no validation split of 0.1 can be made from 4 pictures in 2 groups"
    )


def test_limit(tmp_path: Path) -> None:
    classes(tmp_path / "train", "a", "b", each=50)
    classes(tmp_path / "val", "a", "b", each=3)
    table = read(Source(str(tmp_path), limit=10), seed=0)
    assert {name: len(found) for name, found in names_by_class(table).items()} == {"a": 5, "b": 5}
    assert len(table.splits["validation"]) == 6
    assert table.notes == ("--limit 10: 10 of 100 train pictures.",)


def test_what_else_lies_about_is_said(tmp_path: Path) -> None:
    classes(tmp_path, "a", "b", each=2)
    fill(tmp_path, "loose.png", ".hidden/x.png", "a/._0.png", "__MACOSX/a/0.png")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "README").write_text("")
    (tmp_path / "empty").mkdir()
    table = as_is(tmp_path)
    assert len(table.splits["train"]) == 4
    assert table.notes == (
        "Outside the class folders, left out: 1 picture.",
        "Not pictures by their names, left out: 1 .db, 1 no suffix.",
        "Class folders without pictures: empty.",
    )


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    elsewhere = classes(tmp_path / "elsewhere", "x")
    root = classes(tmp_path / "root", "a")
    (root / "b").symlink_to(elsewhere / "x", target_is_directory=True)
    (root / "a" / "up").symlink_to(root, target_is_directory=True)
    table = as_is(root)
    assert {name: len(found) for name, found in names_by_class(table).items()} == {"a": 4, "b": 4}


def test_whole_numbers_are_sorted_by_value(tmp_path: Path) -> None:
    assert as_is(classes(tmp_path, "10", "9", "0")).classes == ("0", "9", "10")


def test_built_in() -> None:
    table = read(Source(limit=50), seed=0)
    assert table.source == "built-in"
    assert table.classes[0] == "T-shirt/top"
    assert {name: len(split) for name, split in table.splits.items()} == {
        "train": 50,
        "validation": 50,
        "test": 50,
    }
    assert table.splits["test"].pictures[-1].startswith(b"\x89PNG")
    assert table.notes == (
        "No validation split: 1000 of 10000 training pictures are held out, by class, with seed 0.",
        "--limit 50: 50 of 9000 train pictures, 50 of 1000 validation pictures, "
        "50 of 2000 test pictures.",
    )


def test_reading_for_evaluation_takes_one_class(tmp_path: Path) -> None:
    assert as_is(classes(tmp_path / "test", "a")).classes == ("a",)


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        (
            [],
            NOTHING,
        ),
        (
            ["a/x.gif", "a/y.gif", "b/z.txt"],
            NOTHING + "; files found: 2 .gif, 1 .txt",
        ),
        (
            ["1.png", "2.png"],
            "{} holds 2 pictures but no class folders; a folder for each class is needed",
        ),
        (
            ["train/1.png"],
            "{}/train holds 1 picture but no class folders; a folder for each class is needed",
        ),
        (["a/1.png"], "{} has a single class, a; two are needed"),
        (
            ["pets/cat/1.png", "pets/dog/1.png"],
            "{} has a single class, pets; two are needed; did you mean {}/pets, with cat, dog?",
        ),
        (
            ["Cat/1.png", "cat /1.png"],
            "{} has classes 'Cat' and 'cat ', which differ only in case or spaces: name them alike",
        ),
        (["val/a/1.png", "val/b/1.png"], "{} has no training split, only validation"),
        (["val/a/1.png", "valid/a/1.png"], "{} has several folders of one split: val, valid"),
        (
            ["train/a/1.png", "test/a/1.png", "more/a/1.png"],
            "{} has folders of splits (test, train) beside others (more): "
            "move the others elsewhere, or rename the first if they are classes",
        ),
        (["a/1.png", "b/1.png"], "{}: no validation split of 0.1 can be made from 2 pictures"),
    ],
    ids=range(11),
)
def test_refused_folders(tmp_path: Path, paths: list[str], text: str) -> None:
    fill(tmp_path, *paths)
    assert refused(Source(str(tmp_path))) == text.replace("{}", str(tmp_path))


def test_no_such_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flowers").mkdir()
    assert refused(Source(f"{tmp_path}/flower")) == (
        f"no file or folder {tmp_path}/flower; did you mean flowers?"
    )
    monkeypatch.chdir(tmp_path)
    assert refused(Source("flower")) == "no file or folder flower; did you mean flowers?"
    assert refused(Source("zzz")) == "no file or folder zzz"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x" * 300, "File name too long"),
        ("~nobody-of-this-name/x", "Could not determine home directory."),
        ("a\0b", "embedded null byte"),
    ],
)
def test_what_can_be_no_path(source: str, reason: str) -> None:
    assert refused(Source(source)) == (
        f"no file or folder {source}: {reason}; "
        "a folder, a table (.csv, .parquet) or a Hugging Face owner/name is needed"
    )


def test_an_unreadable_folder_is_no_missing_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read any folder, so the system's refusal is played."""

    def guarded(path: str) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    classes(tmp_path, "a", "b", "c")
    scandir = os.scandir
    monkeypatch.setattr("os.scandir", guarded)
    assert refused(Source(str(tmp_path))) == (
        f"the folder {tmp_path}/b cannot be read: Permission denied; "
        "move it elsewhere, or make it readable"
    )


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_classes_written_differently_are_the_same(tmp_path: Path) -> None:
    classes(tmp_path / "train", DECOMPOSED, "cafz")
    classes(tmp_path / "test", COMPOSED)
    table = as_is(tmp_path)
    assert table.classes == ("cafz", COMPOSED)
    assert len(names_by_class(table, "test")[COMPOSED]) == 4
    assert table.splits["train"].pictures[0] == png(0)


def test_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "flowers").mkdir()
    monkeypatch.chdir(tmp_path)
    for given in ("flowers", "~/flowers", f"{tmp_path}/flowers"):
        assert absolute(Source(given, limit=3)) == Source(f"{tmp_path}/flowers", limit=3)
    for source in (Source(), Source("someone/pictures")):
        assert absolute(source) == source


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Source(validation=1.5), "--validation 1.5: a share from 0 to below 1 is needed"),
        (Source(limit=0), "--limit 0: at least 1 picture a split is needed"),
    ],
    ids=["validation", "limit"],
)
def test_wrong_values(source: Source, text: str) -> None:
    assert refused(source) == text


def test_cifar10(cifar10: Path) -> None:
    table = read(Source(str(cifar10)), seed=0)
    assert table.classes[:3] == ("airplane", "automobile", "bird")
    assert {name: len(split) for name, split in table.splits.items()} == {
        "train": 45_000,
        "validation": 5_000,
        "test": 10_000,
    }
    assert (np.bincount(table.splits["validation"].labels) == 500).all()
