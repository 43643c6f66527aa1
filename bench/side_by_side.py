"""What the benches share: sides measured in turn in one run, one table, on a machine left alone.

Every round measures each side once and begins one side later than the round before, so that what
slows the machine slows all sides alike. A ratio is a side's median over that of the first side of
its group: the peer as shipped.
"""

import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch
from cyclopts import App, CycloptsError, Parameter

from deepen.errors import UserError

BUSY = 0.25
"""Cores that other programs may use: more, and no figure would be true."""
STAT, CPUINFO = Path("/proc/stat"), Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Side:
    """One way to do what its group is about."""

    name: str
    work: Callable[[], float]
    """Does some of it; says how many images that was."""


@dataclass(frozen=True)
class Group:
    """Sides that answer one question, the peer as shipped first."""

    title: str
    sides: list[Side]


@dataclass(frozen=True)
class Measured:
    """A side's images per second, one number a round."""

    name: str
    rates: list[float]

    @property
    def median(self) -> float:
        return median(self.rates)


@Parameter(name="*")
@dataclass(frozen=True)
class Flags:
    """What every bench may be told."""

    quick: bool = False
    """Small and few: it shows that all works, and its figures say nothing."""
    busy_anyway: bool = False
    """Go on although other programs keep the machine busy."""


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    seconds: float
    """Of each side in each round, at least."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UserError(f"--rounds is at least 1, found {self.rounds}")


@dataclass(frozen=True)
class Clock:
    """Seconds since some moment, and seconds of all cores together."""

    wall: float
    busy: float
    """Of all programs."""
    own: float
    """Of this program and its finished children."""


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's flags; exit with 2, and one line, for a user's error."""
    app = App(help_format="plaintext", default_parameter=Parameter(negative=()))
    app.default(main)
    try:
        app(exit_on_error=False, print_error=False)
    except (UserError, CycloptsError) as error:
        print(f"{sys.argv[0]}:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)


def begin(flags: Flags, threads: int | None) -> Clock:
    """Pin the threads; the time from which `others` counts. Raises UserError on a busy machine."""
    before = clock()
    time.sleep(1)
    used = others(before)
    if used > BUSY and not flags.busy_anyway:
        raise UserError(
            f"the machine is busy: other programs use {used:.1f} of {os.cpu_count()} cores; "
            "wait for them, or go on with --busy-anyway"
        )
    _pin(threads)
    return clock()


def _pin(threads: int | None) -> None:
    """Keep this program, its threads and its children on so many cores; None: on all it has."""
    if threads is not None and threads < 1:
        raise UserError(f"--threads is at least 1, found {threads}")
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    torch.set_num_threads(threads or cores())


def cores() -> int:
    """Those that this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measured(sides: list[Side], effort: Effort) -> list[Measured]:
    """Each side once unmeasured, then in every round."""
    results = [Measured(side.name, []) for side in sides]
    for side in sides:
        side.work()
    for number in range(effort.rounds):
        for place in range(len(sides)):
            turn = (number + place) % len(sides)
            results[turn].rates.append(_rate(sides[turn].work, effort.seconds))
    return results


def _rate(work: Callable[[], float], seconds: float) -> float:
    began = time.perf_counter()
    images = work()
    while (spent := time.perf_counter() - began) < seconds:
        images += work()
    return images / spent


def show(groups: Iterable[Group], effort: Effort, since: Clock) -> None:
    """Measure group after group; print the one table, then what it was measured on."""
    print(f"{'ratio':>6}  {'images/s':>9}  {'min–max':<17}  side", flush=True)
    for group in groups:
        results = measured(group.sides, effort)
        print(f"\n{group.title}")
        for result in results:
            print(_row(result, results[0].median), flush=True)
    print()
    for line in machine(since):
        print(line)


def _row(result: Measured, base: float) -> str:
    spread = f"{_number(min(result.rates))}–{_number(max(result.rates))}"
    ratio = result.median / base
    return f"{ratio:>6.2f}  {_number(result.median):>9}  {spread:<17}  {result.name}"


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def machine(since: Clock) -> Iterator[str]:
    """What the figures hold for: processor, cores, threads, versions, the command."""
    versions = [f"{name} {version(name)}" for name in ("torch", "torchvision", "pillow", "deepen")]
    threads = torch.get_num_threads()
    yield f"machine   {_processor()}, {cores()} of {os.cpu_count()} cores, {threads} threads"
    yield f"versions  python {platform.python_version()}, {', '.join(versions)}"
    yield f"others    {others(since):.2f} cores used by other programs meanwhile"
    yield f"command   python {shlex.join(sys.argv)}"


def _processor() -> str:
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def clock() -> Clock:
    """The time now."""
    own = sum(os.times()[:4])
    return Clock(time.monotonic(), _busy_seconds() if STAT.exists() else own, own)


def _busy_seconds() -> float:
    user, nice, system, _idle, _wait, irq, softirq, *_ = map(
        int, STAT.read_text().partition("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def others(since: Clock) -> float:
    """Cores that other programs have used since then; the load average where nothing tells."""
    now = clock()
    if not STAT.exists():
        return os.getloadavg()[0]
    used = (now.busy - since.busy) - (now.own - since.own)
    return max(0.0, used / (now.wall - since.wall))


def cifar10() -> Path | None:
    """The folder of the real CIFAR-10, $DEEPEN_DATA/cifar10; None where the variable is not set."""
    data = os.environ.get("DEEPEN_DATA")
    return Path(data) / "cifar10" if data else None
