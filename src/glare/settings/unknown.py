"""What is in the configuration and names no option: misspelt, retired, or another library's."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from glare.identity.keystone.library import GROUP as KEYSTONE
from glare.settings.foreign import is_foreign, is_foreign_group
from glare.settings.retired import replacement
from glare.settings.templates import TYPE_GROUP, Written, driver_in, options_in, prefix_of
from glare.settings.values import all_options

_CLOSE = 0.86
"""How alike a name must be to one of ours (from 0 to 1) to be taken for a misspelt one, where libraries have
options."""


@dataclass(slots=True)
class Unread:
    """What nobody reads, a sentence each: `unknown` is a mistake, `idle` has no effect and is none."""

    unknown: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)


Libraries = Mapping[str, Mapping[str, bool] | None]
"""Groups that a library reads itself, with the names of its options; None where they are not known."""


def unread_in(environment: bool, written: Written, libraries: Libraries) -> Unread:
    """What nobody reads in configuration files and, where it is asked, in the environment."""
    found = unread_in_files(written, libraries)
    if environment:
        found.unknown += unread_in_environment()
    return found


def unread_in_files(written: Written, libraries: Libraries) -> Unread:
    """What nobody reads in configuration files."""
    known = _known()
    found = Unread()
    for path, groups in written.items():
        for group, options in groups.items():
            prefix = prefix_of(group)
            if prefix == TYPE_GROUP:
                # What a type does not know of the rest is for the type to say: it may declare options of its own.
                continue
            if prefix is not None:
                own = [option.name for option in options_in(group, driver_in(written, group))]
                found.unknown += [
                    f"[{group}] {name} in {path} is no option{meant(name, own)}" for name in options if name not in own
                ]
                continue
            if group in libraries:
                names = libraries[group]
                found.unknown += [
                    f"[{group}] {name} in {path} is no option{meant(name, names)}"
                    for name in options
                    if names is not None and name not in names
                ]
            elif group in known:
                _look_into(group, options, path, known, found)
            else:
                _look_at_group(group, options, path, known, found)
    return found


def unread_in_environment() -> list[str]:
    """Variables that name one of Glare's own groups, and no option of it.

    Other programs have groups of these names too, `DEFAULT` and `database` above all: of those only what is almost one
    of ours is taken for a mistake.
    """
    options = [option for option in all_options() if prefix_of(option.group) is None]
    names = {option.environment: option.title for option in options}
    groups = {option.group.upper(): option.group for option in options}
    found = []
    for variable in sorted(os.environ):
        group_name, separator, option_name = variable.removeprefix("OS_").partition("__")
        group = groups.get(group_name)
        if not variable.startswith("OS_") or not separator or group is None or variable in names:
            continue
        name = option_name.lower()
        sentence = f"The environment variable {variable} names no option{meant(variable, names)}"
        shared = group in ("DEFAULT", "database") or is_foreign_group(group)
        close = difflib.get_close_matches(variable, names, 1, _CLOSE + 0.06)
        if replacement(group, name) is not None or is_foreign(group, name):
            continue
        if close or not shared:
            found.append(sentence)
    return found


def meant(name: str, known: Iterable[str], otherwise: str = ".") -> str:
    """The end of a sentence: a hint at a similar name, or a full stop."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else otherwise


def _known() -> Mapping[str, list[str]]:
    known: dict[str, list[str]] = {}
    for option in all_options():
        known.setdefault(option.group, []).append(option.name)
    return known


def _look_into(group: str, options: Iterable[str], path: Path, known: Mapping[str, list[str]], found: Unread) -> None:
    for name in options:
        gone = replacement(group, name)
        if gone is not None:
            found.idle.append(f"[{group}] {name} in {path} has no effect any more: {gone}.")
        elif name in known[group]:
            continue
        elif is_foreign(group, name) or (is_foreign_group(group) and not _is_close(name, known[group])):
            found.idle.append(f"[{group}] {name} in {path} has no effect: it is an option of a library.")
        else:
            found.unknown.append(f"[{group}] {name} in {path} is no option{_guess(group, name, known)}")


def _look_at_group(
    group: str, options: Iterable[str], path: Path, known: Mapping[str, list[str]], found: Unread
) -> None:
    gone = [(name, text) for name in options if (text := replacement(group, name)) is not None]
    found.idle += [f"[{group}] {name} in {path} has no effect any more: {text}." for name, text in gone]
    if gone:
        return
    if group == KEYSTONE:
        found.idle.append(f"[{group}] in {path} has no effect: keystone is not in [identity] pipeline.")
    elif is_foreign_group(group) and not _is_close(group, known):
        found.idle.append(f"[{group}] in {path} has no effect: it belongs to a library or another service.")
    else:
        found.unknown.append(f"[{group}] in {path} is no group of options{meant(group, known)}")


def _is_close(name: str, known: Iterable[str]) -> bool:
    return bool(difflib.get_close_matches(name, known, 1, _CLOSE))


def _guess(group: str, name: str, known: Mapping[str, list[str]]) -> str:
    """The end of a sentence: a hint at the option of this name in another group, else at the most similar one."""
    elsewhere = [other for other, names in known.items() if name in names]
    if elsewhere:
        return f"; did you mean [{elsewhere[0]}] {name}?"
    everywhere = {other: group_name for group_name, names in known.items() for other in names}
    close = difflib.get_close_matches(name, everywhere, 1, _CLOSE)
    if close and not _is_close(name, known[group]):
        return f"; did you mean [{everywhere[close[0]]}] {close[0]}?"
    return meant(name, known[group])
