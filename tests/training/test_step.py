"""One step: what it computes, and what it refuses to."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deepen.data.augment import Augment
from deepen.data.loader import Batch
from deepen.data.preprocess import Preprocess
from deepen.model import checkpoint
from deepen.model.machine import choose
from deepen.model.options import Machine
from deepen.nets.choice import Choice
from deepen.nets.network import network
from deepen.nets.spec import Spec
from deepen.training.job import prepare
from deepen.training.loop import train
from deepen.training.optimiser import Muon, optimisers, orthogonal
from deepen.training.recipe import RECIPES, Recipe
from deepen.training.settings import Settings
from deepen.training.state import begin
from deepen.training.step import Diverged, Task, step

PREPROCESS = Preprocess(12, 12, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
STILL = Augment(crop="none", flip="none")
PLAIN_SGD = replace(
    RECIPES["cifar"], batch=8, augment=STILL, weight_decay=0.0, momentum=0.0, learning_rate=0.1
)


def task(recipe: Recipe, spec: Spec | None = None) -> Task:
    machine = choose(Machine(device="cpu", precision="fp32", threads=1), training=True)
    return Task(network(spec or Spec((1, 1))), recipe, PREPROCESS, machine, None, 10)


def batch(n: int = 8) -> Batch:
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)
    return Batch(np.arange(n), pixels, draws.integers(0, 10, n))


def by_hand(one: Task, given: Batch) -> list[torch.Tensor]:
    """Weights after a step of plain SGD, written out."""
    images = torch.from_numpy(PREPROCESS.normalise(given.pixels))
    net = network(one.network.spec).train()  # type: ignore[arg-type]
    F.cross_entropy(net(images), torch.from_numpy(given.labels)).backward()
    return [p.detach() - 0.1 * p.grad for p in net.parameters() if p.grad is not None]


def test_step_is_gradient_descent() -> None:
    one, given = task(PLAIN_SGD), batch()
    expected = by_hand(one, given)
    step(one, optimisers(one.network, one.recipe), given, epoch=0)
    for parameter, value in zip(one.network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.detach(), value, rtol=1e-4, atol=1e-6)


def test_training_and_inference_normalise_alike() -> None:
    from deepen.training.step import prepared

    images, _ = prepared(task(PLAIN_SGD), batch(), epoch=0)
    expected = torch.from_numpy(PREPROCESS.normalise(batch().pixels))
    torch.testing.assert_close(images.contiguous(), expected, rtol=1e-5, atol=1e-5)


def test_accumulated_parts_give_the_gradient_of_the_whole() -> None:
    """Exactly so without norms; here the norms are put into inference, where they see no batch."""
    gradients = []
    for parts in (1, 4):
        one = task(replace(PLAIN_SGD, accumulate=parts))
        one.network.eval()
        result = step(one, optimisers(one.network, one.recipe), batch(), epoch=0)
        gradients.append(result.gradient)
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-5)


def test_clip_bounds_the_update() -> None:
    one = task(replace(PLAIN_SGD, clip=0.01, learning_rate=1.0))
    before = [p.detach().clone() for p in one.network.parameters()]
    step(one, optimisers(one.network, one.recipe), batch(), epoch=0)
    pairs = zip(one.network.parameters(), before, strict=True)
    moved = torch.stack([(p.detach() - b).norm() for p, b in pairs]).norm()
    assert float(moved) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("poison", ["weight", "gradient"])
def test_nan_stops_before_statistics_and_weights(poison: str) -> None:
    one = task(PLAIN_SGD)
    norm = one.network.get_submodule("layer1.0.bn1")
    if poison == "weight":
        torch.nn.init.constant_(norm.weight, 3e38)  # type: ignore[arg-type]
        where = "layer2.0.bn1|layer1.0"
    else:
        one.network.fc.weight.register_hook(lambda g: g * float("inf"))  # type: ignore[union-attr, operator]
        where = "the gradient"
    before = {n: t.clone() for n, t in one.network.state_dict().items()}
    with pytest.raises(
        Diverged, match=rf"overflowed: loss .* in .*({where}).*--learning-rate below 0.1"
    ):
        step(one, optimisers(one.network, one.recipe), batch(), epoch=0)
    for name, tensor in one.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(p.grad is None for p in one.network.parameters())


def test_statistics_that_overflow_stop_a_step_whose_loss_does_not() -> None:
    one = task(PLAIN_SGD)
    with torch.no_grad():
        one.network.conv1.weight *= 1e25
    before = one.network.bn1.running_var.clone()  # type: ignore[union-attr, operator]
    with pytest.raises(Diverged):
        step(one, optimisers(one.network, one.recipe), batch(), epoch=0)
    assert torch.equal(one.network.bn1.running_var, before)  # type: ignore[arg-type]


def test_overflowed_weights_are_never_saved(tmp_path: Path) -> None:
    state = begin(network(Spec((1, 1))), PLAIN_SGD)
    state.save(tmp_path / "state.safetensors")
    good = (tmp_path / "state.safetensors").read_bytes()
    torch.nn.init.constant_(state.network.fc.bias, float("inf"))
    with pytest.raises(Diverged, match=r"the weights overflowed in the last step"):
        state.save(tmp_path / "state.safetensors")
    assert (tmp_path / "state.safetensors").read_bytes() == good


def test_weighted_parts_make_the_loss_of_the_whole() -> None:
    losses = []
    for parts in (1, 4):
        one = replace(
            task(replace(PLAIN_SGD, accumulate=parts)), weights=torch.linspace(0.1, 2.0, 10)
        )
        one.network.eval()
        losses.append(step(one, optimisers(one.network, one.recipe), batch(), epoch=0))
    assert losses[0].loss == pytest.approx(losses[1].loss, rel=1e-5)
    assert losses[0].gradient == pytest.approx(losses[1].gradient, rel=1e-4)


def test_diverged_run_keeps_the_last_good_files(
    tiny: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate jumps up in the second epoch: what the first left on the disk stays."""
    monkeypatch.setattr(
        "deepen.training.loop.rate_factor", lambda _r, at, *_: 1.0 if at < 6 else 1e30
    )
    folder = tmp_path / "run"
    with pytest.raises(Diverged, match=r"step 8: the numbers overflowed"):
        train(prepare(tiny(optimiser="sgd"), folder))
    assert checkpoint.read(folder / "state.safetensors")[1]["progress"]["step"] == 6
    tensors, _ = checkpoint.read(folder / "model.safetensors")
    assert all(t.isfinite().all() for t in tensors.values())


@pytest.mark.parametrize("depth", [8, 14])
def test_every_parameter_learns(depth: int, tiny: Callable[..., Settings], tmp_path: Path) -> None:
    job = prepare(tiny(Choice(depth=depth), epochs=1), tmp_path / "run")
    before = {n: p.detach().clone() for n, p in job.model.network.named_parameters()}
    train(job)
    for name, parameter in job.model.network.named_parameters():
        assert not torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("shape", [(3, 16, 27), (2, 64, 16), (1, 8, 8)])
def test_orthogonal_pushes_singular_values_towards_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before, after = (torch.linalg.svdvals(m) for m in (matrices, orthogonal(matrices)))
    assert after.shape == before.shape
    assert float(after.max()) < 1.3
    spread_before, spread = (s.max() / s.median() for s in (before, after))
    assert spread <= spread_before
    assert float(after.median()) > 0.6


def test_muon_turns_each_group_by_the_rate_and_keeps_the_length() -> None:
    conv = torch.nn.Conv2d(8, 16, 3, groups=4, bias=False)
    muon = Muon([conv.weight], [conv.groups], replace(RECIPES["fast"], filter_rate=0.1))
    before = conv.weight.detach() * 4 / conv.weight.detach().norm()
    conv(torch.randn(2, 8, 5, 5)).square().sum().backward()
    muon.step()
    moved = (conv.weight.detach() - before).view(4, -1).norm(dim=1)
    torch.testing.assert_close(moved, torch.full((4,), 0.1 * 2.0), rtol=0.3, atol=0)


def test_paper_decays_every_weight_and_muon_the_last_layer_alone() -> None:
    net = network(Spec((1, 1)))
    (sgd,) = optimisers(net, RECIPES["cifar"])
    assert [g["weight_decay"] for g in sgd.param_groups] == [1e-4]
    rest, muon = optimisers(net, RECIPES["fast"])
    decay = {id(p): g["weight_decay"] for g in rest.param_groups for p in g["params"]}
    assert [n for n, p in net.named_parameters() if decay.get(id(p))] == ["fc.weight"]
    count = sum(len(g["params"]) for o in (rest, muon) for g in o.param_groups)
    assert count == len(list(net.parameters()))


@pytest.mark.parametrize(("width", "share"), [(16, 1.0), (32, 1.0), (128, 0.25)])
def test_last_layer_of_a_wide_network_is_slower(width: int, share: float) -> None:
    rest, _ = optimisers(network(Spec((1, 1), width=width)), RECIPES["fast"])
    assert rest.param_groups[1]["share"] == share
