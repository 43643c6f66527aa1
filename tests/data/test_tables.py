import csv
import io
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from deepen.data import tables
from deepen.data.source import Source, read
from deepen.data.table import Table
from deepen.errors import UserError


def png(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4), shade).save(file, "PNG")
    return file.getvalue()


def write_csv(path: Path, header: list[str], *rows: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_parquet(path: Path, **values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(values), path)
    return path


def as_is(source: Path | str, **more: Any) -> Table:
    return read(Source(str(source), validation=0, **more), seed=0)


def refused(source: Path | str, **more: Any) -> str:
    with pytest.raises(UserError) as caught:
        as_is(source, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def labels(table: Table, split: str = "train") -> list[str]:
    return [table.classes[i] for i in table.splits[split].labels]


def test_csv_paths_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(png(1))
    absolute = tmp_path / "2.png"
    absolute.write_bytes(png(2))
    rows = [["pictures/1.png", "dog"], [str(absolute), "cat"], ["none.png", "cat"]]
    table = as_is(write_csv(tmp_path / "table.csv", ["path", "label"], *rows))
    train = table.splits["train"]
    assert table.classes == ("cat", "dog")
    assert labels(table) == ["dog", "cat", "cat"]
    assert [train.pictures[0], train.pictures[1]] == [png(1), png(2)]
    assert list(train.names) == ["pictures/1.png", str(absolute), "none.png"]
    with pytest.raises(OSError, match="No such file"):
        train.pictures[2]


def test_csv_classes_are_texts(tmp_path: Path) -> None:
    rows = [["a.png", name] for name in ("01", "1", "None", "NA", "1.0")]
    table = as_is(write_csv(tmp_path / "t.csv", ["file", "class"], *rows))
    assert labels(table) == ["01", "1", "None", "NA", "1.0"]


def test_parquet_bytes_and_whole_numbers(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", data=[png(1), png(2), png(3)], label=[10, 9, 10])
    table = as_is(path)
    assert table.classes == ("9", "10")
    assert labels(table) == ["10", "9", "10"]
    assert table.splits["train"].pictures[2] == png(3)
    assert table.splits["train"].names[1] == "train[1]"


def test_a_folder_of_tables(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation", "test"):
        write_parquet(tmp_path / "data" / f"{name}.parquet", image=[png(), png()], label=["a", "b"])
    table = as_is(tmp_path)
    assert {name: len(split) for name, split in table.splits.items()} == {
        "train": 4,
        "validation": 2,
        "test": 2,
    }


def test_tables_beside_one_folder_of_pictures(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_csv(tmp_path / f"{split}.csv", ["image", "label"], ["images/1.png", "a"])
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(png())
    table = as_is(tmp_path)
    assert list(table.splits) == ["train", "test"]
    assert table.splits["test"].pictures[0] == png()


def saved(names: list[str], codes: list[int]) -> datasets.Dataset:
    features = datasets.Features(
        {"picture": datasets.Image(), "kind": datasets.ClassLabel(names=names)}
    )
    rows = {"picture": [{"bytes": png(i), "path": None} for i in codes], "kind": codes}
    return datasets.Dataset.from_dict(rows, features=features)


def test_classes_of_splits_declared_in_another_order(tmp_path: Path) -> None:
    splits = {"train": saved(["z", "a"], [0, 1, 1]), "test": saved(["a", "z"], [0, 1])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    for split, part in splits.items():
        part.to_parquet(tmp_path / "tables" / f"{split}.parquet")
    for folder in ("saved", "tables"):
        table = as_is(tmp_path / folder)
        assert table.classes == ("z", "a")
        assert labels(table) == ["z", "a", "a"]
        assert labels(table, "test") == ["a", "z"]
        assert table.splits["test"].pictures[1] == png(1)


def test_a_saved_selection(tmp_path: Path) -> None:
    saved(["a", "b"], [0, 1, 0, 1]).select([3, 0]).save_to_disk(tmp_path / "one")
    table = as_is(tmp_path / "one")
    assert labels(table) == ["b", "a"]
    assert table.splits["train"].pictures[0] == png(1)


def test_a_declared_class_without_pictures_is_said(tmp_path: Path) -> None:
    saved(["a", "b", "c"], [0, 2]).save_to_disk(tmp_path / "one")
    table = as_is(tmp_path / "one")
    assert table.classes == ("a", "c")
    assert labels(table) == ["a", "c"]
    assert table.notes == ("train has no picture of 1 class: b.",)


def test_missing_labels(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", ["path", "label"], ["1.png", "a"], ["2.png", "b"])
    write_csv(tmp_path / "test.csv", ["path", "label"], ["3.png", ""], ["4.png", ""])
    table = as_is(tmp_path)
    assert list(table.splits) == ["train"]
    assert table.notes == ("No picture of test has a label: this split is left out.",)
    write_csv(train, ["path", "label"], ["1.png", "a"], ["2.png", ""], ["3.png", ""])
    assert refused(train) == (
        f"{train}: 2 of 3 pictures of train have no label, the first is 2.png"
    )


def test_a_null_is_a_missing_label(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", image=[png(), png()], label=[None, 4])
    assert refused(path) == f"{path}: 1 of 2 pictures of train have no label, the first is train[0]"


def test_a_null_is_a_missing_picture(tmp_path: Path) -> None:
    saved_one = datasets.Dataset.from_dict(
        {"image": [None, {"bytes": png(), "path": None}], "label": ["a", "b"]},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")}),
    )
    saved_one.save_to_disk(tmp_path / "one")
    pictures = as_is(tmp_path / "one").splits["train"].pictures
    with pytest.raises(OSError, match="its row names no file"):
        pictures[0]
    assert pictures[1] == png()


def test_groups_of_a_column(tmp_path: Path) -> None:
    rows = [[f"{i}.png", "ab"[i % 2], f"patient {i // 4}"] for i in range(80)]
    path = write_csv(tmp_path / "t.csv", ["path", "label", "who"], *rows)
    table = read(Source(str(path), group_by="who", validation=0.2), seed=0)
    of = [
        {int(name.removesuffix(".png")) // 4 for name in table.splits[split].names}
        for split in ("train", "validation")
    ]
    assert of[1]
    assert not of[0] & of[1]
    assert refused(path, group_by="whom") == (
        "--group-by whom: no such column; there are path, label, who; did you mean who?"
    )


def test_which_column(tmp_path: Path) -> None:
    header = ["front", "back", "kind", "colour"]
    path = write_csv(tmp_path / "t.csv", header, ["1.png", "2.png", "a", "red"])
    assert refused(path) == (
        "--image-column is needed: front, back may be meant; "
        "the columns are front, back, kind, colour"
    )
    assert refused(path, image_column="front") == (
        "--label-column is needed: none is clearly it; the columns are front, back, kind, colour"
    )
    assert refused(path, image_column="frnt") == (
        "--image-column frnt: no such column; there are front, back, kind, colour; "
        "did you mean front?"
    )
    assert labels(as_is(path, image_column="back", label_column="colour")) == ["red"]


def test_labels_that_are_no_classes(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", image=[png()], label=[0.5])
    assert refused(path) == "--label-column label holds double; one class each is needed"
    path = write_parquet(tmp_path / "u.parquet", image=[png()], label=[["a", "b"]])
    assert refused(path).startswith("--label-column label holds list<")


def test_columns_of_no_use(tmp_path: Path) -> None:
    pictures = [{"bytes": png(i), "path": None} for i in range(2)]
    path = write_parquet(tmp_path / "t.parquet", image=pictures, n=[1, 2], label=["a", "b"])
    assert refused(path, image_column="image", group_by="image") == (
        "--group-by image holds struct<bytes: binary, path: null>; "
        "one text, number or date each is needed"
    )
    assert refused(path, image_column="n") == (
        "--image-column n holds int64; paths (string), encoded pictures (binary) or both "
        "(a struct of bytes and path) are needed"
    )
    raw = write_parquet(tmp_path / "u.parquet", image=[png(), png()])
    assert refused(raw, image_column="image", label_column="image") == (
        "--label-column image holds binary; one class each is needed"
    )


def test_declared_classes_written_differently_are_one(tmp_path: Path) -> None:
    saved(["z", "cafe\u0301", "caf\u00e9"], [2, 0, 1]).save_to_disk(tmp_path / "one")
    table = as_is(tmp_path / "one")
    assert table.classes == ("z", "caf\u00e9")
    assert labels(table) == ["caf\u00e9", "z", "caf\u00e9"]


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"nothing of the kind")
    assert refused(tmp_path / "x.parquet").startswith(
        f"{tmp_path}/x.parquet cannot be read as a table: "
    )
    (tmp_path / "x.csv").write_bytes(b"")
    assert refused(tmp_path / "x.csv").startswith(f"{tmp_path}/x.csv cannot be read as a table: ")
    (tmp_path / "x.png").write_bytes(png())
    assert refused(tmp_path / "x.png") == (
        f"{tmp_path}/x.png is no table (.csv, .parquet) and no folder"
    )
    only = write_csv(tmp_path / "only.csv", ["path", "label"])
    assert refused(only) == f"{only} cannot be read as a table: it has no rows"


def test_tables_that_do_not_belong_together(tmp_path: Path) -> None:
    for name in ("one/train.csv", "two/train.csv"):
        write_csv(tmp_path / name, ["path", "label"])
    assert refused(tmp_path) == (
        f"tables of several kinds or folders: {tmp_path}/one/train.csv, {tmp_path}/two/train.csv; "
        "give one file, or a folder that holds those of one data set"
    )
    for name in ("three/train.csv", "three/extra.csv"):
        write_csv(tmp_path / name, ["path", "label"])
    assert refused(tmp_path / "three") == (
        f"{tmp_path}/three/extra.csv is of no split: "
        "tables beside others are named train…, validation… or test…"
    )


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, cache_dir: str) -> datasets.DatasetDict:
        asked.append((name, cache_dir))
        return datasets.DatasetDict(
            train=saved(["a", "b"], [0, 1]), unsupervised=saved(["a", "b"], [1])
        )

    monkeypatch.setattr(tables, "_refuse_absent", lambda _: None)
    monkeypatch.setattr(datasets, "load_dataset", load)
    table = as_is("someone/pictures")
    assert labels(table) == ["a", "b"]
    assert table.notes == ("Splits left out: unsupervised.",)
    assert asked[0][0] == "someone/pictures"


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
    assert refused("someone/pictures") == (
        "no file or folder someone/pictures here, and huggingface.co cannot be reached"
    )
