"""The tutorial about the main job shows what `make demo` does: each of its commands, and what came of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.programs.client import find_commands
from support.programs.pages import ROOT, blocks_of
from support.programs.programs import find_program

PAGE = ROOT / "docs" / "tutorial" / "main-job.md"
NEVER_THE_SAME = (
    (r"curl: \(18\).*", "curl: (18)"),
    (r"^ *(?:spot|conditional|full): .*×.*$", ""),
    (r"\b(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})\b", "<hex>"),
    (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uuid>"),
    (r"nginx/[\d.]+", "nginx/<version>"),
    (r"'\\[0-7]{3}'", "<byte>"),
    (r"\b\d{4,}\b", "<number>"),
    (r"\b\d+ (GET|HEAD)\b", r"<number> \1"),
    (r"\b\d+\.\d s\b", "<seconds>"),
)
"""What differs between two runs: ids, digests of whatever file the machine has, sizes, ports and times."""


def shape(text: str) -> str:
    """A text with one space between words, without the breaks of long lines and what differs between two runs."""
    found = re.search(r"\$ cp (\S+) origin/files/", text)
    if found:
        text = text.replace(found[1], "<file>")
    for pattern, meant in NEVER_THE_SAME:
        text = re.sub(pattern, meant, text, flags=re.MULTILINE)
    return " ".join(text.replace("\\\n", " ").split())


def pieces(text: str) -> Iterator[str]:
    """What the page shows, without what it leaves out by `…`."""
    blocks = [block for block in blocks_of(PAGE) if block.kind == "text" and not block.mark]
    name = re.search(r"\$ cp (\S+) origin/files/", PAGE.read_text("utf-8"))
    assert name is not None
    for block in blocks:
        for piece in re.split(r"^ *…$", block.text, flags=re.MULTILINE):
            yield shape(piece.replace(name[1], "<file>").replace(Path(name[1]).name, Path(text).name))


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.timeout(900)
def test_the_page_shows_what_the_demonstration_does() -> None:
    """What stands on the page comes in this order, and the demonstration ends without a surprise."""
    for name in ("curl", "nginx", "cmp"):
        find_program(name)
    if isinstance(reason := find_commands(), str):
        if os.environ.get("GLARE_TEST_REQUIRE") == "all":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, ROOT / "demo" / "run.py"], capture_output=True, text=True, check=False, timeout=850
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    sample = re.search(r"\$ cp (\S+) origin/files/", done.stdout)
    assert sample is not None
    came, place = shape(done.stdout), 0
    for piece in pieces(sample[1]):
        found = came.find(piece, place)
        assert found >= 0, f"the page shows\n{piece}\n\nand what came from there on is\n{came[place : place + 3000]}"
        place = found + len(piece)


def test_every_block_of_the_page_is_compared() -> None:
    """Only what a first run prints, and the command that a reader may try, are not."""
    assert [block.mark for block in blocks_of(PAGE) if block.mark or block.kind != "text"] == ["not run"] * 2
