"""Options of the original service that no longer mean anything, and what takes their place.

They are accepted, so that an existing configuration file starts the service, with one warning each.
"""

from __future__ import annotations

from types import MappingProxyType

from glare.stores.drivers import DRIVERS

_LOGS = (
    "Glare logs to standard error and leaves files and rotation to the service manager; see [logging] level and format"
)
_OIDC = "Keycloak becomes OIDC with verified signatures, which is not part of this version; see [identity] pipeline"
_STORES = (
    f"the stores of this version, {', '.join(DRIVERS)}, are there where they are configured; see [glance_store] "
    "default_store"
)

RETIRED = MappingProxyType(
    {
        ("DEFAULT", "tcp_keepidle"): "the operating system's own setting (net.ipv4.tcp_keepalive_time) holds",
        ("DEFAULT", "max_header_line"): "the head of a request is limited to 400 KiB as a whole",
        ("DEFAULT", "digest_algorithm"): "certificate and key are compared by loading them",
        ("DEFAULT", "log_file"): _LOGS,
        ("DEFAULT", "log_dir"): _LOGS,
        ("DEFAULT", "use_syslog"): _LOGS,
        ("DEFAULT", "use_stderr"): _LOGS,
        ("DEFAULT", "verbose"): _LOGS,
        ("DEFAULT", "default_log_levels"): _LOGS,
        ("DEFAULT", "logging_context_format_string"): _LOGS,
        (
            "oslo_messaging_rabbit",
            "heartbeat_timeout_threshold",
        ): "a broker must answer within [outbox] broker_timeout, which is the pace of heartbeats too",
        ("DEFAULT", "lock_path"): "names are unique by a database constraint, so there are no lock files",
        ("oslo_concurrency", "lock_path"): "names are unique by a database constraint, so there are no lock files",
        ("paste_deploy", "config_file"): "there is no paste file; choose with [identity] pipeline",
        ("glance_store", "stores"): _STORES,
        (
            "glance_store",
            "filesystem_store_datadirs",
        ): "one directory is used; see [glance_store] filesystem_store_datadir",
        ("glance_store", "filesystem_store_metadata_file"): "it had no effect on artifacts",
        ("glance_store", "filesystem_store_file_perm"): "files are readable by their owner only",
        ("glance_store", "filesystem_store_chunk_size"): "blocks are 1 MiB, the unit that is hashed",
    }
)
"""What takes the place of an option, by group and name."""

RETIRED_GROUPS = MappingProxyType(
    {
        "keycloak_oidc": _OIDC,
        "profiler": "profiling is not part of this version",
        "oslo_messaging_kafka": "notifications go to RabbitMQ only; see [oslo_messaging_notifications] transport_url",
        "oslo_middleware": "limits have options of their own, such as [api] max_body_size",
    }
)
"""What takes the place of all options of a group, by group."""


def replacement(group: str, name: str) -> str | None:
    """What takes the place of a retired option; None for one that is not retired."""
    return RETIRED.get((group, name)) or RETIRED_GROUPS.get(group)
