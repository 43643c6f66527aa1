"""`deepen info`: of the published networks, of a depth, or of a model."""

from pathlib import Path

from deepen.errors import UserError
from deepen.nets import info as networks
from deepen.nets.choice import Choice


def info(
    asked: str | None, choice: Choice, image_size: int | None, classes: int | None, batch: int
) -> networks.Info | networks.Listing:
    """Everything published, or one network by name, depth, run folder or model file."""
    if asked is None:
        return networks.Listing()
    if Path(asked).exists():
        from deepen.model.model import load  # torch is not needed for the rest

        model = load(asked)
        if choice != Choice() or classes is not None:
            raise UserError(f"{asked} says itself which network it holds; ask without its flags")
        size = model.preprocess.size if image_size is None else image_size
        return networks.Info(asked, model.spec, size, batch)
    return networks.info(asked, choice, image_size, classes, batch)
