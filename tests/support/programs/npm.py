"""Programs of npm, each in a folder of its own that is made once.

The packages come by `package-lock.json`, which names each by its digest and no place that it comes from. No script of a
package runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import pytest

_CHECKOUT: Final = Path(__file__).resolve().parents[3]
_LOCKS: Final = ("package.json", "package-lock.json")


class NoProgramError(Exception):
    """There can be no such program here."""


@dataclass(frozen=True, slots=True)
class NpmProgram:
    """A program: `words` say what it is, `sources` is the folder with its lock and the `files` that it runs besides,
    `name` the folder of the checkout that it is made in.
    """

    words: str
    sources: Path
    name: str
    files: Sequence[str] = ()

    def made(self) -> Path:
        """The folder with the program and its packages; made where it is not there or out of date. Raises
        `NoProgramError`.
        """
        missing = [program for program in ("node", "npm") if shutil.which(program) is None]
        if missing:
            raise NoProgramError(f"missing: {', '.join(missing)}")
        folder = _CHECKOUT / self.name
        stamp = folder / ".made-of"
        sources = [self.sources / name for name in (*_LOCKS, *self.files)]
        wanted = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
        with (self.sources / "package-lock.json").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if stamp.exists() and stamp.read_text() == wanted:
                return folder
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for path in sources:
                shutil.copy(path, folder / path.name)
            words = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(
                words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise NoProgramError(f"the packages of {self.words} cannot be had: {done.stderr[-2000:]}")
            stamp.write_text(wanted)
        return folder


def give_up(reason: Exception) -> NoReturn:
    """Skip the test, or fail it if everything is required."""
    if os.environ.get("GLARE_TEST_REQUIRE") == "all":
        pytest.fail(str(reason), pytrace=False)
    pytest.skip(str(reason))
