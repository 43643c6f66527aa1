import io
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from deepen.data.cache import Cache
from deepen.data.pack import Packed, Streamed, prepare
from deepen.data.preprocess import Preprocess
from deepen.data.table import Lazy, Split
from deepen.errors import Interrupted, UserError
from deepen.watch import T, silent

SQUARE = Preprocess(8, 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def png(shade: int, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 12), (shade, shade, shade)).save(file, form)
    return file.getvalue()


def picture(seed: int) -> bytes:
    """Noise as a JPEG file, large enough that libjpeg may reduce it while decoding."""
    noise = np.random.default_rng(seed).integers(0, 256, (50, 40 + seed, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def split(pictures: list[bytes]) -> Split:
    names = [f"{i}.png" for i in range(len(pictures))]
    return Split(pictures, np.arange(len(pictures)), names)


def packed(pictures: list[bytes], preprocess: Preprocess = SQUARE) -> Packed:
    return pack(split(pictures), preprocess)


def pack(given: Split, preprocess: Preprocess = SQUARE) -> Packed:
    result = prepare(given, preprocess, Cache(), 2, silent)
    assert isinstance(result, Packed)
    return result


def counting(pictures: list[bytes], read: list[int]) -> Split:
    def one(i: int) -> bytes:
        read.append(i)
        return pictures[i]

    return Split(Lazy(one, len(pictures)), np.arange(len(pictures)), ["x"] * len(pictures))


MANY = [png(i) for i in range(50)]


def test_squares_in_order_without_the_bad() -> None:
    pictures = [*MANY[:20], b"no picture", *MANY[20:]]
    result = packed(pictures)
    shades = [*range(50)]
    assert result.pixels.shape == (50, 8, 8, 3)
    assert result.fetch(np.arange(50))[:, 3, 3, 0].tolist() == shades
    assert result.fetch(np.array([7, 3]))[:, 0, 0, 0].tolist() == [7, 3]
    assert result.labels.tolist() == [i for i in range(51) if i != 20]
    assert list(result.names)[19:21] == ["19.png", "21.png"]
    assert {i: (b.name, b.reason) for i, b in result.bad.items()} == {
        20: ("20.png", "not a JPEG, PNG, WEBP, BMP or TIFF file")
    }
    assert result.records.sizes[0].tolist() == [12, 16]


def test_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed(MANY)
    monkeypatch.setattr("deepen.data.pack.survey", None)
    again = packed(MANY)
    assert again.key == first.key
    assert (again.pixels == first.pixels).all()


def test_the_key_is_the_contents() -> None:
    key = packed(MANY).key
    renamed = Split(MANY, np.zeros(50, np.int64), ["other"] * 50)
    assert pack(renamed).key == key
    assert packed(MANY[::-1]).key != key
    assert packed(MANY, Preprocess(8, 9, SQUARE.mean, SQUARE.std)).key != key
    assert packed(MANY, Preprocess(8, 8, SQUARE.mean, SQUARE.std, "bicubic")).key != key
    assert packed(MANY, Preprocess(8, 8, (0, 0, 0), SQUARE.std)).key == key


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("left", [0, 50, 1000])
def test_a_damaged_cache_is_made_again(suffix: str, left: int) -> None:
    key = packed(MANY).key
    path = Cache().folder / (key + suffix)
    path.write_bytes(path.read_bytes()[:left])
    assert packed(MANY).fetch(np.arange(50))[:, 0, 0, 0].tolist() == [*range(50)]


def test_a_file_of_another_shape_is_made_again() -> None:
    key = packed(MANY).key
    np.save(Cache().folder / f"{key}.npy", np.zeros((49, 8, 8, 3), np.uint8))
    assert len(packed(MANY)) == 50


def test_all_bad() -> None:
    result = packed([b"", b"x"])
    assert len(result) == 0
    assert len(result.bad) == 2


def test_stopping_leaves_nothing_behind() -> None:
    def stopping(items: Iterable[T], _total: int, what: str) -> Iterator[T]:
        for number, item in enumerate(items):
            if what == "decoding" and number == 2:
                raise Interrupted(2)
            yield item

    with pytest.raises(Interrupted):
        prepare(split(MANY), SQUARE, Cache(), 2, stopping)
    assert list(Cache().folder.iterdir()) == []
    assert len(packed(MANY)) == 50


def test_a_full_disk_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"^the cache cannot be written: No space left on device: "):
        packed(MANY)
    assert list(Cache().folder.iterdir()) == []


PROGRAM = """
import sys
import numpy as np
from deepen.data.cache import Cache
from deepen.data.pack import prepare
from deepen.data.preprocess import Preprocess
from deepen.data.folder import listed, read_folder
from deepen.data.table import Split
from deepen.watch import silent
from pathlib import Path
rows = read_folder(listed(Path(sys.argv[1])), None).splits["train"]
square = Preprocess(8, 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
split = Split(rows.pictures, rows.codes, rows.names)
print(prepare(split, square, Cache(), 1, silent).pixels.sum())
"""


def test_two_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for i in range(200):
        (tmp_path / "a" / f"{i:03}.png").write_bytes(png(i))
    start = partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    both = [start([sys.executable, "-c", PROGRAM, str(tmp_path)]) for _ in range(2)]
    said = [one.communicate(timeout=60) for one in both]
    assert said == [(f"{sum(range(200)) * 192}\n", "")] * 2
    assert sorted(path.suffix for path in Cache().folder.iterdir()) == [".npy", ".npz"]


def test_streamed() -> None:
    streamed = Streamed(split([*MANY[:5], b"bad"]), SQUARE, workers=2)
    pixels = streamed.fetch(np.array([4, 5, 0]))
    assert pixels[:, 0, 0, 0].tolist() == [4, 0, 0]
    assert list(streamed.bad) == [5]
    assert streamed.bad[5].name == "5.png"
    assert len(streamed.labels) == len(streamed.names) == len(streamed) == 6
    assert len(streamed.key) == 32


def test_room_decides() -> None:
    small = Cache(Cache().folder, limit=50 * 192)
    assert isinstance(prepare(split(MANY), SQUARE, small, 1, silent), Packed)
    smaller = Cache(small.folder, limit=50 * 192 - 1)
    assert isinstance(prepare(split(MANY), SQUARE, smaller, 1, silent), Streamed)


def test_a_fuller_disk_changes_nothing_that_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed(MANY)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    assert (packed(MANY).pixels == first.pixels).all()
    other = prepare(split(MANY[::-1]), SQUARE, Cache(), 1, silent)
    assert isinstance(other, Streamed)
    monkeypatch.undo()
    assert packed(MANY[::-1]).key == other.key


def test_streamed_squares_are_the_packed_ones() -> None:
    pictures = [picture(seed) for seed in range(20)]
    streamed = prepare(split(pictures), SQUARE, Cache(limit=0), 3, silent)
    assert isinstance(streamed, Streamed)
    for _ in range(2):
        assert (streamed.fetch(np.arange(20)[::-1]) == packed(pictures).pixels[::-1]).all()


def test_pictures_are_read_no_more_than_twice() -> None:
    read: list[int] = []
    pack(counting(MANY, read))
    assert sorted(read) == sorted([*range(50)] * 2)
    pack(counting(MANY, read))
    assert len(read) == 150
