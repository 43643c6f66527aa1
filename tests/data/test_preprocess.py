import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepen.data.preprocess import Preprocess
from deepen.errors import UserError

IMAGENET = Preprocess(224, 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic")
SMALL = Preprocess(8, 10, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@given(height=st.integers(1, 60), width=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_any_picture_becomes_a_square(height: int, width: int) -> None:
    pixels = np.full((height, width, 3), 200, np.uint8)
    square = SMALL.square(pixels)
    assert square.shape == (10, 10, 3)
    assert (square == 200).all()


def test_a_square_of_the_right_size_is_itself() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    assert SMALL.square(pixels) is pixels


def test_the_square_is_the_middle() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    assert (SMALL.square(pixels)[:, 1:-1] == 255).all()


def test_reduction_is_antialiased() -> None:
    board = (np.indices((100, 100)).sum(0) % 2 * 255).astype(np.uint8)
    square = SMALL.square(np.repeat(board[:, :, None], 3, 2))
    assert np.abs(square.astype(int) - 127).max() <= 8


def test_crop_and_normalise() -> None:
    squares = np.zeros((2, 10, 10, 3), np.uint8)
    squares[1, 1:9, 1:9] = 255
    crops = SMALL.crop(squares)
    assert crops.shape == (2, 8, 8, 3)
    planes = SMALL.normalise(crops)
    assert planes.shape == (2, 3, 8, 8)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    np.testing.assert_allclose(planes[0], -2, atol=1e-6)
    np.testing.assert_allclose(planes[1], 2, atol=1e-6)


def test_channels_keep_their_own_mean() -> None:
    planes = IMAGENET.normalise(np.full((1, 1, 3), 255, np.uint8))
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(planes[:, 0, 0], expected, rtol=1e-6)


def test_from_bytes() -> None:
    file = io.BytesIO()
    Image.new("L", (30, 20), 128).save(file, "PNG")
    np.testing.assert_allclose(SMALL(file.getvalue()), 4 * (128 / 255 - 0.5), atol=1e-6)


def test_record_comes_back_through_json() -> None:
    assert Preprocess.from_dict(json.loads(json.dumps(IMAGENET.to_dict()))) == IMAGENET


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"size": 0}, "preprocess.size is 0; 1 to 8192 pixels are allowed"),
        ({"resize": "256"}, "preprocess.resize is '256'; 1 to 8192 pixels are allowed"),
        ({"resize": 100}, "preprocess.resize is 100, less than size 224"),
        ({"mean": [1, 2]}, "preprocess.mean is [1, 2]; three numbers are needed"),
        ({"mean": [1, 2, "3"]}, "preprocess.mean is [1, 2, '3']; three numbers are needed"),
        ({"std": [0, 1, 1]}, "preprocess.std is (0.0, 1.0, 1.0); each must be above 0"),
        (
            {"interpolation": "nearest"},
            "preprocess.interpolation is 'nearest'; allowed: bilinear, bicubic",
        ),
        ({"sise": 3}, "preprocess has no field 'sise'; did you mean size?"),
    ],
)
def test_wrong_records(change: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as caught:
        Preprocess.from_dict(IMAGENET.to_dict() | change)
    assert str(caught.value) == text


def test_missing_field() -> None:
    record = IMAGENET.to_dict()
    del record["mean"]
    with pytest.raises(UserError, match=r"^preprocess lacks the field 'mean'$"):
        Preprocess.from_dict(record)
