"""Settings for a command: read from where its arguments say, with what an operator should know told on standard
error.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping

from glare.cli.commands import PROGRAM
from glare.settings import Settings, SettingsError, Sources, load


def read_settings(args: Namespace, overrides: Mapping[tuple[str, str], str] | None = None) -> Settings:
    """The settings; SettingsError for a wrong one. Warnings go to standard error, one line each."""
    loaded = load(Sources(tuple(args.config_file), tuple(args.config_dir), overrides or {}))
    for warning in loaded.warnings:
        say(f"warning: {warning}")
    return loaded.settings


def say(text: str) -> None:
    """A line for the person at the terminal; standard output is kept for what a script may want to read."""
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)


def make_directories(settings: Settings) -> None:
    """Make the directory of embedded state, for its owner only: it holds token hashes and the database.

    That of the file store is the store's to make, because it may be a volume that is not mounted.
    """
    title, path = "[DEFAULT] state_dir", settings.server.state_dir
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"{title} is {str(path)!r}, but that directory cannot be made ({error.strerror}); name another one."
        ) from None
