"""What every test stands on: a cache of its own, and the real CIFAR-10 where there is one."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has an empty cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DEEPEN_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def cifar10() -> Path:
    """The folder of CIFAR-10's Parquet files, $DEEPEN_DATA/cifar10."""
    data = os.environ.get("DEEPEN_DATA")
    if not data:
        pytest.skip("DEEPEN_DATA is not set: a folder with cifar10 in it")
    folder = Path(data) / "cifar10"
    if not folder.is_dir():
        pytest.fail(f"DEEPEN_DATA is set, but there is no folder {folder}")
    return folder
