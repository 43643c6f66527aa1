"""Tiny trainings: one thread, few pictures, eight layers."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from deepen.data.source import Source
from deepen.model.options import Machine
from deepen.nets.choice import Choice
from deepen.training.recipe import RECIPES
from deepen.training.settings import Settings


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> Callable[..., Settings]:
    """Settings of eight layers on 120 built-in pictures, three epochs of six steps; a recipe's
    fields may be given."""

    def make(choice: Choice = Choice(depth=8), **changes: Any) -> Settings:  # noqa: B008
        recipe = replace(RECIPES["fast"], **{"epochs": 3, "batch": 20, **changes})
        machine = Machine(threads=1, workers=1)
        return Settings(Source(limit=120), choice, recipe, machine, seed=3)

    return make
