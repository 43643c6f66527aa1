"""`deepen demo`: everything once, on the built-in pictures, in a few minutes."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from deepen.data.source import read
from deepen.model.evaluation import Evaluation
from deepen.model.predict import predict
from deepen.training.job import prepare
from deepen.training.lines import say, say_next
from deepen.training.loop import train
from deepen.training.recipe import RECIPES
from deepen.training.settings import Settings
from deepen.watch import Stop, watched

EPOCHS = 16
PICTURES = "pictures"
SHOWN = 6


def demo(out: Path | None, console: Console, stop: Stop) -> Evaluation | None:
    """Train ResNet-20, evaluate it, predict some test pictures, draw a report, say what is next."""
    settings = Settings(recipe=replace(RECIPES["fast"], epochs=EPOCHS))
    job = prepare(settings, out, watched(console, stop))
    say(job, console)
    result = train(job, console, stop)
    console.print(result)
    folder = _some_pictures(job.run.folder / PICTURES, settings)
    console.print(predict(job.run.folder, [folder]))
    say_next(job, console)
    console.print("your own  deepen train FOLDER, with a folder of pictures for each class")
    return result


def _some_pictures(folder: Path, settings: Settings) -> Path:
    """Write a few test pictures as files, named after what they show."""
    folder.mkdir(exist_ok=True)
    table = read(settings.source, settings.seed)
    test = table.splits["test"]
    for index in range(0, len(test), len(test) // SHOWN + 1):
        name = table.classes[test.labels[index]].replace("/", "-").replace(" ", "-").lower()
        (folder / f"{index:04}-{name}.png").write_bytes(test.pictures[index])
    return folder
