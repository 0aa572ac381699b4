"""The commands of monitor.md that need the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.programs.pages import blocks_of
from support.programs.programs import find_program

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parents[2]


def test_the_alerts_are_checked_as_the_page_says() -> None:
    """The block of monitor.md works in the checkout."""
    find_program("promtool")
    [block] = [block for block in blocks_of(ROOT / "docs" / "how-to" / "monitor.md") if block.kind == "sh"]
    done = subprocess.run(["bash", "-euc", block.text], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
