"""Environments of programs that the demonstration and tests need, apart from the service's: each is made once, and kept
until what it is made of changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
CHECKOUT = TOOLS.parent
BUILD = CHECKOUT / "requirements" / "build.txt"

Say = Callable[[str], None]


class NoEnvironmentError(Exception):
    """The environment cannot be made here."""


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment.

    `lock` holds its packages, what of them exists as source only is built with the setuptools of `BUILD`. `scripts` are
    the files that it depends on besides. `finish` is what there is to do once the packages are there; whatever it
    raises of `OSError`, `CalledProcessError` and `NoEnvironmentError` means that there is no environment.
    """

    name: str
    purpose: str
    lock: Path
    scripts: tuple[Path, ...]
    finish: Callable[[Say], None]

    @property
    def folder(self) -> Path:
        return CHECKOUT / self.name

    @property
    def site_packages(self) -> Path:
        """Where its packages are."""
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    @property
    def fingerprint(self) -> str:
        """What it is made of, as a digest."""
        files = (BUILD, self.lock, *self.scripts)
        parts = [sys.version, str(self.folder), *(path.read_text("utf-8") for path in files)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def ready(self) -> bool:
        """Whether it is there and up to date."""
        return self._stamp.exists() and self._stamp.read_text("utf-8") == self.fingerprint

    @property
    def _stamp(self) -> Path:
        return self.folder / ".made-of"

    def commands(self, say: Say) -> Path:
        """The folder of its commands; it is made where it is not there or out of date, `say`ing what happens.

        Processes that ask at the same time wait for the one that makes it.

        Raises:
            NoEnvironmentError: it cannot be made.
        """
        with self.lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.ready:
                say(f"{self.name} is there")
            else:
                self._make(say)
                self._stamp.write_text(self.fingerprint, "utf-8")
        return self.folder / "bin"

    def _make(self, say: Say) -> None:
        say(f"making {self.name}; the next run finds it there")
        try:
            venv.create(self.folder, clear=True, with_pip=True)
            for lock, options in ((BUILD, ()), (self.lock, ("--no-build-isolation",))):
                words = ["install", "--require-hashes", "--no-deps", *options, "-r", str(lock.relative_to(CHECKOUT))]
                say(f"$ pip {' '.join(words)}")
                run([str(self.folder / "bin" / "python"), "-m", "pip", "--quiet", *words])
            self.finish(say)
        except (NoEnvironmentError, OSError, subprocess.CalledProcessError) as failure:
            said = (getattr(failure, "stderr", None) or str(failure)).strip()[-2000:]
            raise NoEnvironmentError(f"the environment of {self.purpose} cannot be made: {said}") from failure


def run(args: list[str]) -> None:
    """Run a program of an environment to its end, quietly. The settings of the machine's package client hold, those of
    the active environment do not.

    Raises:
        CalledProcessError: it failed; `stderr` says why.
    """
    active = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}
    variables = {name: value for name, value in os.environ.items() if name not in active}
    subprocess.run(
        args,
        cwd=CHECKOUT,
        env={**variables, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
    )
