"""Mend the lines of python-glareclient 0.5.3 that fail on Python 3.

    python tools/mend_client.py SITE_PACKAGES

The client was released in 2018 for Python 2.7 and 3.5. Each mend replaces one known text in one installed file. It says
what it does and why, does nothing where the file is mended already, and fails where it finds neither the old text nor
the new one, since then this is another client than the one that was read.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


class CannotMendError(Exception):
    """The installed client is not the one that the mends were written for."""


@dataclass(frozen=True, slots=True)
class Mend:
    """One text that is replaced: `file` is relative to the site-packages, `old` stands in it exactly once."""

    file: str
    old: str
    new: str
    why: str


MENDS = (
    Mend(
        "glareclient/common/utils.py",
        "            data = self.iter.next()\n",
        "            data = next(self.iter)\n",
        "iterators have no method next() on Python 3, so every download failed",
    ),
    Mend(
        "glareclient/v1/artifacts.py",
        "                        if limit <= 0:\n                            raise StopIteration\n",
        "                        if limit <= 0:\n                            return\n",
        "since Python 3.7 (PEP 479) a generator ends with return, so a list that reached its limit failed",
    ),
    Mend(
        "glareclient/osc/v1/blobs.py",
        "            blob = sys.stdin\n",
        "            blob = sys.stdin.buffer\n",
        "standard input is text on Python 3, so data from a pipe that is no UTF-8 could not be uploaded",
    ),
    Mend(
        "glareclient/common/http.py",
        '                  "(HTTP 401)" in resp.content)):\n',
        '                  b"(HTTP 401)" in resp.content)):\n',
        "a body is bytes on Python 3, so an answer 500 ended in a TypeError",
    ),
)


def mend(site_packages: Path, change: Mend) -> str:
    """Make one change; returns a sentence about it.

    Raises:
        CannotMendError: the file is not there, or has neither the old text nor the new one exactly once.
    """
    path = site_packages / change.file
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise CannotMendError(f"{path} is not there: is python-glareclient 0.5.3 installed?") from None
    old, new = text.count(change.old), text.count(change.new)
    if (old, new) == (0, 1):
        return f"{change.file} is mended already ({change.why})"
    if (old, new) != (1, 0):
        raise CannotMendError(
            f"{path} is not the file that this mend was written for: it has {change.old.strip()!r} {old} times"
        )
    path.write_text(text.replace(change.old, change.new), "utf-8")
    was, becomes = change.old.splitlines()[-1].strip(), change.new.splitlines()[-1].strip()
    return f"mended {change.file}: `{was}` -> `{becomes}` ({change.why})"


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        for change in MENDS:
            print(mend(Path(sys.argv[1]), change))
    except CannotMendError as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
