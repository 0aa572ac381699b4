"""Reading options, once: command line, then environment, then configuration files, then defaults."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from oslo_config import cfg

from glare.domain.declared.compile import ALL
from glare.settings.declare import Declared, Planned, Section, options_of
from glare.settings.errors import SettingsError
from glare.settings.options.content import ArtifactTypeSettings
from glare.settings.relations import check_relations
from glare.settings.retired import replacement
from glare.settings.values import Settings, all_options, sections

TYPE_GROUP = "artifact_type:"


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
class Loaded:
    """Settings, what an operator should know about them (`warnings`, a sentence each), and the files that were read."""

    settings: Settings
    warnings: tuple[str, ...]
    files: tuple[Path, ...]


def load(sources: Sources) -> Loaded:
    """Read all options; SettingsError for the first one that is wrong."""
    files = _files(sources)
    written = _written(files)
    conf = cfg.ConfigOpts()
    for option in all_options():
        if option.group != ArtifactTypeSettings.group:
            _register(conf, option)
    arguments = [part for path in files for part in ("--config-file", str(path))]
    try:
        # The files are named one by one, so nothing is searched for, and a directory is never mixed with the defaults.
        conf(arguments, project="glare", default_config_files=[], default_config_dirs=[], use_env=sources.environment)
    except cfg.Error as error:
        raise SettingsError(f"The configuration cannot be read: {_one_line(error)}.") from None
    reader = _Reader(conf, sources, written)
    warnings = list(_unknown(written)) + _unknown_environment(sources)
    parts: dict[str, Any] = {name: reader.section(cls) for name, cls in sections().items()}
    named = parts["types"].enabled_artifact_types
    enabled = tuple(name for name in named if name != ALL)
    if ALL in named:
        if not enabled:
            raise SettingsError(_ONLY_ALL)
        warnings.append(_ALL_IS_THERE)
    parts["database"] = replace(parts["database"], connection=_whole_url(parts["database"].connection))
    parts["types"] = replace(parts["types"], enabled_artifact_types=enabled)
    parts["artifact_types"] = {name: reader.artifact_type(name) for name in _type_names(enabled, written)}
    settings = Settings(**parts)
    check_relations(settings)
    warnings += [_without_effect(name) for name in settings.artifact_types if name not in enabled]
    if settings.paste_deploy.flavor is not None:
        warnings.append(
            f"[paste_deploy] flavor is the older way to choose; set [identity] pipeline = {settings.pipeline} instead."
        )
    return Loaded(settings, tuple(warnings), files)


_ALL_IS_THERE: Final = (
    f"[DEFAULT] enabled_artifact_types names {ALL!r}, which is always there and shows the artifacts of all types; "
    "remove it from the list."
)
_ONLY_ALL: Final = (
    f"[DEFAULT] enabled_artifact_types is {ALL!r} alone, which shows the artifacts of the other types and has none of "
    "its own; name the types to offer, as `glare-server types list` prints them."
)


def _without_effect(name: str) -> str:
    if name == ALL:
        return f"[{TYPE_GROUP}{ALL}] has no effect: limits of all types together stand in [DEFAULT]."
    return f"[{TYPE_GROUP}{name}] has no effect: {name} is not in [DEFAULT] enabled_artifact_types."


Written = Mapping[Path, Mapping[str, Mapping[str, str]]]
"""What stands in each file: by path, group and option."""


@dataclass(frozen=True, slots=True)
class _Reader:
    conf: cfg.ConfigOpts
    sources: Sources
    written: Written

    def section(self, cls: type[_S]) -> _S:
        return cls(**{option.name: self._value(option) for option in options_of(cls)})

    def artifact_type(self, name: str) -> ArtifactTypeSettings:
        group = TYPE_GROUP + name
        known = [Declared(group, option.name, option.option) for option in options_of(ArtifactTypeSettings)]
        for option in known:
            _register(self.conf, option)
        values = {option.name: self._value(option) for option in known}
        extra = {
            key: value
            for groups in self.written.values()
            for key, value in groups.get(group, {}).items()
            if key not in values
        }
        return ArtifactTypeSettings(**values, extra=extra)

    def _value(self, option: Declared) -> Any:
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
        value, _ = self._origin(option)
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
        value, origin = self._origin(option)
        shown = "a value that is not shown" if option.option.secret else repr(value)
        return f"{option.title} is {shown} ({origin})"

    def _origin(self, option: Declared) -> tuple[str, str]:
        """The value as it was written, and where."""
        override = self.sources.overrides.get((option.group, option.name))
        if override is not None:
            return override, "from the command line"
        if self.sources.environment and option.environment in os.environ:
            return os.environ[option.environment], f"from the environment, {option.environment}"
        for path, groups in reversed(list(self.written.items())):
            if option.name in groups.get(option.group, {}):
                return groups[option.group][option.name], f"in {path}"
        return option.option.default, "the default"


_S = TypeVar("_S", bound=Section)


def _whole(value: Any) -> Any:
    """A path from the root on: messages name the place, wherever somebody reads them."""
    return value.absolute() if isinstance(value, Path) else value


def _whole_url(connection: str) -> str:
    """The URL of a SQLite file, with its path from the root on."""
    scheme, separator, path = connection.partition(":///")
    if scheme.partition("+")[0] != "sqlite" or not separator or not path or path.startswith(("/", ":", "file:")):
        return connection
    return f"{scheme}:///{Path(path).absolute()}"


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
    files, directories = list(sources.files), list(sources.directories)
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


def _type_names(enabled: tuple[str, ...], written: Written) -> list[str]:
    named = [
        group.removeprefix(TYPE_GROUP)
        for groups in written.values()
        for group in groups
        if group.startswith(TYPE_GROUP)
    ]
    return list(dict.fromkeys((*enabled, *named)))


def _unknown(written: Written) -> list[str]:
    known: dict[str, list[str]] = {}
    for option in all_options():
        known.setdefault(option.group, []).append(option.name)
    warnings = []
    for path, groups in written.items():
        for group, options in groups.items():
            if group.startswith(TYPE_GROUP):
                # What a type does not know of the rest is for the type to say: it may declare options of its own.
                continue
            for name in options:
                gone = replacement(group, name)
                if gone is not None:
                    warnings.append(f"[{group}] {name} in {path} has no effect any more: {gone}.")
                elif group in known and name not in known[group]:
                    warnings.append(f"[{group}] {name} in {path} is no option{_guess(group, name, known)}")
            if group not in known and not any(replacement(group, name) for name in options):
                warnings.append(f"[{group}] in {path} is no group of options{_meant(group, list(known))}")
    return warnings


def _unknown_environment(sources: Sources) -> list[str]:
    """Variables that name one of Glare's own groups, and no option of it. Other programs use the same form of names."""
    if not sources.environment:
        return []
    options = [option for option in all_options() if option.group != ArtifactTypeSettings.group]
    names = {option.environment: option.title for option in options}
    prefixes = tuple({f"OS_{option.group.upper()}__" for option in options} - {"OS_DEFAULT__", "OS_DATABASE__"})
    return [
        f"The environment variable {name} names no option{_meant(name, list(names))}"
        for name in sorted(os.environ)
        if name.startswith(prefixes) and name not in names and replacement(*_split_variable(name)) is None
    ]


def _split_variable(name: str) -> tuple[str, str]:
    group, _, option = name.removeprefix("OS_").partition("__")
    return group.lower(), option.lower()


def _guess(group: str, name: str, known: Mapping[str, list[str]]) -> str:
    """The end of a sentence: a hint at the option of this name in another group, else at a similar one in this
    group.
    """
    elsewhere = [other for other, names in known.items() if name in names]
    return f"; did you mean [{elsewhere[0]}] {name}?" if elsewhere else _meant(name, known[group])


def _meant(name: str, known: list[str]) -> str:
    """The end of a sentence: a hint at a similar name, or a full stop."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else "."


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
