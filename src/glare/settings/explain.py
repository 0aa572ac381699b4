"""What the configuration comes to: each option with its value and where that came from, and all that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from glare.settings.declare import Declared
from glare.settings.errors import SettingsError
from glare.settings.keystone import keystone_names
from glare.settings.options.callers import IdentitySettings, PasteDeploySettings
from glare.settings.reader import Reader, Sources, open_reader
from glare.settings.templates import driver_in, options_in, prefix_of
from glare.settings.values import all_options, pipeline_of

HIDDEN: Final = "(not shown)"


@dataclass(frozen=True, slots=True)
class Explained:
    """One option: its value as it is written, paths from the root on, and where it came from. A secret is hidden."""

    group: str
    name: str
    value: str
    source: str
    default: bool


def explain(sources: Sources) -> list[Explained]:
    """Every option, and those of each type that a file has a group for. SettingsError for the first wrong one."""
    reader = open_reader(sources)
    return [*(_explained(reader, option) for option in _options(reader)), *_of_libraries(reader)]


def wrong_values(sources: Sources) -> list[str]:
    """What is wrong with single options, a sentence each; SettingsError where the files cannot be read."""
    reader = open_reader(sources)
    found = []
    for option in _options(reader):
        try:
            reader.value(option)
        except SettingsError as error:
            found.append(str(error))
    return found


def _of_libraries(reader: Reader) -> Iterator[Explained]:
    """What files have for a library, as it is written; what is not known not to be secret is hidden."""
    pipeline = pipeline_of(reader.section(IdentitySettings), reader.section(PasteDeploySettings))
    libraries = keystone_names(pipeline, tuple(reader.written), environment=reader.sources.environment)
    for group, names in libraries.items():
        last: dict[str, Explained] = {}
        for path, groups in reader.written.items():
            for name, value in groups.get(group, {}).items():
                hidden = names is None or names.get(name, True)
                last[name] = Explained(group, name, HIDDEN if hidden else value, f"in {path}", default=False)
        yield from last.values()


def _options(reader: Reader) -> Iterator[Declared]:
    for option in all_options():
        if prefix_of(option.group) is None:
            yield option
    for group in dict.fromkeys(group for groups in reader.written.values() for group in groups):
        for option in options_in(group, driver_in(reader.written, group)):
            reader.register(option)
            yield option


def _explained(reader: Reader, option: Declared) -> Explained:
    value = reader.value(option)
    written, source = reader.origin(option)
    default = source == "the default"
    if option.option.secret and not default:
        shown = HIDDEN
    else:
        shown = str(value) if isinstance(value, Path) else written
    return Explained(option.group, option.name, shown, source, default)
