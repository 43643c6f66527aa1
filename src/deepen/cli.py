"""The command line: one verb is one call. Nothing here decides anything."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter

from deepen.data.augment import Augment
from deepen.data.source import Source
from deepen.errors import Interrupted, UserError
from deepen.flags import chosen, flags_of, made, no_flag, whole
from deepen.model.options import Inference, Machine
from deepen.nets.choice import Choice
from deepen.tables import show
from deepen.training.recipe import RECIPES, Recipe, RecipeName
from deepen.training.settings import Settings
from deepen.watch import session, watched

if TYPE_CHECKING:
    from deepen.flags import Flags as AugmentFlags
    from deepen.flags import Flags as ChoiceFlags
    from deepen.flags import Flags as EvaluateFlags
    from deepen.flags import Flags as InferenceFlags
    from deepen.flags import Flags as InfoFlags
    from deepen.flags import Flags as MachineFlags
    from deepen.flags import Flags as RecipeFlags
    from deepen.flags import Flags as SettingsFlags
    from deepen.flags import Flags as SourceFlags
else:
    SourceFlags = flags_of(Source, "Pictures", omit=("source",))
    EvaluateFlags = flags_of(Source, "Pictures", omit=("source", "validation", "group_by"))
    ChoiceFlags = flags_of(Choice, "Network")
    InfoFlags = flags_of(Choice, "Network", omit=("network", "depth"))
    SettingsFlags = flags_of(Settings, "Training")
    MachineFlags = flags_of(Machine, "Machine")
    InferenceFlags = flags_of(Inference, "Inference")
    RecipeFlags = flags_of(Recipe, "Recipe", named=RECIPES)
    augments = {name: recipe.augment for name, recipe in RECIPES.items()}
    AugmentFlags = flags_of(Augment, "Augmentation", named=augments)

FLAT = Parameter(name="*")
Whole = Annotated[int | None, Parameter(converter=whole)]
Json = Annotated[bool, Parameter("--json", help="As JSON; all else goes to standard error.")]
Paths = Annotated[str, Parameter(allow_leading_hyphen=True, validator=no_flag)]

app = App(
    name="deepen",
    help="Residual networks of any depth, trained on your own images.",
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
)


@app.command
def demo(*, out: Path | None = None, json: Json = False) -> None:
    """Train ResNet-20 on the built-in pictures, evaluate it, predict some, draw a report.

    Parameters
    ----------
    out
        Folder of the run; a new one in runs/ unless told otherwise.
    """
    from deepen.training.demo import demo

    with session(json) as (console, stop):
        result = demo(out, console, stop)
    if json:
        show(result, json)


@app.command
def train(
    source: str | None = None,
    /,
    *,
    out: Path | None = None,
    resume: Path | None = None,
    recipe: RecipeName = "fast",
    json: Json = False,
    settings: Annotated[SettingsFlags, FLAT] = SettingsFlags(),
    network: Annotated[ChoiceFlags, FLAT] = ChoiceFlags(),
    pictures: Annotated[SourceFlags, FLAT] = SourceFlags(),
    machine: Annotated[MachineFlags, FLAT] = MachineFlags(),
    recipe_flags: Annotated[RecipeFlags, FLAT] = RecipeFlags(),
    augment_flags: Annotated[AugmentFlags, FLAT] = AugmentFlags(),
) -> None:
    """Train a network on pictures.

    Parameters
    ----------
    source
        Folder, table or Hugging Face dataset; the built-in pictures where there is none.
    out
        Folder of the run; a new one in runs/ unless told otherwise.
    resume
        Folder of a run to go on with, as its run.json says; only --workers may be given beside it.
    recipe
        Where the settings below start from: fast, or as in the paper for CIFAR or ImageNet.
    """
    from deepen.training import job, lines
    from deepen.training.loop import train

    base = RECIPES[recipe]
    asked = made(
        Settings,
        settings,
        source=made(Source, pictures, source=source),
        choice=made(Choice, network),
        recipe=replace(chosen(base, recipe_flags), augment=chosen(base.augment, augment_flags)),
        machine=made(Machine, machine),
    )
    with session(json) as (console, stop):
        task = job.prepared_or_resumed(asked, out, resume, watched(console, stop))
        lines.say(task, console)
        show(train(task, console, stop), json)
        lines.say_next(task, console)


@app.command
def evaluate(
    run: Path,
    source: str | None = None,
    /,
    *,
    out: Path | None = None,
    json: Json = False,
    pictures: Annotated[EvaluateFlags, FLAT] = EvaluateFlags(),
    machine: Annotated[MachineFlags, FLAT] = MachineFlags(),
    inference: Annotated[InferenceFlags, FLAT] = InferenceFlags(),
) -> None:
    """Hold a model against labelled pictures: errors with intervals, by class, calibration.

    Parameters
    ----------
    run
        Run folder or model file.
    source
        Labelled pictures; those held out from training where there is none.
    out
        Folder for evaluation.json and evaluation.png; the run's own where no source is named.
    """
    from deepen.model.evaluate import evaluate

    if source is None and pictures != EvaluateFlags():
        raise UserError("flags about pictures say how to read a source: name it after the run")
    with session(json) as (console, stop):
        labelled = made(Source, pictures, source=source) if source else None
        watch = watched(console, stop)
        machine_, inference_ = made(Machine, machine), made(Inference, inference)
        show(evaluate(run, labelled, machine_, inference_, watch, out), json)


@app.command
def predict(
    run: Path,
    /,
    *files: Paths,
    json: Json = False,
    csv: bool = False,
    machine: Annotated[MachineFlags, FLAT] = MachineFlags(),
    inference: Annotated[InferenceFlags, FLAT] = InferenceFlags(),
) -> None:
    """Name what is in pictures.

    Parameters
    ----------
    run
        Run folder or model file.
    files
        Pictures, folders of them, or - to read paths from standard input, one a line.
    csv
        Comma-separated: name, label, probability, error.
    """
    from deepen.model.predict import paths_in, predict

    if json and csv:
        raise UserError("--json and --csv are two forms of one answer; give one")
    # Before the session, whose first Ctrl-C would wait for the end of the input.
    paths = paths_in(sys.stdin.read()) if files == ("-",) else files
    with session(json or csv) as (console, stop):
        machine_, inference_ = made(Machine, machine), made(Inference, inference)
        found = predict(run, paths, machine_, inference_, watched(console, stop))
        if json or csv:
            print(found.json_lines() if json else found.csv(), end="", flush=True)
        else:
            show(found)


@app.command
def compare(*runs: Path, picture: Path | None = None, json: Json = False) -> None:
    """Hold runs against the first of them: settings that differ, errors, curves.

    Parameters
    ----------
    runs
        Folders of finished runs, two or more.
    picture
        Where the curves are drawn; compare.png in the first run's folder unless told otherwise.
    """
    from deepen.training.compare import compare

    show(compare(runs, picture), json)


@app.command
def check(
    source: str | None = None,
    /,
    *,
    sample: Whole = None,
    workers: Whole = None,
    seed: Annotated[int, Parameter(converter=whole)] = 0,
    json: Json = False,
    pictures: Annotated[SourceFlags, FLAT] = SourceFlags(),
) -> None:
    """Look at every picture of a source: counts, sizes, bad files, copies, imbalance.

    Parameters
    ----------
    source
        Folder, table or Hugging Face dataset; the built-in pictures where there is none.
    sample
        Look at so many pictures a split, not at all of them.
    workers
        Threads that decode; one a core unless told otherwise.
    seed
        Decides the splits that are made, as in training.
    """
    from deepen.data.inspect import check

    with session(json) as (console, stop):
        asked, watch = made(Source, pictures, source=source), watched(console, stop)
        show(check(asked, workers, sample, watch, seed=seed), json)


@app.command
def info(
    network: str | None = None,
    /,
    *,
    image_size: Whole = None,
    classes: Whole = None,
    batch: Annotated[int, Parameter(converter=whole)] = 128,
    json: Json = False,
    choice: Annotated[InfoFlags, FLAT] = InfoFlags(),
) -> None:
    """List the published networks, or show one stage by stage.

    Parameters
    ----------
    network
        A published name, a depth, a run folder or a model file.
    image_size
        Pixels a side: 32 for a depth unless told otherwise; above 64 the stem is ImageNet's.
    classes
        Outputs; 10 for a depth, and a published network's own, unless told otherwise.
    batch
        Pictures for which activations are counted.
    """
    from deepen.model.info import info

    show(info(network, made(Choice, choice), image_size, classes, batch), json)


@app.command
def cache(*, clear: bool = False, json: Json = False) -> None:
    """Say what lies in the cache of decoded pictures, or remove it.

    Parameters
    ----------
    clear
        Remove everything in it; it is made again when needed.
    """
    from deepen.data.cache import usage

    show(usage(clear=clear), json)


def main() -> None:
    """Run the command line; exit with 2, and one line, for what a user can mend."""
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except (UserError, CycloptsError) as error:
        print("deepen:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except Interrupted as error:
        print(f"deepen: {error}", file=sys.stderr)
        sys.exit(128 + error.signal_number)
    except KeyboardInterrupt:  # a second Ctrl-C, where a loop did not look at the first in time
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # the reader, such as `head`, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
