"""Options of what is stored: types, quotas, stores, uploads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from glare.settings.declare import (
    Section,
    count_or_unlimited,
    flag,
    integer,
    optional_choice,
    optional_flag,
    path,
    seconds,
    section,
    size,
    size_or_unlimited,
    store_names,
    words,
)
from glare.settings.units import DAY, GIB, MIB
from glare.stores.drivers import names

PROMOTE_WHEN = ("never", "unreachable", "last_good")
"""When locations are promoted by themselves."""

STORES = names()
"""Names of the stores that are there without a group of their own; some have two."""

LATER_STORES = {
    name: f"the {name} store is not part of this version"
    for name in (
        *("http", "https", "swift", "swift+http", "swift+https", "swift+config"),
        *("rbd", "sheepdog", "cinder", "vsphere"),
    )
    if name not in STORES
}


@section("DEFAULT")
class TypesSettings(Section):
    """Which artifact types the service offers."""

    enabled_artifact_types: tuple[str, ...] = words(
        "heat_templates, heat_environments, murano_packages, tosca_templates, images",
        "Names of the artifact types that the API offers; `glare-server types list` prints them.",
        empty=False,
    )
    custom_artifact_types_modules: tuple[str, ...] = words(
        "", "Importable Python modules that declare further types; `glare-server types check MODULE` tries one."
    )


@section("DEFAULT")
class QuotaSettings(Section):
    """What a project may have when no quota of its own is recorded."""

    max_artifact_number: int = count_or_unlimited("-1", "Most artifacts of one project, all types together.")
    max_uploaded_data: int = size_or_unlimited("-1", "Most bytes of stored blobs of one project, all types together.")
    max_members: int = count_or_unlimited("128", "Most projects that one artifact is shared with.")
    delayed_delete: bool = flag(
        "false",
        "Keep the data of a deleted artifact until the sweep removes it (`[scrubber] scrub_time`), rather than "
        "delete at once.",
    )


@section("artifact_type:T")
class ArtifactTypeSettings(Section):
    """One type's own limits; the group is named after the type, such as `[artifact_type:images]`.

    `extra` holds, as text, what else is in the group: options that the type itself declares.
    """

    max_artifact_number: int = count_or_unlimited(
        "-1", "Most artifacts of this type of one project; the global limit holds as well."
    )
    max_uploaded_data: int = size_or_unlimited(
        "-1", "Most bytes of this type's blobs of one project; the global limit holds as well."
    )
    delayed_delete: bool | None = optional_flag("As in [DEFAULT], for this type. Unset: as in [DEFAULT].")
    redirect: bool | None = optional_flag("As in [locations], for this type. Unset: as in [locations].")
    default_store: tuple[str, ...] = store_names(
        "",
        "Stores for new blobs of this type; several by their weights. Unset: `[glance_store] default_store`. Blobs "
        "that exist stay where they are, and readable.",
        planned=LATER_STORES,
    )
    promote_when: str | None = optional_choice("As `[promotion] when`, for this type. Unset: as there.", PROMOTE_WHEN)
    extra: Mapping[str, str] = field(default_factory=dict)


@section("glance_store")
class GlanceStoreSettings(Section):
    """Where the bytes of blobs live."""

    default_store: tuple[str, ...] = store_names(
        "file",
        "Stores for new blobs: `file` (or `filesystem`, its older name), a directory that all nodes see; `database`, "
        "beside the metadata, for small blobs and for nodes that share no directory; `s3`, the bucket of `[s3]`; "
        "`azure`, the container of `[azure]`; `gcs`, the bucket of `[gcs]`; or "
        "one with a group `[store:NAME]`. Of several, each new blob goes to one, by their weights. Blobs that exist "
        "stay where they are, and readable; `glare-server stores move` moves them.",
        planned=LATER_STORES,
    )
    filesystem_store_datadir: Path = path("$state_dir/blobs", "Directory of the local file store.")


@section("store")
class StoreSettings(Section):
    """Limits of the stores."""

    free_space_reserve: int = size(
        "256 MiB",
        "Space that uploads leave free on the file system of the local store, and of a SQLite database that keeps "
        "blobs (507 beyond it), so that the metadata and the log beside it can go on. What a database server has "
        "free is not known.",
        at_least=0,
        at_most=2**53,
    )
    unchecked_files: tuple[str, ...] = store_names(
        "",
        "Stores whose whole files the server sends by itself, without looking at the bytes. That is faster; name a "
        "store here only if its file system checks what it reads (ZFS, Btrfs), or if you trust it as it is. By "
        "default each block is compared with its recorded sha256 before it leaves, from every store; ranges always "
        "are.",
    )
    removal_delay: float = seconds(
        "10 min",
        "How long bytes that were replaced or deleted stay in their store, for those who are reading them: a "
        "download that has begun ends with the bytes that it began with. One that takes longer prolongs it. Less "
        "than `[uploads] stall_timeout` breaks off slow readers of the database store; 0 removes at once.",
        at_least=0,
        at_most=DAY,
    )


@section("uploads")
class UploadSettings(Section):
    """How data comes in."""

    attempt_heartbeat: float = seconds(
        "10 s", "How often a running upload says that it is alive.", at_least=0.05, at_most=600
    )
    attempt_timeout: float = seconds(
        "60 s",
        "Silence after which an upload counts as dead and is undone: several heartbeats may be missed.",
        at_least=0.1,
        at_most=3600,
    )
    stall_timeout: float = seconds(
        "60 s", "How long an upload may bring no byte before it is refused with 408.", at_least=0.1, at_most=3600
    )
    store_timeout: float = seconds(
        "5 min",
        "How long one call of a store may take before the upload that waits for it is no longer said to be alive: "
        "then it is undone after `attempt_timeout`, so that a store that hangs does not hold slots and quota. What "
        "it does later is not published.",
        at_least=0.1,
        at_most=24 * 3600,
    )
    minimum_throughput: int = size(
        "4 KiB",
        "Bytes a second that a body must bring, on average over `stall_timeout` in which it was waited for, so that "
        "a dripping client does not hold a place and its quota for ever. Any modem is faster.",
        at_least=1,
        at_most=GIB,
    )
    reservation_step: int = size(
        "64 MiB",
        "Quota that an upload without Content-Length reserves at a time, as it grows, so that one pipe does not "
        "block a project.",
        at_least=MIB,
        at_most=1024 * GIB,
    )
    contended_throughput: int = size(
        "32 KiB",
        "Bytes a second below which an upload or download is broken off where all `max_concurrent` are taken and "
        "another one waits: the slowest of the project that has most of them. It may be sent again.",
        at_least=0,
        at_most=GIB,
    )
    contended_grace: float = seconds(
        "2 s",
        "How long a client must have been waited for before its upload or download may be broken off for that.",
        at_least=0.1,
        at_most=3600,
    )
    max_concurrent: int = integer(
        "256",
        "Uploads, downloads and measurements at the same time in one process; an upload and a measurement have a "
        "thread each, a download while it is read. More wait for a place.",
        at_least=1,
        at_most=4096,
    )
    max_concurrent_per_project: int = integer(
        "64",
        "How many of these one project, or one network of anonymous callers, may have under way in one process, so "
        "that it leaves room for the others.",
        at_least=1,
        at_most=4096,
    )
    max_waiting: int = integer(
        "256",
        "Uploads, downloads and measurements that may wait for a place, for `[api] max_wait` at most; 503 beyond it, "
        "to whoever has most that wait.",
        at_least=0,
        at_most=100000,
    )
    max_waiting_per_project: int = integer(
        "64",
        "How many of these may be of one project, or of one network of anonymous callers; 429 beyond it.",
        at_least=0,
        at_most=100000,
    )


@section("unpacking")
class UnpackingSettings(Section):
    """Archives that artifact types unpack into a folder."""

    max_members: int = integer(
        "1000",
        "Members of one archive, directories included; 400 beyond it. All of them become visible in one transaction, "
        "during which the embedded database takes no other change. A folder takes as many as its type declares, 255 "
        "by default.",
        at_least=1,
        at_most=10000,
    )
    max_unpacked_size: int = size(
        "1 GiB",
        "Bytes that the members of one archive may have together; 413 beyond it. A folder's own maximum and the "
        "quota hold as well.",
        at_least=1,
        at_most=1024 * GIB,
    )
    max_ratio: int = integer(
        "200",
        "How many bytes one packed byte may become, in a member of more than 1 MiB; 413 beyond it. Text packs to a "
        "tenth, and only what is made to fill disks to a thousandth.",
        at_least=1,
        at_most=2000,
    )
