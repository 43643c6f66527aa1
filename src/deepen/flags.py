"""Settings become flags: each field of a frozen dataclass is said once and is its own help."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, make_dataclass, replace
from typing import Annotated, Any, TypeVar, get_type_hints

from cyclopts import Group, Parameter, Token
from docstring_parser import parse_from_object

from deepen.errors import UserError

T = TypeVar("T")


class Flags:
    """How a type checker sees a class that `flags_of` makes."""


def whole(_type: type, tokens: Sequence[Token]) -> int:
    """An int from a whole number only: 5.5 is an error, not 6."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"a whole number is needed, found {tokens[0].value!r}") from None


def no_flag(_type: type, path: str) -> None:
    """Where - is a path, whatever else begins with a hyphen is a misspelt flag."""
    if path.startswith("-") and path != "-":
        raise UserError(f"there is no option {path}; a path of that name is ./{path}")


def flags_of(
    kind: type, title: str, named: Mapping[str, object] | None = None, omit: Sequence[str] = ()
) -> type:
    """A dataclass of the same fields, as flags under `title` in the help.

    With `named` (named instances of `kind`) a field is None unless given, and its help lists
    theirs: see `chosen`. The fields `omit`, and those that hold a dataclass, are left out.
    """
    said = {p.arg_name: p.description or "" for p in parse_from_object(kind).params}
    hints, group = get_type_hints(kind), Group(title)
    made: list[tuple[str, Any, Any]] = []
    for one in fields(kind):
        if one.name in omit or is_dataclass(hints[one.name]):
            continue
        text = " ".join(said.get(one.name, "").split())
        if named:
            text = f"{text} [{_by_name(one.name, named)}]"
        flag = _parameter(hints[one.name], text, group, negatable=bool(named))
        hint = hints[one.name] | None if named else hints[one.name]
        made.append((one.name, Annotated[hint, flag], None if named else _default(one)))
    own_module = {"__module__": __name__}
    return make_dataclass(f"{kind.__name__}Flags", made, frozen=True, namespace=own_module)


def chosen(base: T, flags: object) -> T:
    """`base` with those fields that were given as flags."""
    assert is_dataclass(base)
    given = {name: value for name, value in vars(flags).items() if value is not None}
    return replace(base, **given)  # type: ignore[type-var]


def made(kind: type[T], flags: object, **further: Any) -> T:
    """The dataclass that all of its flags describe."""
    return kind(**vars(flags), **further)


def _by_name(field: str, named: Mapping[str, object]) -> str:
    values = {name: str(getattr(row, field)) for name, row in named.items()}
    if len(set(values.values())) == 1:
        return f"default: {next(iter(values.values()))}"
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _parameter(hint: Any, text: str, group: Group, *, negatable: bool) -> Parameter:
    kinds = getattr(hint, "__args__", (hint,))
    return Parameter(
        help=text,
        group=group,
        converter=whole if int in kinds and str not in kinds else None,
        negative=None if negatable and hint is bool else (),
        consume_multiple=True if "tuple" in str(hint) else None,
    )


def _default(one: "Field[Any]") -> Any:
    if one.default is not MISSING:
        return one.default
    assert one.default_factory is not MISSING
    return one.default_factory()
