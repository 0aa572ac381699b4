"""The command is called by its name, `glare-server`: `glare` alone is the command of python-glareclient."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from glare.cli.commands import COMMANDS

_WORDS = "|".join(sorted({command.path[0] for command in COMMANDS}))
OLDER = re.compile(rf"(?<![\w./-])(?<!-m )glare[ \n](?:{_WORDS})\b|(?<![\w-])glare\[\w+\]")


@pytest.mark.parametrize("text", ["run `glare " + "serve`", "`glare\n" + "fsck`", "install 'glare" + "[mysql]'"])
def test_the_older_name_is_recognised(text: str) -> None:
    """A call by the older name is found, also where a line ends within it."""
    assert OLDER.search(text)


@pytest.mark.parametrize("text", ["run `glare-server serve`", "glare.settings", "install 'glare-server[mysql]'"])
def test_other_text_is_no_call_by_the_older_name(text: str) -> None:
    """The command by its name, and modules of the package, are fine."""
    assert not OLDER.search(text)


def test_every_text_calls_the_command_by_its_name(project_files: list[Path], checkout: Path) -> None:
    """No document, message or test calls it otherwise, or names an extra of `glare`, which is another project."""
    found = [
        f"{path.relative_to(checkout)}: {' '.join(match.group().split())}"
        for path in project_files
        if path.suffix in {".md", ".py", ".toml", ".conf", ".yaml", ".js", ".html"} or path.name == "Makefile"
        for match in OLDER.finditer(path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)
