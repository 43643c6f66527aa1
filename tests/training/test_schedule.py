"""Rates against the paper's words."""

import pytest

from deepen.training.recipe import RECIPES, Recipe
from deepen.training.schedule import rate_factor

CIFAR = RECIPES["cifar"]

# arXiv:1512.03385, section 4.2: divided by 10 at 32k and 48k of 64k steps; 110 layers and more
# begin with 0.01 for 400 steps.
ROWS = [
    (20, 0, 1.0),
    (56, 31_999, 1.0),
    (56, 32_000, 0.1),
    (56, 47_999, 0.1),
    (56, 48_000, 0.01),
    (56, 63_999, 0.01),
    (110, 0, 0.1),
    (110, 399, 0.1),
    (110, 400, 1.0),
    (1202, 100, 0.1),
]


@pytest.mark.parametrize(("depth", "step", "factor"), ROWS)
def test_cifar_recipe_as_in_section_4_2(depth: int, step: int, factor: float) -> None:
    assert rate_factor(CIFAR, step, 64_000, depth) == pytest.approx(factor)


def test_paper_recipe_in_numbers() -> None:
    assert (CIFAR.batch, CIFAR.learning_rate, CIFAR.momentum) == (128, 0.1, 0.9)
    assert CIFAR.weight_decay == 1e-4
    assert CIFAR.optimiser == "sgd"
    assert not CIFAR.nesterov
    assert CIFAR.epochs == round(64_000 * 128 / 50_000)


@pytest.mark.parametrize(("schedule", "halfway"), [("linear", 0.5), ("cosine", 0.5), ("step", 0.1)])
def test_schedules_start_high_and_fall(schedule: str, halfway: float) -> None:
    recipe = Recipe(schedule=schedule)  # type: ignore[arg-type]
    rates = [rate_factor(recipe, at, 100, 20) for at in (0, 50, 99)]
    assert rates[:2] == pytest.approx([1.0, halfway])
    assert rates[2] < 0.02


def test_ramp() -> None:
    recipe = Recipe(schedule="linear", warmup=10)
    factors = [rate_factor(recipe, at, 1_000_000, 20) for at in (0, 4, 9, 10)]
    assert factors == pytest.approx([0.1, 0.5, 1.0, 1.0], rel=1e-4)
