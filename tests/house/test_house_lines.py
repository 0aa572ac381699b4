"""Lines end at 120 columns, in code and in documents."""

from __future__ import annotations

from pathlib import Path

MOST = 120

AS_THEY_CAME = (
    "src/glare/http/static/swagger-ui/",  # Published by its makers.
    "CHANGELOG.md",  # Towncrier writes it out of fragments that are held here.
)
LOCKED = ("requirements/", ".txt")
"""Written by `make lock`."""


def longer(text: str) -> list[int]:
    """The numbers of the lines that go on beyond the last column."""
    return [number for number, line in enumerate(text.split("\n"), 1) if len(line) > MOST]


def test_lines_end_at_the_last_column(checkout: Path, project_files: list[Path]) -> None:
    """Of every text file that is ours; what others have written and what tools lock stays as it is."""
    found: dict[str, list[int]] = {}
    seen = 0
    for path in project_files:
        name = path.relative_to(checkout).as_posix()
        if name.startswith(AS_THEY_CAME) or (name.startswith(LOCKED[0]) and name.endswith(LOCKED[1])):
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        seen += 1
        if lines := longer(text):
            found[name] = lines
    assert seen > 900
    assert found == {}


def test_a_longer_line_is_noticed() -> None:
    """Columns are characters, not bytes, and the first one beyond the last is noticed, also at the end."""
    assert longer("ü" * MOST) == []
    assert longer("a\n" + "b" * (MOST + 1)) == [2]
