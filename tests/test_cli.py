"""The command line as a person meets it: what it says, what it writes, how it ends."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deepen import cli

SMALL = ("--limit", "64", "--epochs", "1", "--threads", "1", "--depth", "8")
VERBS = ("demo", "train", "evaluate", "predict", "compare", "check", "info", "cache")


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


Deepen = Callable[..., Done]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


def run(patch: pytest.MonkeyPatch, *flags: str | Path) -> int:
    patch.setattr(sys, "argv", ["deepen", *map(str, flags)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def deepen(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Deepen:
    """Run a command in this process, on a terminal of 80 columns that is none."""
    monkeypatch.setenv("COLUMNS", "80")

    def done(*flags: str | Path) -> Done:
        capfd.readouterr()
        code = run(monkeypatch, *flags)
        return Done(code, *capfd.readouterr())

    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, some pictures and some things that are neither."""
    folder = tmp_path_factory.mktemp("desk")
    for number, label in enumerate(("Bag", "Coat")):
        (folder / "photos" / label).mkdir(parents=True)
        for index in range(12):
            draws = np.random.default_rng(100 * number + index)
            pixels = draws.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / label / f"{index}.png")
    (folder / "single" / "Bag").mkdir(parents=True)
    for index in range(12):
        source = folder / "photos" / "Bag" / f"{index}.png"
        (folder / "single" / "Bag" / source.name).write_bytes(source.read_bytes())
    (folder / "empty").mkdir()
    (folder / "file").write_text("not a picture")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DEEPEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        assert run(patch, "train", "--out", "run", *SMALL) == 0
    return folder


@pytest.fixture
def desk(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, to stand in; nothing may be changed there."""
    monkeypatch.chdir(trained)
    before = contents(trained)
    yield trained
    assert contents(trained) == before


def contents(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in paths
    }


# What cannot be had, and what is said of it after "deepen: ".

NO_PICTURES = (
    "empty holds no pictures (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp) "
    "and no tables (.csv, .parquet)"
)
KEPT = "goes on with the settings in its run.json; beside it only --workers may be given"
ENDLESS = "is a folder without model.safetensors: no run of deepen, or not a step done yet"
WHOLE = "a whole number is needed, found"

REFUSED = (
    # Commands and flags.
    (
        "trian",
        'Unknown command "trian". Did you mean "train"? Available commands: demo, train, '
        "evaluate, predict, compare, check, info, cache.",
    ),
    ("train --depht 20", "Unknown option: --depht. Did you mean --depth?"),
    ("train --depth", 'Command "train" parameter --depth requires an argument.'),
    ("train photos photos", "Unused Tokens: ['photos']."),
    ("evaluate", 'Command "evaluate" parameter RUN requires an argument.'),
    ("predict", 'Command "predict" parameter RUN requires an argument.'),
    ("info run --depth 20", "Unknown option: --depth."),
    (
        "predict run photos --btach 3",
        "there is no option --btach; a path of that name is ./--btach",
    ),
    # Values of flags.
    ("train --depth x", f"Invalid value for --depth: {WHOLE} 'x'"),
    ("train --depth 5.5", f"Invalid value for --depth: {WHOLE} '5.5'"),
    ("train --limit 1e3", f"Invalid value for --limit: {WHOLE} '1e3'"),
    ("check --sample many", f"Invalid value for --sample: {WHOLE} 'many'"),
    (
        "train --learning-rate x",
        'Invalid value for --learning-rate: unable to convert "x" into float.',
    ),
    ("train --stem foo", 'Invalid value "foo" for --stem. Choose from: "cifar", "imagenet".'),
    ("train --block b", 'Invalid value "b" for --block. Choose from: "basic", "bottleneck".'),
    ("train --shortcut D", 'Invalid value "D" for --shortcut. Choose from: "A", "B", "C".'),
    (
        "train --recipe best",
        'Invalid value "best" for --recipe. Choose from: "fast", "cifar", "imagenet".',
    ),
    (
        "evaluate run --precision fp64",
        'Invalid value "fp64" for --precision. Choose from: "auto", "fp32", "bf16".',
    ),
    ("train --epochs 0", "--epochs is at least 1, found 0"),
    ("train --minutes 0", "--minutes is above 0, found 0.0"),
    ("train --minutes nan", "--minutes is above 0, found nan"),
    ("train --seed -1", "--seed is from 0 to 2**63 - 1, found -1"),
    ("train --image-size 4", "--image-size is from 8 to 2048 pixels, found 4"),
    ("train --image-size 4096", "--image-size is from 8 to 2048 pixels, found 4096"),
    ("train --batch -1", "--batch is at least 0, found -1"),
    ("train --learning-rate -1", "--learning-rate is at least 0, found -1.0"),
    ("train --learning-rate nan", "--learning-rate is at least 0, found nan"),
    ("train --momentum 1", "--momentum is from 0 to below 1, found 1.0"),
    ("train --label-smoothing 1", "--label-smoothing is from 0 to below 1, found 1.0"),
    ("train --average 1", "--average is from 0 to below 1, found 1.0"),
    ("train --clip -1", "--clip is at least 0, found -1.0"),
    ("train --patience -1", "--patience is at least 0, found -1"),
    ("train --accumulate 0", "--accumulate is at least 1, found 0"),
    ("train --accumulate 3 --batch 500", "a batch of 500 does not divide into 3 parts"),
    ("train --milestones 2", "--milestones are between 0 and 1, found (2.0,)"),
    ("train --mixup nan", "mixup is at least 0, found nan"),
    ("train --erasing 2", "erasing is a probability from 0 to 1, found 2.0"),
    ("train --limit 0", "--limit 0: at least 1 picture a split is needed"),
    ("check --limit 0", "--limit 0: at least 1 picture a split is needed"),
    ("train --validation 1", "--validation 1.0: a share from 0 to below 1 is needed"),
    ("check photos --sample 0", "--sample is at least 1, found 0"),
    ("check photos --workers 0", "--workers is at least 1, found 0"),
    ("evaluate run --batch 0", "--batch is at least 1, found 0"),
    ("predict run photos --batch 0", "--batch is at least 1, found 0"),
    ("info 20 --batch 0", "--batch is at least 1, found 0"),
    ("info 20 --image-size 0", "--image-size is at least 1 pixel, found 0"),
    ("info 20 --classes 0", "classes and width are at least 1, found 0 and 16"),
    # Flags that exclude each other.
    (
        "train --patience 2 --validation 0",
        "--patience needs pictures to validate on, and --validation 0 leaves none",
    ),
    (
        "train --network resnet50 --depth 50",
        "--network resnet50 already says what --depth would; give one",
    ),
    ("info resnet50 --stem cifar", "--network resnet50 already says what --stem would; give one"),
    ("info run --plain", "run says itself which network it holds; ask without its flags"),
    (
        "evaluate run --limit 3",
        "flags about pictures say how to read a source: name it after the run",
    ),
    (
        "predict run photos --json --csv",
        "--json and --csv are two forms of one answer; give one",
    ),
    ("train --resume run --epochs 2", f"--resume run {KEPT}"),
    ("train --resume run --out new", f"--resume run {KEPT}"),
    # Networks.
    (
        "train --depth 21",
        "depth 21 does not exist among cifar networks of basic blocks (6n+2); 20 and 26 do",
    ),
    (
        "info 165 --block bottleneck",
        "depth 165 does not exist among cifar networks of bottleneck blocks (9n+2); 164 and 173 do",
    ),
    (
        "train --depth 51 --stem imagenet",
        "depth 51 does not exist among imagenet networks of bottleneck blocks (3n+2, from 14); "
        "50 and 53 do",
    ),
    (
        "train --network resnet5",
        "no published network is called 'resnet5'; did you mean resnet50?",
    ),
    (
        "info nosuch",
        "no published network is called 'nosuch'; there are plain18 to cifar-resnet1001-v2: "
        "`deepen info` lists all",
    ),
    ("train --survival 2", "survival is a probability above 0 and up to 1, found 2.0"),
    (
        "train --plain --survival 0.5",
        "a plain network cannot drop blocks: survival below 1 needs shortcuts",
    ),
    # The machine.
    ("train --threads 0", "--threads is at least 1, found 0"),
    ("predict run photos --workers 0", "--workers is at least 1, found 0"),
    # Pictures.
    ("train nowhere", "no file or folder nowhere"),
    ("train fotos", "no file or folder fotos; did you mean photos?"),
    ("check phots", "no file or folder phots; did you mean photos?"),
    ("train empty", NO_PICTURES),
    ("check empty", NO_PICTURES),
    ("train single", "single has a single class, Bag; two are needed"),
    (
        "train photos/Bag",
        "photos/Bag holds 12 pictures but no class folders; a folder for each class is needed",
    ),
    ("train file", "file is no table (.csv, .parquet) and no folder"),
    (
        "train photos --label-column kind",
        "--label-column kind is for tables; photos is a folder of pictures",
    ),
    (
        "train photos --group-by (",
        "--group-by '(' is no regular expression: missing ), unterminated subpattern at position 0",
    ),
    ("predict run", "no pictures are named: give files, folders, or - and paths on stdin"),
    ("predict run nowhere.png", "there is no picture nowhere.png"),
    ("predict run empty", "there are no pictures in empty"),
    # Runs and model files.
    (
        "train --out run",
        "run is not empty; continue it with --resume run, or name another folder with --out",
    ),
    (
        "demo --out run",
        "run is not empty; continue it with --resume run, or name another folder with --out",
    ),
    ("train --out file", "file is a file; --out names a folder"),
    ("train --out file/below", "cannot make file/below: file is a file"),
    ("train --resume nowhere", "nowhere is no run folder: it has no run.json"),
    ("train --resume photos", "photos is no run folder: it has no run.json"),
    ("evaluate nowhere", "there is no run or model file nowhere"),
    ("predict nowhere photos", "there is no run or model file nowhere"),
    ("evaluate photos", f"photos {ENDLESS}"),
    ("info photos", f"photos {ENDLESS}"),
    (
        "evaluate run/state.safetensors",
        "run/state.safetensors holds the state of a training run, not a model; "
        "see model.safetensors beside it",
    ),
    ("compare", "comparing takes two runs or more, found 0"),
    ("compare run", "comparing takes two runs or more, found 1"),
    ("compare run nowhere", "nowhere is no run folder: it has no run.json"),
    (
        "compare run run --picture nowhere/x.png",
        "cannot write nowhere/x.png: No such file or directory",
    ),
)


@pytest.mark.parametrize(("command", "said"), REFUSED)
def test_what_cannot_be_had_is_one_line_and_nothing_is_written(
    desk: Path, deepen: Deepen, command: str, said: str
) -> None:
    assert deepen(*command.split(" ")) == Done(2, "", f"deepen: {said}\n")
    assert desk == Path.cwd()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize(
    "command",
    ["train --device cuda", "evaluate run --device cuda", "predict run file --device cuda"],
)
def test_a_device_that_is_not_there(desk: Path, deepen: Deepen, command: str) -> None:
    done = deepen(*command.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("deepen: asked for device cuda, but PyTorch finds only ")
    assert desk == Path.cwd()


@pytest.mark.parametrize("command", ["evaluate file", "info file", "predict file photos"])
def test_a_file_that_is_no_model(desk: Path, deepen: Deepen, command: str) -> None:
    done = deepen(*command.split())
    assert done.code == 2
    assert re.fullmatch(r"deepen: file is no whole safetensors file: [^\n]+\n", done.err)
    assert desk == Path.cwd()


def test_a_damaged_model_is_refused_by_every_verb(
    trained: Path, tmp_path: Path, deepen: Deepen
) -> None:
    body = bytearray((trained / "run" / "model.safetensors").read_bytes())
    body[-5] ^= 1
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(body)
    said = f"deepen: {path} is damaged: its contents do not have the digest stored with them\n"
    for command in (
        ["evaluate", path, trained / "photos"],
        ["predict", path, trained / "photos"],
        ["info", path],
    ):
        assert deepen(*command) == Done(2, "", said)


@pytest.mark.parametrize(
    ("body", "said"),
    [("{", "is not whole JSON: "), ("[]", "is not of format 1"), ("{}", "is not of format 1")],
)
def test_damaged_settings_are_refused(tmp_path: Path, deepen: Deepen, body: str, said: str) -> None:
    (tmp_path / "run.json").write_text(body)
    done = deepen("train", "--resume", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"deepen: {tmp_path / 'run.json'} {said}")
    assert os.listdir(tmp_path) == ["run.json"]


def test_an_unknown_class_is_refused(desk: Path, deepen: Deepen, tmp_path: Path) -> None:
    (tmp_path / "Baag").mkdir()
    picture = next((desk / "photos" / "Bag").iterdir())
    (tmp_path / "Baag" / "x.png").write_bytes(picture.read_bytes())
    assert deepen("evaluate", "run", tmp_path) == Done(
        2,
        "",
        f"deepen: {tmp_path} has a class 'Baag' that the model does not know; "
        "did you mean Bag?; it knows T-shirt/top, Trouser, Pullover, Dress, Coat, ...\n",
    )


# What works.


def test_training_says_what_was_found_and_chosen(
    tmp_path: Path, deepen: Deepen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = deepen("train", "--out", "runs/first", *SMALL)
    assert (done.code, done.err) == (0, "")
    said = " ".join(done.out.split())
    for line in (
        "device cpu; threads: 1, to decode ",
        "images 64 train, 64 validation, 64 test; seen at 28x28 pixels",
        "classes 10: T-shirt/top, Trouser, ",
        "network 8 layers: basic blocks 1-1-1, shortcuts A, cifar stem",
        "parameters 75,290; ",
        "memory about ",
        "time about ",
        "folder runs/first",
        "wrong of 64",
        "runs/first/model.safetensors",
        "deepen predict runs/first PICTURES",
    ):
        assert line in said
    assert max(map(len, done.out.splitlines())) <= 120
    names = set(os.listdir("runs/first"))
    assert names >= {"run.json", "log.jsonl", "model.safetensors", "state.safetensors"}
    settings = json.loads(Path("runs/first/run.json").read_text())
    assert settings["command"] == sys.argv
    assert settings["plan"]["spec"]["blocks"] == [1, 1, 1]


def test_json_of_a_training_is_alone_on_standard_output(tmp_path: Path, deepen: Deepen) -> None:
    done = deepen("train", "--out", tmp_path / "run", "--json", "--batch", "32", *SMALL)
    assert done.code == 0
    values = json.loads(done.out)
    assert values["n"] == 64
    assert 0 <= values["wrong"] == len(values["mistakes"]) <= 64
    assert "network" in done.err
    assert "75,290" in done.err


def json_of(done: Done) -> Any:
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_json_of_evaluate(trained: Path, deepen: Deepen) -> None:
    values = json_of(deepen("evaluate", trained / "run" / "model.safetensors", "--json"))
    assert values["n"] == 64
    assert values["top1_error"]["value"] == values["wrong"] / 64
    assert values["pictures"].endswith("test split")
    assert len(values["per_class"]) == 10


def test_json_of_check(desk: Path, deepen: Deepen) -> None:
    values = json_of(deepen("check", "photos", "--json"))
    assert values["classes"] == ["Bag", "Coat"]
    assert desk == Path.cwd()


@pytest.mark.parametrize("asked", ["20", "resnet50", "run", "run/model.safetensors"])
def test_json_of_info(desk: Path, deepen: Deepen, asked: str) -> None:
    values = json_of(deepen("info", asked, "--json"))
    assert values["depth"] == {"20": 20, "resnet50": 50}.get(asked, 8)
    assert values["name"] == ("depth 20" if asked == "20" else asked)
    assert desk == Path.cwd()


def test_json_of_the_list_and_of_the_cache(deepen: Deepen, cache: Path) -> None:
    assert len(json_of(deepen("info", "--json"))["networks"]) > 30
    values = json_of(deepen("cache", "--json"))
    assert (values["folder"], values["files"], values["cleared"]) == (str(cache), 0, False)


def test_json_of_compare(desk: Path, deepen: Deepen, tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    values = json_of(deepen("compare", "run", "run", "--picture", picture, "--json"))
    assert [row["name"] for row in values["rows"]] == ["run", "run"]
    assert values["settings"] == {}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert desk == Path.cwd()


def test_json_lines_csv_and_table_of_predict(desk: Path, deepen: Deepen) -> None:
    files = sorted(map(str, Path("photos").rglob("*.png")))
    rows = [
        json.loads(line) for line in deepen("predict", "run", "photos", "--json").out.splitlines()
    ]
    assert [row["name"] for row in rows] == files
    body = deepen("predict", "run", *files, "--csv").out
    assert [row["label"] for row in csv.DictReader(io.StringIO(body))] == [r["label"] for r in rows]
    table = deepen("predict", "run", "photos").out
    assert all(name in table for name in files)
    assert max(map(len, table.splitlines())) <= 80
    assert desk == Path.cwd()


def test_paths_come_from_standard_input(
    desk: Path, deepen: Deepen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("photos/Bag/1.png\nfile\n"))
    done = deepen("predict", "run", "-", "--json")
    first, second = [json.loads(line) for line in done.out.splitlines()]
    assert (first["name"], first["error"]) == ("photos/Bag/1.png", None)
    assert (second["name"], second["label"]) == ("file", None)
    assert done.code == 0
    assert desk == Path.cwd()


def test_a_bad_picture_is_a_row_and_no_failure(desk: Path, deepen: Deepen) -> None:
    done = deepen("predict", "run", "file", "photos/Bag/1.png")
    assert (done.code, done.err) == (0, "")
    assert "not a JPEG, PNG, WEBP, BMP or TIFF file" in " ".join(done.out.split())
    assert desk == Path.cwd()


def test_the_cache_is_said_and_cleared(trained: Path, deepen: Deepen, cache: Path) -> None:
    deepen("evaluate", trained / "run" / "model.safetensors", trained / "photos")
    held = json_of(deepen("cache", "--json"))
    assert held["files"] > 0
    assert json_of(deepen("cache", "--clear", "--json"))["cleared"]
    assert json_of(deepen("cache", "--json"))["files"] == 0
    assert cache.is_dir()


def test_a_finished_run_is_resumed_without_a_step(
    trained: Path, tmp_path: Path, deepen: Deepen
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for path in (trained / "run").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    before = (folder / "model.safetensors").read_bytes()
    done = deepen("train", "--resume", folder, "--workers", "1")
    assert done.code == 0
    assert (folder / "model.safetensors").read_bytes() == before


# Help.

COMMON = {
    "train": (
        "--depth --out --epochs --minutes --seed --resume --image-size --stem --limit --network "
        "--block --order --shortcut --plain --device --precision --threads --workers --json "
        "--recipe --learning-rate --label-smoothing --mixup --cutmix --randaugment --erasing "
        "--average --clip --accumulate --class-weights --patience --nesterov --compile --group-by"
    ),
    "demo": "--out",
    "evaluate": "--limit --device --precision --threads --workers --batch --flip --json",
    "predict": "--device --precision --threads --workers --batch --flip --json --csv",
    "compare": "--picture --json",
    "check": "--limit --sample --workers --group-by --json",
    "info": "--image-size --classes --batch --stem --block --order --shortcut --plain --json",
    "cache": "--clear --json",
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_fits_80_columns_and_names_its_flags(deepen: Deepen, verb: str) -> None:
    done = deepen(verb, "--help")
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    assert done.out.startswith(f"Usage: deepen {verb}")
    shown = set(re.findall(r"--[a-z0-9-]+", done.out))
    assert set(COMMON[verb].split()) <= shown


def test_every_flag_is_explained(deepen: Deepen) -> None:
    for verb in VERBS:
        said = " ".join(deepen(verb, "--help").out.split())
        for flag in COMMON[verb].split():
            after = re.split(rf"{flag}(?![a-z-])", said)[-1]
            assert re.match(r"[^│╰]*[A-Za-z]{3}", after), (verb, flag)


def test_the_help_lists_the_verbs(deepen: Deepen) -> None:
    done = deepen("--help")
    assert done.code == 0
    assert set(VERBS) <= set(re.findall(r"^│ (\w+) ", done.out, re.MULTILINE))
    assert deepen().out == done.out


def test_the_version_is_the_packages(deepen: Deepen) -> None:
    from importlib.metadata import version

    assert deepen("--version").out.strip() == version("deepen")


# As a program.


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("info", "20", "--json"), 0, ""),
        (
            ("info", "21"),
            2,
            "deepen: depth 21 does not exist among cifar networks of basic blocks (6n+2); "
            "20 and 26 do\n",
        ),
        (("evaluate", "nowhere"), 2, "deepen: there is no run or model file nowhere\n"),
    ],
)
def test_exit_codes_reach_the_shell(
    tmp_path: Path, flags: tuple[str, ...], code: int, said: str
) -> None:
    command = [sys.executable, "-m", "deepen", *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, said)
    assert os.listdir(tmp_path) == []
