"""Where options are read from, and what each of them is: command line, environment, configuration files, defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from oslo_config import cfg

from glare.settings.declare import Declared, Planned, Section, options_of
from glare.settings.errors import SettingsError
from glare.settings.options.content import ArtifactTypeSettings
from glare.settings.options.stores import DRIVER_SECTIONS, NamedStoreSettings, ProjectSettings
from glare.settings.templates import PROJECT_GROUP, STORE_GROUP, TYPE_GROUP, Written, prefix_of
from glare.settings.values import all_options


@dataclass(frozen=True, slots=True)
class Sources:
    """Where options come from.

    `overrides` are values of the command line, by group and name. When neither files nor directories are named and
    `search` is on, the customary places are looked at: `~/.glare/glare.conf`, `~/glare.conf`, `/etc/glare/glare.conf`,
    `/etc/glare.conf`, and the directories `glare.conf.d` beside them.
    """

    files: tuple[Path, ...] = ()
    directories: tuple[Path, ...] = ()
    overrides: Mapping[tuple[str, str], str] = field(default_factory=dict)
    environment: bool = True
    search: bool = True


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads single options; SettingsError for one that is wrong."""

    conf: cfg.ConfigOpts
    sources: Sources
    written: Written

    def register(self, option: Declared) -> None:
        """Make an option of a type known, so that its value can be asked for."""
        _register(self.conf, option)

    def section(self, cls: type[_S]) -> _S:
        """A section with all of its options."""
        return cls(**{option.name: self.value(option) for option in options_of(cls)})

    def artifact_type(self, name: str) -> ArtifactTypeSettings:
        """The options of one type, with those that are for the type itself to read."""
        group = TYPE_GROUP + name
        values = self._values(group, ArtifactTypeSettings)
        extra = {
            key: value
            for groups in self.written.values()
            for key, value in groups.get(group, {}).items()
            if key not in values
        }
        return ArtifactTypeSettings(**values, extra=extra)

    def store(self, name: str) -> NamedStoreSettings:
        """The options of one store, with those of its driver."""
        group = STORE_GROUP + name
        values = self._values(group, NamedStoreSettings)
        cls = DRIVER_SECTIONS.get(values["driver"] or "")
        return NamedStoreSettings(**values, own=None if cls is None else cls(**self._values(group, cls)))

    def project(self, name: str) -> ProjectSettings:
        """The options of one project."""
        return ProjectSettings(**self._values(PROJECT_GROUP + name, ProjectSettings))

    def _values(self, group: str, cls: type[Section]) -> dict[str, Any]:
        """The values of a section's options in a group of which there is one for each of something."""
        known = [Declared(group, option.name, option.option) for option in options_of(cls)]
        for option in known:
            _register(self.conf, option)
        return {option.name: self.value(option) for option in known}

    def value(self, option: Declared) -> Any:
        """The value of an option that is registered."""
        override = self.sources.overrides.get((option.group, option.name))
        try:
            if override is not None:
                # oslo.config remembers it, so that another option may refer to it with `$`.
                self.conf.set_override(option.name, override, None if option.group == "DEFAULT" else option.group)
                return _whole(option.option.kind.parse(override))
            group = self.conf if option.group == "DEFAULT" else self.conf[option.group]
            return _whole(group[option.name])
        except (cfg.NoSuchOptError, cfg.TemplateSubstitutionError):
            # Every option is registered, so what does not exist is what its value refers to.
            raise SettingsError(
                f"{self._described(option)}, but a name after $ is no option; write $$ for a dollar sign."
            ) from None
        except ValueError as error:
            raise SettingsError(self._refusal(option, error)) from None

    def _refusal(self, option: Declared, error: ValueError) -> str:
        value, _ = self.origin(option)
        reason = f"it must be {option.option.kind.words}"
        try:
            option.option.kind.parse(value)
        except Planned as planned:
            reason = f"{planned}: {reason}"
        except ValueError:
            pass
        default = option.option.default
        remedy = f"; correct it, or remove it for the default {default!r}." if default else "; correct it or remove it."
        return f"{self._described(option)}, but {reason}{remedy}"

    def _described(self, option: Declared) -> str:
        value, origin = self.origin(option)
        shown = "a value that is not shown" if option.option.secret else repr(value)
        return f"{option.title} is {shown} ({origin})"

    def origin(self, option: Declared) -> tuple[str, str]:
        """The value as it was written, and where."""
        override = self.sources.overrides.get((option.group, option.name))
        if override is not None:
            return override, "on the command line"
        if self.sources.environment and option.environment in os.environ:
            return os.environ[option.environment], f"in the environment, {option.environment}"
        for path, groups in reversed(list(self.written.items())):
            if option.name in groups.get(option.group, {}):
                return groups[option.group][option.name], f"in {path}{_line(path, option)}"
        return option.option.default, "the default"


_S = TypeVar("_S", bound=Section)


def open_reader(sources: Sources) -> Reader:
    """Find the files and read them; SettingsError for one that is missing or cannot be understood."""
    files = _files(sources)
    written = _written(files)
    conf = cfg.ConfigOpts()
    for option in all_options():
        if prefix_of(option.group) is None:
            _register(conf, option)
    arguments = [part for path in files for part in ("--config-file", str(path))]
    try:
        # The files are named one by one, so nothing is searched for, and a directory is never mixed with the defaults.
        conf(arguments, project="glare", default_config_files=[], default_config_dirs=[], use_env=sources.environment)
    except cfg.Error as error:
        raise SettingsError(f"The configuration cannot be read: {_one_line(error)}.") from None
    return Reader(conf, sources, written)


def _whole(value: Any) -> Any:
    """A path from the root on: messages name the place, wherever somebody reads them."""
    return value.absolute() if isinstance(value, Path) else value


def _register(conf: cfg.ConfigOpts, option: Declared) -> None:
    kind = option.option.kind
    opt = cfg.Opt(
        option.name,
        type=kind.parse,  # type: ignore[arg-type]  # any callable is taken; the annotation is narrower
        default=option.option.default,
        help=option.option.help,
        secret=option.option.secret,
    )
    conf.register_opt(opt, group=None if option.group == "DEFAULT" else option.group)


def _files(sources: Sources) -> tuple[Path, ...]:
    files = [path.absolute() for path in sources.files]
    directories = [path.absolute() for path in sources.directories]
    for path in files:
        if not path.is_file():
            raise SettingsError(f"The configuration file {path} does not exist or is not a file; name another one.")
    for path in directories:
        if not path.is_dir():
            raise SettingsError(f"The configuration directory {path} does not exist; name another one.")
    if sources.search and not files and not directories:
        files = [Path(path) for path in cfg.find_config_files(project="glare", prog="glare")]
        directories = [Path(path) for path in cfg.find_config_dirs(project="glare", prog="glare")]
    return (*dict.fromkeys(files), *(path for directory in directories for path in sorted(directory.glob("*.conf"))))


def _written(files: tuple[Path, ...]) -> Written:
    written: dict[Path, dict[str, dict[str, str]]] = {}
    for path in files:
        sections: dict[str, dict[str, list[str]]] = {}
        try:
            cfg.ConfigParser(str(path), sections).parse()
        except (cfg.ParseError, cfg.Error) as error:
            raise SettingsError(f"The configuration file {path} cannot be understood: {_one_line(error)}.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"The configuration file {path} cannot be read: {_one_line(error)}.") from None
        written[path] = {
            group: {name.replace("-", "_"): values[-1] for name, values in options.items()}
            for group, options in sections.items()
        }
    return written


def _line(path: Path, option: Declared) -> str:
    """`, line 12`: where the file has the option last; nothing where that cannot be seen."""
    group, found = "DEFAULT", 0
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    for number, text in enumerate(lines, 1):
        if text.startswith("["):
            group = text[1:].partition("]")[0]
        elif text[:1] not in ("", " ", "\t", "#", ";") and group == option.group:
            name = text.replace(":", "=").partition("=")[0].strip().replace("-", "_")
            found = number if name == option.name else found
    return f", line {found}" if found else ""


def type_names(enabled: tuple[str, ...], written: Written) -> list[str]:
    """Types that are enabled, or have a group in a file."""
    named = [group for groups in written.values() for group in groups if group.startswith(TYPE_GROUP)]
    return list(dict.fromkeys((*enabled, *(group.removeprefix(TYPE_GROUP) for group in named))))


def names_of(prefix: str, written: Written) -> list[str]:
    """What has a group in a file whose name begins so, each once. A group that says nothing, as a generated sample has
    it, is none.
    """
    groups = dict.fromkeys(group for groups in written.values() for group, options in groups.items() if options)
    return [group.removeprefix(prefix) for group in groups if group.startswith(prefix)]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
