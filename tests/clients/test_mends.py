"""Mending the client changes what it was written for, once, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mend_client import MENDS, CannotMendError, mend


def test_a_mend_is_made_once(tmp_path: Path) -> None:
    """A mend replaces its text, and a second call finds it mended."""
    for change in MENDS:
        path = tmp_path / change.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"before\n{change.old}after\n")
        assert mend(tmp_path, change).startswith("mended ")
        assert path.read_text() == f"before\n{change.new}after\n"
        assert "mended already" in mend(tmp_path, change)
        assert path.read_text() == f"before\n{change.new}after\n"


@pytest.mark.parametrize("content", ["", "something else\n", "{old}{old}", "{old}{new}"])
def test_another_client_is_not_mended(tmp_path: Path, content: str) -> None:
    """A file that is not the one which the mend was written for is left alone, and refused."""
    change = MENDS[0]
    path = tmp_path / change.file
    path.parent.mkdir(parents=True)
    text = content.format(old=change.old, new=change.new)
    path.write_text(text)
    with pytest.raises(CannotMendError, match=re.escape(str(path))):
        mend(tmp_path, change)
    assert path.read_text() == text


def test_a_client_that_is_not_installed_cannot_be_mended(tmp_path: Path) -> None:
    """A missing file is refused with a sentence."""
    with pytest.raises(CannotMendError, match="is not there"):
        mend(tmp_path, MENDS[0])
