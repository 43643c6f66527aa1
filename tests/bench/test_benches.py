import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"

pytestmark = pytest.mark.slow


def bench(name: str, *flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run bench/NAME.py with these flags; of DEEPEN_DATA it knows only what is said here."""
    inherited = {key: value for key, value in os.environ.items() if key != "DEEPEN_DATA"}
    command = [sys.executable, str(BENCH / f"{name}.py"), *flags]
    return subprocess.run(
        command, capture_output=True, text=True, env=inherited | variables, check=False
    )


def quick(name: str, *flags: str, **variables: str) -> list[str]:
    """What it prints, line by line."""
    done = bench(name, "--quick", "--busy-anyway", *flags, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def rows(lines: list[str]) -> dict[str, float]:
    """Ratios by what stands at the end of their rows; of equal names the last."""
    found = {}
    for line in lines[1:]:
        cells = line.strip().split("  ")
        try:
            found[cells[-1]] = float(cells[0])
        except ValueError:
            continue
    return found


def ends_with_the_machine(lines: list[str]) -> bool:
    return [line.split()[0] for line in lines[-4:]] == ["machine", "versions", "others", "command"]


@contextmanager
def spinning() -> Iterator[None]:
    """Another program that keeps a core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            yield
        finally:
            other.kill()


def test_training_beside_eager_loops_and_the_roof() -> None:
    lines = quick("train", "--threads", "1")
    assert [line for line in lines if line.startswith("ResNet-")] == [
        "ResNet-20, 32x32 pixels, batch 8",
        "ResNet-50, 64x64 pixels, batch 2",
    ]
    ratios = rows(lines)
    assert set(ratios) == {
        "eager fp32 loop, torchvision's blocks",
        "the same, bf16, channels last, fused SGD",
        "deepen, fp32",
        "deepen, bf16",
        "deepen, bf16, recipe fast, batch 16",
        "roof: float32 products alone",
        "roof: bfloat16 products alone",
    }
    assert ratios["eager fp32 loop, torchvision's blocks"] == 1
    assert all(ratio > 0 for ratio in ratios.values())
    assert ends_with_the_machine(lines)


def test_loading_beside_image_folder() -> None:
    lines = quick("load")
    assert "400 PNG files of 28x28 pixels" in lines
    assert "4 JPEG files of 4032x3024 pixels, seen at 224x224" in lines
    ratios = rows(lines)
    assert set(ratios) == {
        "ImageFolder + DataLoader",
        "the same, uint8 tensors, normalised by the batch",
        "the same, a worker that stays, batch 200",
        "the same, resized to 256 first",
        "the same, a loader of one's own: Pillow's draft, 256",
        "deepen, first epoch: checked, decoded, packed",
        "deepen, later epochs",
        "deepen, every epoch of a set too large to pack",
    }
    assert ratios["ImageFolder + DataLoader"] == 1
    assert all(ratio > 0 for ratio in ratios.values())
    assert ends_with_the_machine(lines)


def test_accuracy_beside_the_paper(cifar10: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    lines = quick("accuracy", "--threads", "1", "--out", str(out), DEEPEN_DATA=str(cifar10.parent))
    ratios = rows(lines)
    assert set(ratios) == {"seed 0", "mean of 1", "the paper, 164 epochs"}
    assert ratios["the paper, 164 epochs"] == 1
    assert ends_with_the_machine(lines)
    assert out.read_text().startswith("{")


def test_accuracy_needs_the_data() -> None:
    done = bench("accuracy", "--busy-anyway")
    assert done.returncode == 2
    assert done.stderr.endswith("DEEPEN_DATA is not set: a folder with cifar10 in it\n")


@pytest.mark.parametrize("name", ["train", "load"])
def test_busy_machine_is_refused(name: str) -> None:
    with spinning():
        done = bench(name, "--quick")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "the machine is busy: other programs use " in done.stderr
    assert done.stderr.endswith("wait for them, or go on with --busy-anyway\n")
    assert done.stderr.count("\n") == 1
