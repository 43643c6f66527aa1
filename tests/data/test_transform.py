"""Augmentation leaves the class alone, draws repeatably, and does what its settings say."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from deepen.data.augment import Augment
from deepen.data.transform import augment, mix
from deepen.errors import UserError

STILL = Augment(crop="none", flip="none")
PHASE = torch.arange(6)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def pictures(side: int = 12) -> Tensor:
    """Each pixel says where it is: red the row, green the column; blue the picture."""
    rows = torch.arange(side)[:, None].expand(side, side)
    planes = torch.stack([rows, rows.T, torch.zeros(side, side)])
    batch = planes.repeat(6, 1, 1, 1)
    batch[:, 2] = PHASE[:, None, None]
    return (batch + 1).to(torch.uint8)


def test_none_is_the_centre() -> None:
    out = augment(STILL, pictures(), 8, PHASE)
    assert torch.equal(out, pictures()[:, :, 2:10, 2:10])


@pytest.mark.parametrize(("border", "padding", "reach"), [("zero", 12, 3), ("reflect", 8, 2)])
def test_shift_moves_by_up_to_the_padding(border: str, padding: int, reach: int) -> None:
    """Padding is in pixels of a 32-pixel picture: a quarter of it here."""
    settings = replace(STILL, crop="shift", border=border, padding=padding)  # type: ignore[arg-type]
    moved = torch.cat([augment(settings, pictures(8), 8, PHASE) for _ in range(60)])
    corner = moved[:, 0, 4, 4].int() - 5
    assert sorted(set(corner.tolist())) == list(range(-reach, reach + 1))
    assert (moved == 0).any() == (border == "zero")


def test_reflected_border_repeats_no_edge() -> None:
    settings = replace(STILL, crop="shift", border="reflect", padding=8)
    moved = torch.cat([augment(settings, pictures(8), 8, PHASE) for _ in range(60)])
    top = moved[moved[:, 0, 4, 4] == 3][0]
    assert top[0, :, 0].tolist() == [3, 2, 1, 2, 3, 4, 5, 6]


def test_alternate_mirrors_every_other_epoch() -> None:
    settings = replace(STILL, flip="alternate")
    first, second = (augment(settings, pictures(), 12, PHASE + epoch) for epoch in (0, 1))
    assert torch.equal(first[0], pictures()[0].flip(2))
    assert torch.equal(first[1], pictures()[1])
    assert torch.equal(first, second.flip(3))


def test_random_flip_mirrors_about_half() -> None:
    settings = replace(STILL, flip="random")
    out = torch.cat([augment(settings, pictures(), 12, PHASE) for _ in range(100)])
    mirrored = (out[:, 1, 0, 0] != 1).float().mean()
    assert 0.42 < float(mirrored) < 0.58


@pytest.mark.parametrize("crop", ["resized", "scale"])
def test_resized_crops_have_the_size_and_lie_inside(crop: str) -> None:
    out = augment(replace(STILL, crop=crop), pictures(24), 10, PHASE)  # type: ignore[arg-type]
    assert out.shape == (6, 3, 10, 10)
    assert out.dtype == torch.uint8
    assert (out[:, 0].amin((1, 2)) < out[:, 0].amax((1, 2))).all()


def test_stored_squares_leave_room_for_scales() -> None:
    assert Augment(crop="resized").stored(224, 256) == 256
    assert Augment(crop="scale").stored(224, 256) == 480
    assert Augment(crop="shift").stored(32, 32) == 32


def test_same_seed_same_draws() -> None:
    settings = Augment(crop="resized", flip="random", randaugment=2)
    outs = []
    for _ in range(2):
        torch.manual_seed(7)
        outs.append(augment(settings, pictures(), 12, PHASE))
    assert torch.equal(*outs)


@pytest.mark.parametrize("which", ["mixup", "cutmix"])
def test_mixed_labels_are_probabilities(which: str) -> None:
    images, labels = torch.rand(6, 3, 12, 12), torch.arange(6)
    mixed, soft = mix(replace(STILL, **{which: 1.0}), images, labels, 8)  # type: ignore[arg-type]
    assert soft.shape == (6, 8)
    torch.testing.assert_close(soft.sum(1), torch.ones(6))
    assert not torch.equal(mixed, images)


def test_erasing_erases_and_keeps_labels() -> None:
    images, labels = torch.rand(6, 3, 12, 12) + 1, torch.arange(6)
    erased, same = mix(replace(STILL, erasing=1.0), images, labels, 8)
    assert torch.equal(same, labels)
    assert ((erased == 0).flatten(1).sum(1) > 0).all()


ROWS = [
    ({"erasing": 1.5}, "erasing is a probability from 0 to 1, found 1.5"),
    ({"padding": -1}, "padding is at least 0, found -1"),
    ({"mixup": -0.1}, "mixup is at least 0, found -0.1"),
]


@pytest.mark.parametrize(("wrong", "text"), ROWS)
def test_wrong_settings_are_said(wrong: dict[str, float], text: str) -> None:
    with pytest.raises(UserError) as caught:
        Augment(**wrong)  # type: ignore[arg-type]
    assert str(caught.value) == text
