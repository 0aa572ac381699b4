"""The environment of the OpenStack client, which the demonstration and tests/clients share."""

from __future__ import annotations

from pathlib import Path

from environments import CHECKOUT, TOOLS, Environment, NoEnvironmentError, Say
from mend_client import MENDS, CannotMendError, mend


def _mend(say: Say) -> None:
    try:
        for change in MENDS:
            say(mend(CLIENT.site_packages, change))
    except CannotMendError as failure:
        raise NoEnvironmentError(str(failure)) from failure


CLIENT = Environment(
    name=".venv-client",
    purpose="the OpenStack client",
    lock=CHECKOUT / "requirements" / "client.txt",
    scripts=(TOOLS / "mend_client.py",),
    finish=_mend,
)


def client_environment(say: Say) -> Path:
    """The folder of the client's commands, with the mends of `tools/mend_client.py`.

    Raises:
        NoEnvironmentError: it cannot be made, or the client is not the one that the mends were written for.
    """
    return CLIENT.commands(say)


def site_packages() -> Path:
    """Where the client's packages are."""
    return CLIENT.site_packages
