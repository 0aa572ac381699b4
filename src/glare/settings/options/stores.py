"""Options of stores by name, and of projects: groups of which there is one for each."""

from __future__ import annotations

from pathlib import Path

from glare.settings.declare import (
    Section,
    flag,
    integer,
    optional_choice,
    optional_path,
    section,
    store_names,
)
from glare.settings.options.content import LATER_STORES
from glare.settings.options.objects import AzureSettings, GCSSettings, ObjectStoreSettings, S3Settings, SwiftSettings
from glare.stores.drivers import own_places

DRIVER_SECTIONS: dict[str, type[ObjectStoreSettings]] = {
    "s3": S3Settings,
    "azure": AzureSettings,
    "gcs": GCSSettings,
    "swift": SwiftSettings,
}
"""The options that a driver has in a group of its own, and a store with this driver in the store's group."""


@section("store:N")
class NamedStoreSettings(Section):
    """A store beside `file`, `database`, `s3`, `azure`, `gcs` and `swift`; the group is named after it, such as
    `[store:archive]`. It has the options of its driver's group too, such as those of `[s3]`. A group of the name of one
    of these six says `read_only` and `weight` of it.

    `own` are the options of the driver's group.
    """

    driver: str | None = optional_choice(
        "What keeps the bytes. A store that blobs are in never changes its name.", own_places(), planned=LATER_STORES
    )
    directory: Path | None = optional_path("Directory of a store whose driver is `file`; no other store has it.")
    read_only: bool = flag(
        "false",
        "Whether the store takes no new bytes: neither uploads nor what is moved. It is read, and what nobody needs "
        "is removed from it. `glare-server stores drain` wants that.",
    )
    weight: int = integer(
        "1",
        "How often new blobs go here, beside the weights of the others that `default_store` names; 0 is never.",
        at_least=0,
        at_most=1000,
    )
    own: Section | None = None


@section("project:ID")
class ProjectSettings(Section):
    """One project's own store; the group is named after the project's id."""

    default_store: tuple[str, ...] = store_names(
        "",
        "Stores for new blobs of artifacts that this project owns, whatever their type; several by their weights. "
        "Unset: that of the type. Blobs that exist stay where they are; `glare-server stores move` moves them.",
        planned=LATER_STORES,
    )
