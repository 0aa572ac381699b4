"""Folders stay small enough to be read as a list."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

MOST = 25


def test_no_folder_holds_more_modules_than_a_reader_takes_in(checkout: Path, python_files: list[Path]) -> None:
    """A folder that grows beyond 25 modules is divided by topic; an empty `__init__.py` does not count."""
    found = Counter(
        path.parent.relative_to(checkout).as_posix()
        for path in python_files
        if path.name != "__init__.py" or path.stat().st_size
    )
    assert "src/glare/domain" in found
    assert {folder: number for folder, number in found.items() if number > MOST} == {}
