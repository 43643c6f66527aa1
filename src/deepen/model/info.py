"""`deepen info`: of the published networks, of a depth, or of a model."""

from pathlib import Path

from deepen.nets import info as networks
from deepen.nets.choice import Choice


def info(
    asked: str | None, choice: Choice, image_size: int | None, classes: int, batch: int
) -> networks.Info | networks.Listing:
    """Everything published, or one network by name, depth, run folder or model file."""
    if asked is None:
        return networks.Listing()
    if Path(asked).exists():
        from deepen.model.model import load  # torch is not needed for the rest

        model = load(asked)
        return networks.Info(asked, model.spec, image_size or model.preprocess.size, batch)
    return networks.info(asked, choice, image_size, classes, batch)
