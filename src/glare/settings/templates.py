"""Groups of which there is one for each type, store or project: what options they have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from glare.settings.declare import Declared, Section, options_of
from glare.settings.options.content import ArtifactTypeSettings
from glare.settings.options.stores import DRIVER_SECTIONS, NamedStoreSettings, ProjectSettings

TYPE_GROUP: Final = "artifact_type:"
STORE_GROUP: Final = "store:"
PROJECT_GROUP: Final = "project:"

TEMPLATES: Final[Mapping[str, type[Section]]] = MappingProxyType(
    {TYPE_GROUP: ArtifactTypeSettings, STORE_GROUP: NamedStoreSettings, PROJECT_GROUP: ProjectSettings}
)
"""The options of each kind of group, by what the group's name begins with."""

Written = Mapping[Path, Mapping[str, Mapping[str, str]]]
"""What is in each file: by path, group and option."""


def prefix_of(group: str) -> str | None:
    """What the name of such a group begins with; None for another group."""
    return next((prefix for prefix in TEMPLATES if group.startswith(prefix)), None)


def options_in(group: str, driver: str | None = None) -> list[Declared]:
    """The options of such a group, with those of a store's driver."""
    prefix = prefix_of(group)
    if prefix is None:
        return []
    classes = [TEMPLATES[prefix]]
    if prefix == STORE_GROUP and driver in DRIVER_SECTIONS:
        classes.append(DRIVER_SECTIONS[driver])
    return [Declared(group, option.name, option.option) for cls in classes for option in options_of(cls)]


def driver_in(files: Written, group: str) -> str | None:
    """The driver that files name for a store, the last one."""
    named = [groups[group]["driver"] for groups in files.values() if "driver" in groups.get(group, {})]
    return named[-1] if named else None
