"""Where a network runs: asked for and found, or said in a line."""

import pytest
import torch

from deepen.errors import UserError
from deepen.model import machine
from deepen.model.machine import choose
from deepen.model.options import Inference, Machine


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    there = {"cuda": False, "mps": False, "cpu": True}
    monkeypatch.setattr(machine, "_devices", lambda: there)
    return there


def refused(asked: Machine) -> str:
    with pytest.raises(UserError) as caught:
        choose(asked, training=True)
    return str(caught.value)


@pytest.mark.parametrize(
    ("there", "asked", "found"),
    [
        ((), "auto", "cpu"),
        (("mps",), "auto", "mps"),
        (("cuda",), "auto", "cuda"),
        (("cuda", "mps"), "auto", "cuda"),
        (("cuda",), "cpu", "cpu"),
        (("cuda", "mps"), "mps", "mps"),
    ],
)
def test_the_device(
    devices: dict[str, bool], there: tuple[str, ...], asked: str, found: str
) -> None:
    devices.update(dict.fromkeys(there, True))
    chosen = choose(Machine(asked, "fp32"), training=False)  # type: ignore[arg-type]
    assert chosen.device.type == found


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        ((), "cuda", "asked for device cuda, but PyTorch finds only cpu here"),
        ((), "mps", "asked for device mps, but PyTorch finds only cpu here"),
        (("cuda",), "mps", "asked for device mps, but PyTorch finds only cuda, cpu here"),
    ],
)
def test_a_device_that_is_not_there(
    devices: dict[str, bool], there: tuple[str, ...], asked: str, said: str
) -> None:
    devices.update(dict.fromkeys(there, True))
    assert refused(Machine(asked)) == said  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["threads", "workers"])
@pytest.mark.parametrize("count", [0, -2])
def test_at_least_one_thread_and_one_worker(name: str, count: int) -> None:
    assert refused(Machine(**{name: count})) == f"--{name} is at least 1, found {count}"  # type: ignore[arg-type]


def test_a_batch_has_a_picture() -> None:
    with pytest.raises(UserError) as caught:
        Inference(batch=0)
    assert str(caught.value) == "--batch is at least 1, found 0"


# Whether the hardware computes in bf16, what was asked for, and what is chosen.
PRECISIONS = (
    (True, "auto", True, "bf16", "the hardware computes in it; weights stay fp32"),
    (False, "auto", True, "fp32", "this hardware does not compute in bf16"),
    (True, "auto", False, "fp32", "so that answers do not depend on the machine"),
    (False, "auto", False, "fp32", "so that answers do not depend on the machine"),
    (True, "fp32", True, "fp32", "asked for"),
    (False, "bf16", True, "bf16", "asked for"),
    (True, "bf16", False, "bf16", "asked for"),
)


@pytest.mark.parametrize(("able", "asked", "training", "precision", "reason"), PRECISIONS)
def test_the_precision_and_why(
    monkeypatch: pytest.MonkeyPatch,
    able: bool,
    asked: str,
    training: bool,
    precision: str,
    reason: str,
) -> None:
    capabilities = {"avx512_bf16": able, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    chosen = choose(Machine("cpu", asked), training=training)  # type: ignore[arg-type]
    assert (chosen.precision, chosen.reason) == (precision, reason)
    assert chosen.in_fp32().precision == "fp32"


@pytest.mark.parametrize(("precision", "expected"), [("bf16", torch.bfloat16), ("fp32", None)])
def test_autocast_is_on_in_bf16_alone(precision: str, expected: torch.dtype | None) -> None:
    chosen = choose(Machine("cpu", precision), training=True)  # type: ignore[arg-type]
    with chosen.autocast():
        found = torch.nn.functional.linear(torch.zeros(1, 2), torch.zeros(3, 2)).dtype
    assert found == (expected or torch.float32)


def test_threads_are_as_asked_inside_and_as_before_afterwards() -> None:
    chosen = choose(Machine("cpu", threads=2), training=False)
    with chosen.running():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1
    with pytest.raises(ZeroDivisionError), chosen.running():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(("said", "expected"), [("3", 3), ("1", 1)])
def test_threads_follow_the_environment(
    monkeypatch: pytest.MonkeyPatch, said: str, expected: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    chosen = choose(Machine("cpu"), training=False)
    assert (chosen.threads, chosen.workers) == (expected, expected)
    assert choose(Machine("cpu", threads=2, workers=5), training=False).threads == 2
    assert choose(Machine("cpu", threads=2, workers=5), training=False).workers == 5


@pytest.mark.parametrize("said", ["", "0", "many"])
def test_without_a_word_threads_are_the_cores_of_the_process(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert choose(Machine("cpu"), training=False).threads == machine._cores() >= 1


def test_networks_and_pictures_are_channels_last() -> None:
    chosen = choose(Machine("cpu"), training=False)
    layer = torch.nn.Conv2d(3, 4, 3)
    chosen.place(layer)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    images = chosen.images(torch.zeros(2, 3, 5, 5))
    assert images.is_contiguous(memory_format=torch.channels_last)
