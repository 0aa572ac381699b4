"""Settings for a command: read from where its arguments say, with warnings for the operator on standard
error.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Final

from glare.cli.commands import PROGRAM
from glare.settings import Settings, SettingsError, Sources, load


def read_settings(args: Namespace, overrides: Mapping[tuple[str, str], str] | None = None) -> Settings:
    """The settings; SettingsError for a wrong one. Warnings go to standard error, one line each."""
    loaded = load(sources_of(args, overrides))
    for warning in loaded.warnings:
        say(f"warning: {warning}")
    return loaded.settings


def service_settings(args: Namespace, overrides: Mapping[tuple[str, str], str] | None = None) -> Settings:
    """The settings for what goes on running: a name that is no option is refused, unless `unknown_options` says
    otherwise.
    """
    loaded = load(sources_of(args, overrides))
    refuse = loaded.settings.server.unknown_options == "refuse"
    for warning in loaded.warnings:
        if not refuse or warning not in loaded.unknown:
            say(f"warning: {warning}")
    if refuse and loaded.unknown:
        more = len(loaded.unknown) - 1
        others = f" There {'is one more' if more == 1 else f'are {more} more'}." if more else ""
        raise SettingsError(
            f"{loaded.unknown[0]} Correct it, or set [DEFAULT] unknown_options = warn.{others} "
            f"`{PROGRAM} config check` says all that is wrong."
        )
    return loaded.settings


def sources_of(args: Namespace, overrides: Mapping[tuple[str, str], str] | None = None) -> Sources:
    """Where a command reads its options from."""
    return Sources(tuple(args.config_file), tuple(args.config_dir), overrides or {})


def say(text: str) -> None:
    """A line for the person at the terminal; standard output is kept for what a script may want to read."""
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)


REMEDY: Final = (
    f"run `{PROGRAM} init` to set it up, or name the installation that you mean: --config-file FILE, or the "
    "environment variable OS_DEFAULT__STATE_DIR"
)
"""What to do where something is missing. Only `init` and `serve --quickstart` make what is not there: any other command
that did would, in a wrong folder, set up an installation that nobody uses."""


def require_state(settings: Settings) -> None:
    """Refuse where the directory of state, or the file of keys, is not there. Raises SettingsError."""
    state, keys = settings.server.state_dir, settings.subscriptions.secret_key_file
    if not state.is_dir():
        raise SettingsError(f"There is no directory {state} ([DEFAULT] state_dir); {REMEDY}.")
    if not keys.exists():
        raise SettingsError(
            f"There is no key file {keys} ([subscriptions] secret_key_file); copy it from another node of this "
            f"installation or, where there is none, run `{PROGRAM} init` to make one."
        )


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
