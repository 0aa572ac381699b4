"""The environment of the OpenStack client, apart from the service's: made once, and kept until what it is made of
changes.

The demonstration and tests/clients share it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from mend_client import MENDS, CannotMendError, mend

TOOLS = Path(__file__).resolve().parent
CHECKOUT = TOOLS.parent
FOLDER = CHECKOUT / ".venv-client"
STAMP = FOLDER / ".made-of"
LOCKS = (CHECKOUT / "requirements" / "build.txt", CHECKOUT / "requirements" / "client.txt")
SOURCES = (*LOCKS, TOOLS / "mend_client.py")


class NoClientError(Exception):
    """The environment cannot be made here."""


def site_packages() -> Path:
    """Where the environment's packages are."""
    return FOLDER / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def fingerprint() -> str:
    """What the environment is made of, as a digest."""
    parts = [sys.version, str(FOLDER), *(path.read_text("utf-8") for path in SOURCES)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def client_environment(say: Callable[[str], None]) -> Path:
    """The folder of the environment's commands; it is made where it is not there or out of date, `say`ing what happens.

    Processes that ask at the same time wait for the one that makes it.

    Raises:
        NoClientError: installing failed, or the client is not the one that the mends were written for.
    """
    with LOCKS[-1].open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if STAMP.exists() and STAMP.read_text("utf-8") == fingerprint():
            say(f"{FOLDER.name} is there, with the {len(MENDS)} mends of tools/mend_client.py")
        else:
            _make(say)
    return FOLDER / "bin"


def _make(say: Callable[[str], None]) -> None:
    say(f"making {FOLDER.name}; the next run finds it there")
    try:
        venv.create(FOLDER, clear=True, with_pip=True)
        # One package of the client's exists as source only, and is built with the setuptools that the first lock names.
        for lock, options in zip(LOCKS, ((), ("--no-build-isolation",)), strict=True):
            words = ["install", "--require-hashes", "--no-deps", *options, "-r", str(lock.relative_to(CHECKOUT))]
            say(f"$ pip {' '.join(words)}")
            _pip(words)
        for change in MENDS:
            say(mend(site_packages(), change))
    except (CannotMendError, OSError, subprocess.CalledProcessError) as failure:
        said = (getattr(failure, "stderr", None) or str(failure)).strip()[-2000:]
        raise NoClientError(f"the environment of the OpenStack client cannot be made: {said}") from failure
    STAMP.write_text(fingerprint(), "utf-8")


def _pip(words: list[str]) -> None:
    # The settings of the machine's package client hold, those of the active environment do not.
    active = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}
    subprocess.run(
        [str(FOLDER / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", *words],
        cwd=CHECKOUT,
        env={name: value for name, value in os.environ.items() if name not in active},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
    )
