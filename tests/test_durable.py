"""Small files that are whole or not there."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from glare import durable


def test_of_several_makers_one_makes_the_file(tmp_path: Path) -> None:
    """All find the same data afterwards, only its owner may read it, and nothing else is left."""
    path = tmp_path / "key"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: durable.make_file(path, b"%d" % number * 1000), range(8)))
    assert made.count(True) == 1
    assert path.read_bytes() == b"%d" % made.index(True) * 1000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """What cannot be written leaves the file as it was; `prepare` sees the new one before its data."""
    path = tmp_path / "tokens"
    durable.replace_file(path, b"old")
    seen: list[int] = []
    durable.replace_file(path, b"new", lambda descriptor: seen.append(os.fstat(descriptor).st_size))
    assert (path.read_bytes(), seen) == (b"new", [0])

    def refuse(_: int) -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        durable.replace_file(path, b"worse", refuse)
    assert path.read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["tokens"]


@pytest.mark.parametrize("write", [durable.make_file, durable.replace_file])
def test_the_name_is_on_the_disk_before_it_is_relied_on(
    write: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data is written to the disk, then the directory: the name would be lost with it in a power cut."""
    synced: list[bool] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    assert callable(write)
    write(tmp_path / "key", b"data")
    assert synced == [False, True]
