"""Every command and code block of README and docs, executed; long budgets are cut short."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]
SHORTER = {
    "--minutes 10": "--minutes 0.2",
    "--epochs 20": "--epochs 1",
    "--epochs 4": "--epochs 1",
}
"""What a test changes in a command before it runs it; nothing else."""
EXCUSES = {
    "CI runs it as it stands",
    "installs",
    "needs a network",
    "needs the data, and an hour",
}
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<excuse>.*?) -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)```", re.S
)


@dataclass(frozen=True)
class Block:
    kind: str
    body: str
    excuse: str | None


def blocks(page: str) -> Iterator[Block]:
    for match in BLOCK.finditer((ROOT / page).read_text()):
        yield Block(match["kind"], match["body"], match["excuse"])


def commands(block: Block) -> list[str]:
    lines = [line[2:] for line in block.body.splitlines() if line.startswith("$ ")]
    assert lines, f"a console block without a command: {block.body!r}"
    return lines


def photos(folder: Path) -> None:
    """Three classes of 40-pixel pictures that a network can tell apart."""
    draws = np.random.default_rng(0)
    for number, name in enumerate(("barn", "field", "night")):
        (folder / name).mkdir(parents=True)
        for i in range(24):
            pixels = draws.integers(0, 90, (40, 48, 3), dtype=np.uint8)
            pixels[..., number] += 120
            Image.fromarray(pixels).save(folder / name / f"IMG_{i:03}.jpg")


def run(command: list[str], folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def shortened(command: str) -> str:
    for long, short in SHORTER.items():
        command = command.replace(long, short)
    return command


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
def test_every_block_runs(page: str, tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    for block in blocks(page):
        if block.excuse:
            continue
        if block.kind == "python":
            run([sys.executable, "-W", "error", "-c", block.body], tmp_path)
        elif block.kind == "console":
            for command in commands(block):
                assert command.startswith("deepen "), command
                run(shlex.split(shortened(command)), tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_only_stated_reasons_excuse_a_block(page: str) -> None:
    for block in blocks(page):
        assert block.kind in {"console", "python", "text"}, block
        assert block.excuse is None or block.excuse in EXCUSES, block.excuse


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *PAGES[1:]])
def test_links_and_pictures_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith("https://"):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_named_flags_exist() -> None:
    """A flag named in the prose is a flag of some verb."""
    verbs = ("train", "evaluate", "predict", "compare", "check", "info", "cache", "demo")
    helps = [
        subprocess.run(
            [sys.executable, "-m", "deepen", verb, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for verb in verbs
    ]
    known = set(re.findall(r"--[a-z][a-z-]+", " ".join(helps)))
    others = {"--editable", "--logdir", "--quick", "--seeds"}
    for page in PAGES:
        text = re.sub(r"```text.*?```", "", (ROOT / page).read_text(), flags=re.S)
        named = set(re.findall(r"--[a-z][a-z-]+", text))
        assert named <= known | others, (page, named - known - others)
