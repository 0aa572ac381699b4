"""The environment of the OpenStack client, apart from the service's: made once, and kept until what it is made of changes."""

from __future__ import annotations

import hashlib
import os
import sys
import venv
from pathlib import Path

from mend_client import MENDS, mend
from narrator import Narrator
from programs import succeed

HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".venv-client"
STAMP = FOLDER / ".demo"
SOURCES = (HERE.parent / "requirements" / "build.txt", HERE / "requirements.txt", HERE / "mend_client.py")


def site_packages() -> Path:
    """Where the environment's packages are."""
    return FOLDER / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def fingerprint() -> str:
    """What the environment is made of, as a digest."""
    parts = [sys.version, str(FOLDER), *(path.read_text("utf-8") for path in SOURCES)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def client_environment(narrator: Narrator) -> Path:
    """The `openstack` command of the environment, which is made where it is not there or out of date.

    Raises:
        Surprise: installing failed.
        CannotMendError: the client is not the one that the mends were written for.
    """
    if STAMP.exists() and STAMP.read_text("utf-8") == fingerprint():
        narrator.note(f"{FOLDER.relative_to(HERE.parent)} is there, with the {len(MENDS)} mends of mend_client.py")
    else:
        narrator.note(f"making {FOLDER.relative_to(HERE.parent)}; the next run finds it there")
        venv.create(FOLDER, clear=True, with_pip=True)
        pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        install = [*pip, "install", "--require-hashes", "--no-deps"]
        # One package of the client's exists as source only, and is built with the setuptools that the lock names.
        for words in (["-r", str(SOURCES[0])], ["--no-build-isolation", "-r", str(SOURCES[1])]):
            narrator.command(f"pip install --require-hashes --no-deps -r {Path(words[-1]).relative_to(HERE.parent)}")
            succeed([*install, *words], HERE, _install_environment())
        for change in MENDS:
            narrator.note(mend(site_packages(), change))
        STAMP.write_text(fingerprint(), "utf-8")
    return FOLDER / "bin" / "openstack"


def _install_environment() -> dict[str, str]:
    """This process's environment, with the settings of the machine's package client, without the active environment's."""
    return {
        name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}
    }
