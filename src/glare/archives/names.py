"""Names of members that are safe wherever somebody may unpack them later."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from glare.domain.wording import quoted
from glare.errors import BadRequest

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_PACK_AGAIN: Final = "rename it and pack the archive again"


def read_name(raw: bytes) -> str:
    """The text of a member's name, which must be UTF-8 whether or not the archive says that it is. Raises
    `BadRequest`.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest(
            f"The archive's member {quoted(raw.decode('latin-1'))} has a name that is not UTF-8; {_PACK_AGAIN}."
        ) from None


def require_safe(name: str) -> None:
    """Raises `BadRequest` for a name that could leave the folder, or that systems understand in different ways.

    The name of a directory ends with a slash.
    """
    problem = _problem(name)
    if problem:
        raise BadRequest(f"The archive's member {quoted(name)} {problem}; {_PACK_AGAIN}.")


def _problem(name: str) -> str | None:
    if not name:
        return "has an empty name"
    if _CONTROL.search(name):
        return "has a control character in its name"
    if "\\" in name:
        return "has a backslash in its name, which some systems take for a separator"
    if name.startswith("/"):
        return "has an absolute name"
    if _DRIVE.match(name):
        return "has a name that begins with a drive letter"
    parts = name.removesuffix("/").split("/")
    if ".." in parts:
        return "has a name that leads out of the folder ('..')"
    if "" in parts or "." in parts:
        return "has an empty or '.' part in its name"
    return None


def require_distinct(names: Sequence[str]) -> None:
    """Raises `BadRequest` where two names are one after Unicode normalisation, or a file is also a directory of
    another.
    """
    files: dict[str, str] = {}
    directories: set[str] = set()
    for name in names:
        path = unicodedata.normalize("NFC", name)
        if path in files or (path.endswith("/") and path[:-1] in directories):
            raise _twice(name)
        if path.endswith("/"):
            directories.add(path[:-1])
        else:
            files[path] = name
    for path, name in files.items():
        if path in directories:
            raise _clash(name)
        for end in (found.start() for found in re.finditer("/", path)):
            if path[:end] in files:
                raise _clash(files[path[:end]])


def _twice(name: str) -> BadRequest:
    return BadRequest(
        f"The archive has member {quoted(name)} twice, or a second one whose name differs in its encoding only; "
        "leave one of them out and pack it again."
    )


def _clash(name: str) -> BadRequest:
    return BadRequest(f"The archive's member {quoted(name)} is a file and a directory at once; {_PACK_AGAIN}.")
