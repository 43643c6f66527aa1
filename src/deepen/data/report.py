"""What was found in a table of pictures, and how it is said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deepen.data.rows import number, some
from deepen.data.survey import Bad
from deepen.errors import UserError
from deepen.tables import plain_table

if TYPE_CHECKING:
    from rich.console import Group

MOST_BAD = 0.01
"""Share of bad pictures above which nothing is trained."""
NAMED = 20
"""Bad pictures that are then named."""


@dataclass(frozen=True)
class Place:
    """One picture of a table."""

    split: str
    name: str
    label: str


@dataclass(frozen=True)
class Copy:
    """Two pictures that are the same, or nearly."""

    first: Place
    second: Place

    @property
    def across(self) -> bool:
        """Whether one split leaks into another."""
        return self.first.split != self.second.split

    @property
    def contradicts(self) -> bool:
        """Whether the two have different labels."""
        return self.first.label != self.second.label

    def __str__(self) -> str:
        return f"{_said(self.first)} = {_said(self.second)}"


@dataclass(frozen=True)
class Range:
    """The least, middle and greatest of a length in pixels."""

    least: int
    median: int
    greatest: int

    def __str__(self) -> str:
        if self.least == self.greatest:
            return f"{self.least}"
        return f"{self.least} to {self.greatest} (median {self.median})"


@dataclass(frozen=True)
class Report:
    """What was found in a table."""

    source: str
    notes: tuple[str, ...]
    """Of the table: what was decided while reading it."""
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    """Pictures by split, then by class."""
    checked: Mapping[str, int]
    """Pictures looked at, by split; all of them unless a sample was asked for."""
    height: Range | None
    """Of the good pictures, upright; None without any."""
    width: Range | None
    kinds: Mapping[str, int]
    """Good pictures by format and mode, the most frequent first."""
    bad: Mapping[str, tuple[Bad, ...]]
    """By split."""
    exact: tuple[Copy, ...]
    """Each picture whose bytes occurred before, with the first of them."""
    near: tuple[Copy, ...]

    @property
    def imbalance(self) -> float:
        """Pictures of the largest class over those of the smallest, in the first split."""
        counts = [count for count in next(iter(self.counts.values())) if count]
        return max(counts) / min(counts)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self) | {"imbalance": self.imbalance}

    def __rich__(self) -> "Group":
        """For a terminal."""
        from rich.console import Group
        from rich.text import Text

        table = plain_table()
        for heading in ("class", *self.counts):
            table.add_column(heading, justify="left" if heading == "class" else "right")
        for name, *counts in zip(self.classes, *self.counts.values(), strict=True):
            table.add_row(Text(name), *(f"{count:,}" for count in counts))
        return Group(*(Text(line) for line in self.lines()), table)

    def lines(self) -> list[str]:
        """The report in sentences, the table's notes among them; `counts` are for a table."""
        return [*self.notes, *_contents(self), *_faults(self), *_copies(self)]


def stop_if_unfit(report: Report) -> None:
    """Raises UserError if more than one picture in a hundred is bad, with the list."""
    bad = [one for of_split in report.bad.values() for one in of_split]
    checked = sum(report.checked.values())
    if len(bad) > MOST_BAD * checked:
        raise UserError(
            f"{len(bad)} of {checked} pictures cannot be used, more than {MOST_BAD:.0%}: "
            + _reasons(bad, NAMED)
            + ("; deepen check SOURCE --json lists all" if len(bad) > NAMED else "")
        )


def _contents(report: Report) -> Iterator[str]:
    sums = {split: sum(counts) for split, counts in report.counts.items()}
    yield (
        f"{sum(sums.values())} pictures of {len(report.classes)} classes: "
        + ", ".join(f"{split} {count}" for split, count in sums.items())
        + "."
    )
    for split, count in report.checked.items():
        if count < sums[split]:
            yield f"Looked at a sample of {count} of the {sums[split]} pictures of {split}."
    if report.height and report.width:
        yield f"Height {report.height}, width {report.width} pixels."
        yield ", ".join(f"{kind}: {count}" for kind, count in report.kinds.items()) + "."


def _faults(report: Report) -> Iterator[str]:
    split, counts = next(iter(report.counts.items()))
    named = [(count, name) for count, name in zip(counts, report.classes, strict=True) if count]
    (most, largest), (least, smallest) = max(named), min(named)
    if most > 1.5 * least:
        yield (
            f"Unbalanced: {split} has {most} pictures of {largest}, {least} of {smallest} "
            f"({report.imbalance:.1f} to 1)."
        )
    for split, bad in report.bad.items():
        if bad:
            yield f"{number(len(bad), 'picture')} of {split} cannot be used: {_reasons(bad)}."


def _copies(report: Report) -> Iterator[str]:
    for kind, copies in (("Exact", report.exact), ("Near", report.near)):
        for where, across in (("within splits", False), ("across splits (leakage)", True)):
            here = [one for one in copies if one.across == across]
            if here:
                yield f"{kind} copies {where}: {len(here)}; {some([str(one) for one in here], 3)}."
    if contradicting := [one for one in report.exact if one.contradicts]:
        yield (
            f"Same picture, different labels: {len(contradicting)}; "
            + "; ".join(f"{c} ({c.first.label}, {c.second.label})" for c in contradicting[:3])
            + "."
        )


def _said(place: Place) -> str:
    inside = place.name.startswith(place.split)
    return place.name if inside else f"{place.split} {place.name}"


def _reasons(bad: Sequence[Bad], at_most: int = 5) -> str:
    return some([f"{one.name} ({one.reason})" for one in bad], at_most)
