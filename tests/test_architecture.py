"""The plan of the house, held against its walls: who imports whom, and how large anything is."""

import ast
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

import deepen
from deepen import cli

ROOT = Path(deepen.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
Function = ast.FunctionDef | ast.AsyncFunctionDef

ALONE = {"errors", "files", "flags", "tables", "watch"}
"""Rooms of a single file that anyone may enter."""
STAIRS = {
    # Who may import whom, besides itself.
    "errors": set(),
    "files": {"errors"},
    "watch": {"errors", "tables"},
    "tables": set(),
    "flags": {"errors"},
    "nets": ALONE,
    "data": ALONE,
    "model": ALONE | {"nets", "data"},
    "training": ALONE | {"nets", "data", "model"},
    "cli": ALONE | {"nets", "data", "model", "training"},
    "__init__": ALONE | {"nets", "data", "model", "training"},
    "__main__": {"cli"},
}
TORCH_IN_DATA = {"transform"}
"""What training does to a batch of pixels; everything else reads pictures without PyTorch."""

LONG, LONGEST, FILE = 25, 60, 300
"""Lines: nearly all functions have fewer, no function has more, no file has more."""
SHARE_OF_SHORT = 0.95
ARGUMENTS = 6


def module(path: Path) -> str:
    return ".".join(("deepen", *path.relative_to(ROOT).with_suffix("").parts))


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere, `from package import module` as the module too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions() -> Iterator[tuple[str, Function]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


@pytest.mark.parametrize("path", FILES, ids=module)
def test_stairs_go_one_way(path: Path) -> None:
    own = room(path)
    assert own in STAIRS, f"{own} is a new room: say here whom it may import"
    rooms = {name.split(".")[1] for name in imported(TREES[path]) if name.startswith("deepen.")}
    assert rooms <= STAIRS[own] | {own}


def test_no_two_modules_import_each_other_however_far_round() -> None:
    known = {module(path) for path in FILES}
    stands_on = {module(p): {n for n in imported(t) if n in known} for p, t in TREES.items()}
    while free := {name for name, others in stands_on.items() if not others & stands_on.keys()}:
        for name in free:
            del stands_on[name]
    assert not stands_on


def test_data_reads_pictures_without_pytorch() -> None:
    users = {
        path.stem
        for path, tree in TREES.items()
        if room(path) == "data"
        and any(name.split(".")[0] in ("torch", "torchvision") for name in imported(tree))
    }
    assert users == TORCH_IN_DATA


def modules_after(statement: str) -> set[str]:
    """What a fresh Python has imported after a statement: top-level names."""
    ask = f"{statement}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


SLOW = {"torch", "torchvision", "datasets", "pyarrow", "pandas", "matplotlib", "scipy", "sklearn"}
HELP = """
import sys
from deepen.cli import main
sys.argv = ["deepen", "train", "--help"]
try:
    main()
except SystemExit:
    pass
"""
PLAN = """
from deepen import Choice, Recipe, Settings, Source, Spec, UserError
from deepen.nets.choice import spec_of
from deepen.nets.cost import cost
cost(spec_of(Choice(depth=110), 32, 10), 32)
"""


@pytest.mark.parametrize(
    "statement",
    ["import deepen", "import deepen.cli", HELP, PLAN, "from deepen.data.source import read"],
    ids=["package", "cli", "help", "plan", "source"],
)
def test_nothing_slow_is_imported_before_it_is_needed(statement: str) -> None:
    assert modules_after(statement) & SLOW == set()


def test_public_names_are_about_ten_and_all_there() -> None:
    assert len(deepen.__all__) <= 20
    for name in deepen.__all__:
        assert getattr(deepen, name) is not None
    with pytest.raises(AttributeError, match=r"^module 'deepen' has no attribute 'nothing'$"):
        _ = deepen.nothing


def test_files_are_small() -> None:
    lengths = {module(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > FILE} == {}


def test_functions_are_small() -> None:
    lines = {name: (f.end_lineno or 0) - f.lineno + 1 for name, f in functions()}
    assert {name: n for name, n in lines.items() if n > LONGEST} == {}
    short = sum(n < LONG for n in lines.values())
    assert short >= SHARE_OF_SHORT * len(lines), sorted(lines.items(), key=lambda x: -x[1])[:30]
    assert sorted(lines.values())[len(lines) // 2] <= 10


def test_functions_take_at_most_six_parameters() -> None:
    """A verb of the command line takes its flags in groups, and is excused."""
    many = {}
    for name, f in functions():
        given = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]
        count = sum(argument.arg not in ("self", "cls") for argument in given)
        if count > ARGUMENTS and not name.startswith("cli.py:"):
            many[name] = count
    assert many == {}


FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "yaml.load"}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", FILES, ids=module)
def test_nothing_runs_code_from_files(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(TREES[path])} & FORBIDDEN_MODULES
    calls = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.Call)]
    assert not {dotted(call.func) for call in calls} & FORBIDDEN_CALLS
    flags = {k.arg: k.value for call in calls for k in call.keywords if k.arg == "allow_pickle"}
    assert all(isinstance(v, ast.Constant) and v.value is False for v in flags.values())


VAGUE = {"utils", "util", "common", "helpers", "helper", "manager", "misc", "base", "core"}


def test_no_module_has_a_vague_name() -> None:
    assert {path.stem for path in FILES} & VAGUE == set()


@pytest.mark.parametrize("path", FILES, ids=module)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(TREES[path])


def deepens_frames() -> tuple[str, ...]:
    """Our own frames on the stack, from the command line to here: file and function."""
    frames = traceback.extract_stack()
    own = [f for f in frames if Path(f.filename).is_relative_to(ROOT)]
    return tuple(f"{module(Path(f.filename))}.{f.name}" for f in own)


@pytest.mark.parametrize("recipe", ["cifar", "fast"])
def test_from_the_command_to_the_optimisers_step_in_three_frames(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks: set[tuple[str, ...]] = set()
    handle = register_optimizer_step_pre_hook(lambda *_: stacks.add(deepens_frames()))
    flags = ["--depth", "8", "--limit", "64", "--epochs", "1", "--threads", "1", "--batch", "32"]
    asked = ["deepen", "train", "--out", str(tmp_path / "run"), "--recipe", recipe, *flags]
    monkeypatch.setattr(sys, "argv", asked)
    threads = torch.get_num_threads()
    try:
        with pytest.raises(SystemExit, match=r"^0$"):
            cli.main()
    finally:
        handle.remove()
        torch.set_num_threads(threads)
    below = [stack[stack.index("deepen.cli.train") :] for stack in stacks]
    trials = [stack for stack in below if "deepen.training.trial.seconds_per_step" in stack]
    assert [stack for stack in below if stack not in trials] == [
        ("deepen.cli.train", "deepen.training.loop.train", "deepen.training.step.step")
    ]
