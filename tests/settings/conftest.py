"""Configuration files for one test, and settings read from them alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from glare.settings import Loaded, SettingsError, Sources, check_machine, load

Read = Callable[..., Loaded]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No option comes from the machine that runs the tests."""
    for name in os.environ:
        if name.startswith("OS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the text of a configuration file; command-line values come by group and name."""

    def reading(text: str = "", overrides: dict[tuple[str, str], str] | None = None) -> Loaded:
        path = tmp_path / "glare.conf"
        path.write_text(text)
        return load(Sources(files=(path,), overrides=overrides or {}))

    return reading


@pytest.fixture
def refused(read: Read) -> Callable[[str], str]:
    """The sentence that refuses a service with this text as its configuration file."""

    def refusing(text: str) -> str:
        with pytest.raises(SettingsError) as error:
            check_machine(read(text).settings)
        return str(error.value)

    return refusing
