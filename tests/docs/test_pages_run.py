"""README, tutorials and how-tos are run as they are written, each by a reader who starts in an empty directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.pages import ROOT, Reader, Scene

pytestmark = [pytest.mark.sqlite, pytest.mark.timeout(300)]

HOW_TO = ROOT / "docs" / "how-to"
TUTORIAL = ROOT / "docs" / "tutorial"
SCENES = {
    ROOT / "README.md": Scene(refused={"403": 1, "broken off": 1}),
}


@pytest.mark.parametrize("page", SCENES, ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    """Every command of the page works, and prints what the page shows."""
    directory = tmp_path / "reader"
    directory.mkdir()
    with Reader(directory, SCENES[page]) as reader:
        reader.follow(page)
