"""`glare-server config`: what the configuration comes to, and whether a service would start with it."""

from __future__ import annotations

from argparse import Namespace

from glare.cli.configuration import say, sources_of
from glare.cli.tables import print_table
from glare.errors import GlareError, NotFound
from glare.policy.engine import PolicyEngine
from glare.settings import SettingsError, check_machine, load
from glare.settings.explain import explain, wrong_values
from glare.settings.type_options import load_types
from glare.settings.unknown import meant
from glare.stores.drivers import survey

_COLUMNS = ("OPTION", "VALUE", "FROM")


def check(args: Namespace) -> int:
    """`glare-server config check`: all that is wrong, not the first thing only."""
    sources = sources_of(args)
    problems = wrong_values(sources)
    if problems:
        return _told(problems)
    try:
        loaded = load(sources)
    except SettingsError as error:
        return _told([str(error)])
    refuse = loaded.settings.server.unknown_options == "refuse"
    for warning in loaded.warnings:
        if not refuse or warning not in loaded.unknown:
            say(f"warning: {warning}")
    problems = list(loaded.unknown) if refuse else []
    settings = loaded.settings
    for look in (
        lambda: check_machine(settings),
        lambda: load_types(settings),
        lambda: PolicyEngine(settings.policy.policy_file, settings.policy.policy_default_rule),
    ):
        try:
            look()
        except (SettingsError, GlareError) as error:
            problems.append(str(error))
    missing, notes = survey(settings.places)
    for note in notes:
        say(f"warning: {note}")
    problems += missing
    if problems:
        return _told(problems)
    files = ", ".join(map(str, loaded.files)) or "no file"
    say(f"the configuration is right; it was read from {files}, the environment and the defaults.")
    return 0


def show(args: Namespace) -> int:
    """`glare-server config show`."""
    found = explain(sources_of(args))
    if args.group is not None:
        groups = list(dict.fromkeys(option.group for option in found))
        if args.group not in groups:
            raise NotFound(f"There is no group [{args.group}] of options{meant(args.group, groups)}")
        found = [option for option in found if option.group == args.group]
    if args.changed:
        found = [option for option in found if not option.default]
    documents = [
        {"group": option.group, "option": option.name, "value": option.value or None, "from": option.source}
        for option in found
    ]
    rows = [(f"[{option.group}] {option.name}", option.value or "unset", option.source) for option in found]
    if not print_table(args, _COLUMNS, rows, documents):
        say("every option has its default.")
    return 0


def _told(problems: list[str]) -> int:
    for problem in problems:
        say(problem)
    return 1
