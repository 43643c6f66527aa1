"""A network with its class names and its preprocessing, in one self-describing file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from deepen.data.preprocess import Preprocess
from deepen.errors import UserError
from deepen.files import exists
from deepen.model import checkpoint
from deepen.nets.network import Network, network
from deepen.nets.spec import Spec

FILE = "model.safetensors"


@dataclass
class Model:
    """What every verb takes and gives."""

    network: Network
    classes: tuple[str, ...]
    """Names, in the order of the outputs."""
    preprocess: Preprocess
    """What inference does to pixels."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Where it comes from: recipe, data, error; kept in the file for people to read."""

    @property
    def spec(self) -> Spec:
        """The network's architecture."""
        return self.network.spec

    def save(self, path: Path) -> None:
        """Write one safetensors file, durably; raises UserError if it cannot."""
        facts = {
            "spec": self.spec.to_dict(),
            "classes": list(self.classes),
            "preprocess": self.preprocess.to_dict(),
            "facts": self.facts,
        }
        checkpoint.write(path, self.network.state_dict(), facts)


def new(spec: Spec, classes: tuple[str, ...], preprocess: Preprocess, seed: int = 0) -> Model:
    """An untrained model for these classes; raises UserError if the network has others."""
    if spec.classes != len(classes):
        raise UserError(f"the network has {spec.classes} outputs for {len(classes)} classes")
    return Model(network(spec, seed), classes, preprocess)


def load(path: str | Path) -> Model:
    """The model of a run folder or of a model file; raises UserError for anything else."""
    tensors, facts = checkpoint.read(file_of(path))
    if "spec" not in facts:
        raise UserError(
            f"{path} holds the state of a training run, not a model; see {FILE} beside it"
        )
    with torch.device("meta"):
        net = Network(Spec.from_dict(facts["spec"]))
    _check_shapes(path, net, tensors)
    net.load_state_dict(tensors, assign=True)
    preprocess = Preprocess.from_dict(facts["preprocess"])
    return Model(net.eval(), tuple(facts["classes"]), preprocess, facts["facts"])


def file_of(path: str | Path) -> Path:
    """The model file in a run folder, or the path itself."""
    path = Path(path)
    if not exists(path):
        raise UserError(f"there is no run or model file {path}")
    if path.is_dir() and not (path / FILE).exists():
        raise UserError(
            f"{path} is a folder without {FILE}: no run of deepen, or not a step done yet"
        )
    return path / FILE if path.is_dir() else path


def _check_shapes(path: str | Path, net: Network, tensors: dict[str, torch.Tensor]) -> None:
    expected = net.state_dict()
    for name in expected.keys() ^ tensors.keys():
        problem = "lacks" if name in expected else "has, but its network does not,"
        raise UserError(f"{path} {problem} the tensor {name}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise UserError(
                f"{path}: the tensor {name} is {tensor.dtype} {list(tensor.shape)}; "
                f"its network has {expected[name].dtype} {list(expected[name].shape)}"
            )
