"""Model files: the same bits come back, damage is noticed, and nothing is lost in writing."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from deepen.errors import UserError
from deepen.model import checkpoint

TENSORS = {
    "a.weight": torch.tensor([[1.0, -0.0], [float("nan"), float("inf")]]),
    "half": torch.arange(5).to(torch.bfloat16) / 3,
    "count": torch.tensor(41),
    "mask": torch.tensor([True, False, True]),
    "none": torch.zeros(0, 3),
}
FACTS = {"classes": ["Äpfel", 'a "quoted" name', "数字"], "number": 0.1, "nothing": None}


def bits(tensor: Tensor) -> bytes:
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().tobytes()


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        checkpoint.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.safetensors"
    checkpoint.write(path, TENSORS, FACTS)
    return path


def test_what_was_written_is_read_to_the_bit(file: Path) -> None:
    tensors, facts = checkpoint.read(file)
    assert facts == FACTS
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert (tensors[name].dtype, tensors[name].shape) == (tensor.dtype, tensor.shape)
        assert bits(tensors[name]) == bits(tensor), name


def test_layouts_in_memory_do_not_matter(tmp_path: Path) -> None:
    filters = torch.randn(4, 3, 2, 2)
    last = filters.to(memory_format=torch.channels_last)
    checkpoint.write(tmp_path / "a", {"w": filters}, {})
    checkpoint.write(tmp_path / "b", {"w": last.requires_grad_()}, {})
    first, second = (checkpoint.read(tmp_path / name)[0]["w"] for name in "ab")
    assert first.is_contiguous()
    assert second.is_contiguous()
    assert bits(first) == bits(second) == bits(filters)


def test_others_can_read_the_file(file: Path) -> None:
    assert torch.equal(safetensors.torch.load_file(file)["half"], TENSORS["half"])


def test_every_flipped_bit_of_the_tensors_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    assert len(whole) - start > 20
    for place in range(start, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        assert re.search(" is damaged: | is no whole safetensors file: ", refused(file))


def test_a_flipped_bit_of_the_header_changes_nothing_that_is_read(file: Path) -> None:
    """Either it is noticed or it does not matter (a space for another one): never a traceback,
    never another class name."""
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    noticed = 0
    for place in range(8 + length):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 7
        file.write_bytes(damaged)
        try:
            tensors, facts = checkpoint.read(file)
        except UserError:
            noticed += 1
            continue
        assert facts == FACTS
        assert {n: bits(t) for n, t in tensors.items()} == {n: bits(t) for n, t in TENSORS.items()}
    assert noticed > 0.95 * length


@pytest.mark.parametrize("kept", [0, 4, 8, 100, -30, -1])
def test_a_file_cut_off_is_refused(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    assert refused(file).startswith(f"{file} is no whole safetensors file: ")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == f"there is no file {tmp_path / 'none'}"
    assert refused(tmp_path) == f"there is no file {tmp_path}"


@pytest.mark.parametrize("header", [None, {"format": "pt"}])
def test_a_foreign_file_is_refused(tmp_path: Path, header: dict[str, str] | None) -> None:
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(2)}, path, header)
    assert refused(path) == (
        f"{path} was not written by deepen: it does not say which network it holds"
    )


def test_a_file_without_its_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(2)}, path, {"deepen": "{}"})
    assert refused(path).startswith(f"{path} is damaged: ")


@pytest.mark.parametrize(
    ("body", "name"), [(b"PK\x03\x04 a zip", "model.pt"), (b"\x80\x04.", "x.pkl"), (b"hello", "x")]
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, body: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(body)
    assert refused(tmp_path / name).startswith(f"{tmp_path / name} is no whole safetensors file: ")


# Writing: what stood there stays until the new file is whole and on the disk.


def test_a_file_is_on_the_disk_before_it_takes_its_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, rename = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        flush(handle)

    def replace(self: Path, target: Path) -> Path:
        assert checkpoint.read(target)[1] == FACTS  # the old one is still whole
        done.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    checkpoint.write(file, TENSORS, {"new": True})
    assert done == ["file", "rename", "folder"]
    assert checkpoint.read(file)[1] == {"new": True}
    assert os.listdir(file.parent) == [file.name]


def fails(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("owner", "name"), [(os, "fsync"), (Path, "replace")])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    before = file.read_bytes()
    monkeypatch.setattr(owner, name, fails)
    with pytest.raises(UserError) as caught:
        checkpoint.write(file, TENSORS, {"new": True})
    assert str(caught.value) == (
        f"cannot write {file}: No space left on device; what stood there is kept"
    )
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_a_full_disk_costs_nothing(file: Path) -> None:
    resource = pytest.importorskip("resource")
    before, limits = file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match=f"^cannot write {file}: .*; what stood there is kept$"):
            checkpoint.write(file, {"large": torch.zeros(50_000)}, FACTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_a_folder_that_is_not_there_or_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, reason in (
        (tmp_path / "none" / "m", "No such file or directory"),
        (tmp_path / "file" / "m", "Not a directory"),
    ):
        with pytest.raises(UserError) as caught:
            checkpoint.write(path, TENSORS, FACTS)
        assert str(caught.value) == f"cannot write {path}: {reason}"


def test_facts_are_plain_json(file: Path) -> None:
    with safetensors.safe_open(file, framework="pt") as opened:
        assert json.loads(opened.metadata()["deepen"]) == FACTS
