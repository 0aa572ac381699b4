"""Reading options, once: command line, then environment, then configuration files, then defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from glare.domain.declared.compile import ALL
from glare.settings.errors import SettingsError
from glare.settings.keystone import keystone_names
from glare.settings.reader import Sources, names_of, open_reader, type_names
from glare.settings.relations import check_relations
from glare.settings.templates import PROJECT_GROUP, STORE_GROUP, TYPE_GROUP
from glare.settings.unknown import meant, unread_in
from glare.settings.values import Settings, pipeline_of, sections


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, what an operator should know about them (`warnings`, a sentence each), and the files that were read.

    `unknown` are those of the warnings that are about names which are no options.
    """

    settings: Settings
    warnings: tuple[str, ...]
    unknown: tuple[str, ...]
    files: tuple[Path, ...]


def load(sources: Sources) -> Loaded:
    """Read all options; SettingsError for the first one that is wrong."""
    reader = open_reader(sources)
    files = tuple(reader.written)
    parts: dict[str, Any] = {name: reader.section(cls) for name, cls in sections().items()}
    pipeline = pipeline_of(parts["identity"], parts["paste_deploy"])
    unread = unread_in(
        sources.environment, reader.written, keystone_names(pipeline, files, environment=sources.environment)
    )
    warnings = [*unread.unknown, *unread.idle]
    named = parts["types"].enabled_artifact_types
    enabled = tuple(name for name in named if name != ALL)
    if ALL in named:
        if not enabled:
            raise SettingsError(_ONLY_ALL)
        warnings.append(_ALL_IS_THERE)
    parts["database"] = replace(parts["database"], connection=_whole_url(parts["database"].connection))
    parts["types"] = replace(parts["types"], enabled_artifact_types=enabled)
    parts["artifact_types"] = {name: reader.artifact_type(name) for name in type_names(enabled, reader.written)}
    parts["stores"] = {name: reader.store(name) for name in names_of(STORE_GROUP, reader.written)}
    parts["projects"] = {name: reader.project(name) for name in names_of(PROJECT_GROUP, reader.written)}
    settings = Settings(**parts, files=files, environment=sources.environment)
    check_relations(settings)
    warnings += [_without_effect(name, enabled) for name in settings.artifact_types if name not in enabled]
    if settings.paste_deploy.flavor is not None:
        in_effect = ", ".join(settings.pipeline)
        warnings.append(
            f"[paste_deploy] flavor is the older way to choose; set [identity] pipeline = {in_effect} instead."
        )
    return Loaded(settings, tuple(warnings), tuple(unread.unknown), files)


_ALL_IS_THERE: Final = (
    f"[DEFAULT] enabled_artifact_types names {ALL!r}, which is always there and shows the artifacts of all types; "
    "remove it from the list."
)
_ONLY_ALL: Final = (
    f"[DEFAULT] enabled_artifact_types is {ALL!r} alone, which shows the artifacts of the other types and has none of "
    "its own; name the types to offer, as `glare-server types list` prints them."
)


def _without_effect(name: str, enabled: tuple[str, ...]) -> str:
    if name == ALL:
        return f"[{TYPE_GROUP}{ALL}] has no effect: limits of all types together are in [DEFAULT]."
    hint = meant(name, enabled)
    return f"[{TYPE_GROUP}{name}] has no effect: {name} is not in [DEFAULT] enabled_artifact_types{hint}"


def _whole_url(connection: str) -> str:
    """The URL of a SQLite file, with its path from the root on."""
    scheme, separator, path = connection.partition(":///")
    if scheme.partition("+")[0] != "sqlite" or not separator or not path or path.startswith(("/", ":", "file:")):
        return connection
    return f"{scheme}:///{Path(path).absolute()}"
