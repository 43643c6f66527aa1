"""After the last step: the model held against pictures it never saw, and a picture of it all."""

from pathlib import Path

from deepen.data.pack import Packed, Streamed
from deepen.data.table import evenly
from deepen.model.evaluate import save
from deepen.model.evaluation import Evaluation, score
from deepen.model.model import load
from deepen.model.options import Inference
from deepen.model.predict import probabilities
from deepen.training.draw import SHOWN, draw_report
from deepen.training.job import Job
from deepen.watch import Watch

REPORT = "report.png"


def conclude(job: Job, watch: Watch) -> Evaluation | None:
    """Evaluate the saved model in fp32 on the test split, else on the validation split, and draw
    the report; None where nothing was held out."""
    name, pictures = held_out(job)
    if pictures is None:
        return None
    model = load(job.run.model)
    likely = probabilities(model, pictures, job.machine.in_fp32(), Inference(), watch)
    said = f"{Path(job.settings.source.source or 'built-in').name}, {name} split"
    result = score(likely, pictures, model.classes, said)
    save(result, job.run.folder)
    some = evenly(len(pictures.labels), SHOWN)
    names = [
        (model.classes[true], model.classes[called])
        for true, called in zip(pictures.labels[some], likely[some].argmax(1), strict=True)
    ]
    path = job.run.folder / REPORT
    draw_report(job.run.events(), result, pictures.fetch(some), names, path)
    return result


def held_out(job: Job) -> tuple[str, Packed | Streamed | None]:
    """The split that the final evaluation uses, and its name."""
    if job.data.test is not None:
        return "test", job.data.test
    return "validation", job.data.validation
