"""The names that errors suggest."""

import pytest

from deepen.errors import Interrupted, nearest

NAMES = ("resnet18", "resnet50", "plain34", "cifar-resnet20")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("resnet5", "; did you mean resnet50?"),
        ("resnt18", "; did you mean resnet18?"),
        ("plian34", "; did you mean plain34?"),
        ("cifar20", "; did you mean cifar-resnet20?"),
        ("vgg", ""),
        ("", ""),
    ],
)
def test_the_nearest_name_is_suggested_if_it_is_near(asked: str, said: str) -> None:
    assert nearest(asked, NAMES) == said


def test_nothing_is_suggested_where_nothing_is_allowed() -> None:
    assert nearest("x", []) == ""


def test_any_iterable_of_names_will_do() -> None:
    assert nearest("plain3", (name for name in NAMES)) == "; did you mean plain34?"


def test_an_interruption_knows_its_signal() -> None:
    assert Interrupted(15).signal_number == 15
    assert str(Interrupted(2)) == "stopped by signal 2"
