"""No option is offered that nothing reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import glare.settings
from glare.settings.values import all_options

PACKAGE = Path(glare.settings.__file__).parents[1]
DECLARATIONS = {PACKAGE / "settings" / name for name in ("service.py", "content.py", "outside.py")}


@pytest.fixture(scope="module")
def source() -> str:
    """The code that may read options."""
    return "\n".join(path.read_text() for path in sorted(PACKAGE.rglob("*.py")) if path not in DECLARATIONS)


@pytest.mark.parametrize("name", sorted({option.name for option in all_options()}))
def test_an_option_is_read_somewhere(source: str, name: str) -> None:
    """Each option is read by code, so that setting it does something."""
    assert re.search(rf"\.{name}\b", source), f"nothing reads {name}"
