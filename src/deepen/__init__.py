"""deepen: residual networks of any depth, trained on your own images (arXiv:1512.03385).

The public names; each is imported when it is first used, so that `import deepen` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepen.data.inspect import check as check
    from deepen.data.source import Source as Source
    from deepen.errors import UserError as UserError
    from deepen.model.evaluate import evaluate as evaluate
    from deepen.model.info import info as info
    from deepen.model.model import load as load
    from deepen.model.predict import predict as predict
    from deepen.nets.choice import Choice as Choice
    from deepen.nets.network import network as network
    from deepen.nets.spec import Spec as Spec
    from deepen.training.compare import compare as compare
    from deepen.training.job import prepare as prepare
    from deepen.training.job import resume as resume
    from deepen.training.loop import train as train
    from deepen.training.recipe import RECIPES as RECIPES
    from deepen.training.recipe import Recipe as Recipe
    from deepen.training.settings import Settings as Settings

_HOMES = {
    "check": "deepen.data.inspect",
    "Source": "deepen.data.source",
    "UserError": "deepen.errors",
    "evaluate": "deepen.model.evaluate",
    "info": "deepen.model.info",
    "load": "deepen.model.model",
    "predict": "deepen.model.predict",
    "Choice": "deepen.nets.choice",
    "network": "deepen.nets.network",
    "Spec": "deepen.nets.spec",
    "compare": "deepen.training.compare",
    "prepare": "deepen.training.job",
    "resume": "deepen.training.job",
    "train": "deepen.training.loop",
    "RECIPES": "deepen.training.recipe",
    "Recipe": "deepen.training.recipe",
    "Settings": "deepen.training.settings",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepen' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
