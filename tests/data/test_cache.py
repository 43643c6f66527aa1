from pathlib import Path

import pytest

from deepen.data.cache import Cache, cache_folder, clear_cache
from deepen.errors import UserError


def test_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEPEN_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("DEEPEN_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "deepen"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "deepen"


def test_clearing_leaves_other_things(cache: Path) -> None:
    assert clear_cache() == (0, 0)
    for name in ("packed/a.npy", "packed/b.tmp", "datasets/csv/x/y.arrow", "mine.txt"):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(bytes(10))
    assert clear_cache() == (3, 30)
    assert [path.name for path in cache.iterdir()] == ["mine.txt"]


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        Cache(tmp_path / "file" / "packed").holds(1)
    assert str(caught.value) == (
        f"no cache can be made at {tmp_path}/file/packed: Not a directory; "
        "DEEPEN_CACHE names another folder"
    )


def test_what_it_holds(tmp_path: Path) -> None:
    assert Cache(tmp_path, limit=100).holds(100)
    assert not Cache(tmp_path, limit=100).holds(101)
    assert not Cache(tmp_path, limit=2**80).holds(2**80)
