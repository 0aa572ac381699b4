"""An exception from a rule names the rule and its reason."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

EXCEPTION = re.compile(r"#\s*(?:ruff:\s*|flake8:\s*)?noqa\b|#\s*type:\s*ignore\b|#\s*mypy:", re.IGNORECASE)
REASONED = re.compile(
    r"#\s*(?:(?:ruff:\s*)?noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|type:\s*ignore\[[\w-]+(?:,\s*[\w-]+)*\])"
    r"\s*[-–—:#\s]\s*(?P<reason>[^#\s].*)"
)
WORDS = 3
"""A reason has at least so many words."""


def is_reasoned(comment: str) -> bool:
    """Whether a comment that makes an exception names its code and its reason."""
    match = REASONED.search(comment)
    return match is not None and len(re.findall(r"\w+", match["reason"])) >= WORDS


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: S324 - md5 is for old clients",
        "# noqa: S324, S105  # the name of a thing, not a password",
        "# type: ignore[arg-type]  # the stub is older than the library",
        "# ruff: noqa: E501 - the tables are wide",
    ],
)
def test_an_exception_with_code_and_reason_is_fine(comment: str) -> None:
    """An exception that names its code, and says why in a few words, is accepted."""
    assert EXCEPTION.search(comment)
    assert is_reasoned(comment)


@pytest.mark.parametrize(
    "comment",
    [
        "# no" + "qa",
        "# no" + "qa: S324",
        "# no" + "qa - because it is so",
        "# type: " + "ignore",
        "# type: " + "ignore[arg-type]",
        "# type: " + "ignore  # the stub is older",
        "# mypy: ignore-errors",
    ],
)
def test_an_exception_without_code_or_reason_is_found(comment: str) -> None:
    """An exception that lacks its code or its reason, or that covers a whole file of types, is refused."""
    assert EXCEPTION.search(comment)
    assert not is_reasoned(comment)


def test_every_exception_has_its_reason(python_files: list[Path], checkout: Path) -> None:
    """Each lint or type exception in the project carries its code and its reason on the line."""
    found = [
        f"{path.relative_to(checkout)}:{token.start[0]}: {token.string}"
        for path in python_files
        for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
        if token.type == tokenize.COMMENT and EXCEPTION.search(token.string) and not is_reasoned(token.string)
    ]
    assert not found, "\n".join(found)
