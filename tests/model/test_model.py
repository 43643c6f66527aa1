"""A model is what its file says; a file that says something else is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deepen.data.preprocess import Preprocess
from deepen.errors import UserError
from deepen.model import checkpoint
from deepen.model.model import Model, file_of, load, new
from deepen.nets.network import network
from deepen.nets.spec import Spec

SPEC = Spec((1, 1), width=4, classes=3)
CLASSES = ("Zebra", "ape", "数字")
PREPROCESS = Preprocess(12, 14, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic")
FACTS = {"source": {"source": "photos"}, "seed": 3, "epoch": 2}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    model = new(SPEC, CLASSES, PREPROCESS, seed=1)
    model.facts = FACTS
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rewritten(file: Path, tensors: dict[str, Tensor | None], **facts: Any) -> Path:
    """The file with some tensors and facts changed, whole in itself."""
    before, said = checkpoint.read(file)
    after = {n: t for n, t in (before | tensors).items() if t is not None}
    checkpoint.write(file, after, said | facts)
    return file


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_model_comes_back_as_it_was(file: Path, where: str) -> None:
    found = load(file if where == "file" else str(file.parent))
    assert (found.spec, found.classes, found.preprocess, found.facts) == (
        SPEC,
        CLASSES,
        PREPROCESS,
        FACTS,
    )
    expected = network(SPEC, seed=1).state_dict()
    for name, tensor in found.network.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert not found.network.training


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, shortcut="B", order="pre"),
        replace(SPEC, shortcut=None),
        Spec((1, 1), block="bottleneck", width=4, inner=8, groups=2, shortcut="C", classes=3),
        replace(SPEC, stem="imagenet", survival=0.5, zero_gamma=True),
    ],
)
def test_every_kind_of_network_comes_back(tmp_path: Path, spec: Spec) -> None:
    model = new(spec, CLASSES, PREPROCESS)
    model.save(tmp_path / "m")
    found = load(tmp_path / "m")
    assert found.spec == spec
    x = torch.randn(2, 3, 12, 12)
    with torch.inference_mode():
        assert torch.equal(found.network(x), model.network.eval()(x))


def test_saving_again_changes_no_tensor(file: Path) -> None:
    before = checkpoint.read(file)
    load(file).save(file)
    after = checkpoint.read(file)
    assert after[1] == before[1]
    assert all(torch.equal(after[0][name], tensor) for name, tensor in before[0].items())


def test_a_new_model_needs_an_output_a_class() -> None:
    with pytest.raises(UserError) as caught:
        new(SPEC, ("one", "two"), PREPROCESS)
    assert str(caught.value) == "the network has 3 outputs for 2 classes"


def test_a_loaded_model_can_be_trained_on(file: Path) -> None:
    model = load(file)
    model.network.train()(torch.randn(2, 3, 12, 12)).sum().backward()
    assert model.network.conv1.weight.grad is not None


def test_a_path_without_a_model_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "run") == f"there is no run or model file {tmp_path / 'run'}"
    assert refused(tmp_path) == (
        f"{tmp_path} is a folder without model.safetensors: no run of deepen, "
        "or not a step done yet"
    )


def test_the_state_of_a_training_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    checkpoint.write(path, {"network.conv1.weight": torch.zeros(1)}, {"progress": {}})
    assert refused(path) == (
        f"{path} holds the state of a training run, not a model; see model.safetensors beside it"
    )


# What is changed in the file, and what is said of it.
TENSORS: tuple[tuple[dict[str, Tensor | None], str], ...] = (
    ({"fc.weight": None}, " lacks the tensor fc.weight"),
    ({"extra": torch.zeros(1)}, " has, but its network does not, the tensor extra"),
    (
        {"fc.weight": torch.zeros(3, 9)},
        ": the tensor fc.weight is torch.float32 [3, 9]; its network has torch.float32 [3, 8]",
    ),
    (
        {"fc.bias": torch.zeros(3, dtype=torch.float16)},
        ": the tensor fc.bias is torch.float16 [3]; its network has torch.float32 [3]",
    ),
)


@pytest.mark.parametrize(("tensors", "said"), TENSORS)
def test_tensors_that_are_not_the_networks_are_refused(
    file: Path, tensors: dict[str, Tensor | None], said: str
) -> None:
    assert refused(rewritten(file, tensors)) == f"{file}{said}"


# Facts that another version or hand may have written.
FACTS_REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    (
        {"spec": SPEC.to_dict() | {"depth": 8}},
        "a network has no setting 'depth'",
    ),
    ({"spec": SPEC.to_dict() | {"survival": 0}}, "survival is a probability above 0"),
    ({"preprocess": {"size": 12}}, "preprocess lacks the field 'resize'"),
    ({"spec": SPEC.to_dict() | {"classes": 4}}, "the tensor fc."),
)


@pytest.mark.parametrize(("facts", "said"), FACTS_REFUSED)
def test_facts_that_cannot_be_are_refused(file: Path, facts: dict[str, Any], said: str) -> None:
    assert said in refused(rewritten(file, {}, **facts))


def test_the_file_of_a_run_or_of_a_path(file: Path) -> None:
    assert file_of(file.parent) == file_of(file) == file_of(str(file)) == file


def test_a_model_knows_its_spec() -> None:
    assert Model(network(SPEC), CLASSES, PREPROCESS).spec == SPEC
