"""`deepen info`: of the published networks, of a depth, or of a model."""

from pathlib import Path

from deepen.errors import UserError
from deepen.files import exists
from deepen.nets import info as networks
from deepen.nets.choice import Choice
from deepen.nets.zoo import is_published


def info(
    asked: str | None = None,
    choice: Choice = Choice(),  # noqa: B008 - frozen
    image_size: int | None = None,
    classes: int | None = None,
    batch: int = 128,
) -> networks.Info | networks.Listing:
    """Everything published, or one network by name, depth, run folder or model file."""
    if asked is None:
        return networks.Listing()
    if asked.isdecimal() or is_published(asked) or not exists(Path(asked)):
        return networks.info(asked, choice, image_size, classes, batch)
    from deepen.model.model import load  # torch is not needed for the rest

    model = load(asked)
    if choice != Choice() or classes is not None:
        raise UserError(f"{asked} says itself which network it holds; ask without its flags")
    size = model.preprocess.size if image_size is None else image_size
    return networks.Info(asked, model.spec, size, batch)
