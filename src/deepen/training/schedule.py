"""The learning rate as a function of the step: nothing to save, nothing to restore."""

from math import cos, pi

from deepen.training.recipe import Recipe


def rate_factor(recipe: Recipe, step: int, steps: int, depth: int) -> float:
    """What the recipe's rates are multiplied by in `step` (from 0) of `steps`."""
    return _warmup(recipe, step, depth) * _fall(recipe, step / steps)


def _warmup(recipe: Recipe, step: int, depth: int) -> float:
    if step >= recipe.warmup or depth < recipe.warmup_depth:
        return 1.0
    return 0.1 if recipe.warmup_form == "flat" else (step + 1) / recipe.warmup


def _fall(recipe: Recipe, progress: float) -> float:
    match recipe.schedule:
        case "step":
            return 0.1 ** sum(progress >= milestone for milestone in recipe.milestones)
        case "linear":
            return 1 - _after(recipe.hold, progress)
        case "cosine":
            return (1 + cos(pi * _after(recipe.hold, progress))) / 2


def _after(hold: float, progress: float) -> float:
    return max(0.0, (progress - hold) / (1 - hold))
