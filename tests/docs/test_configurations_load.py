"""Every piece of configuration that the pages show is one that the service takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from glare.settings import Sources, load

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(DOCS)}-{number}")
    for page in sorted(DOCS.rglob("*.md"))
    for number, block in enumerate(re.findall(r"```ini\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_it_is_read_without_a_warning(tmp_path: Path, block: str) -> None:
    """Each block is read as a file of its own: all options exist, all values are right, and nothing in it has no
    effect.
    """
    path = tmp_path / "glare.conf"
    # What belongs to a type that is not enabled, or a bus that is not named, is on another page.
    path.write_text(block.replace("...", ""))
    loaded = load(Sources(files=(path,), environment=False))
    assert [warning for warning in loaded.warnings if "enabled_artifact_types" not in warning] == []
