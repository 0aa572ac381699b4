"""What operations work with: built once by the composition root, passed as the first argument, never global."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from glare.db.counters import ALL_TYPES, BYTES, NUMBER, Limits
from glare.db.engine import Database
from glare.domain.hooks import UnpackLimits
from glare.domain.query import QueryLimits
from glare.egress.client import EgressClient
from glare.metrics import Metrics
from glare.operations.heartbeats import Heartbeats
from glare.policy.engine import PolicyEngine
from glare.stores.base import Store
from glare.types.registry import TypeRegistry


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """What measuring may cost a project in one window, whatever the outcome; -1 is unlimited.

    `window` in seconds; `requests` and `bytes` in a window; `concurrency` and `host_concurrency` count measurements under
    way, of one project and of one host over all projects.
    """

    window: int
    requests: int
    bytes: int
    concurrency: int
    host_concurrency: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's settings that operations decide with.

    `quotas` are limits by type name, `ALL_TYPES` for the global one. Times in seconds, sizes in bytes.
    """

    quotas: Mapping[str, Limits]
    delayed_delete: Mapping[str, bool]
    default_store: Mapping[str, str]
    reservation_step: int
    attempt_timeout: float
    unpacking: UnpackLimits
    query: QueryLimits
    max_patch_operations: int
    outbound: OutboundLimits
    scrub_time: float
    scrub_pool_size: int
    event_retention: float
    audit_retention: float
    refusal_retention: float

    def quota_defaults(self, type_name: str) -> dict[str, Limits]:
        """The configured limits that apply to an artifact of this type."""
        return {name: self.quotas.get(name, Limits()) for name in (ALL_TYPES, type_name)}

    def deletes_later(self, type_name: str) -> bool:
        """Whether deletion of this type is delayed: the type's own setting, else the global one."""
        return self.delayed_delete.get(type_name, self.delayed_delete.get(ALL_TYPES, False))

    def store_of(self, type_name: str) -> str:
        """The name of the store for new data of this type."""
        return self.default_store.get(type_name, self.default_store[ALL_TYPES])


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running Glare."""

    db: Database
    types: TypeRegistry
    policy: PolicyEngine
    stores: Mapping[str, Store]
    egress: EgressClient
    hashing: Executor
    heartbeats: Heartbeats
    rules: Rules
    metrics: Metrics
    clock: Callable[[], int] = lambda: time.time_ns() // 1000
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())


def effective_limits(defaults: Mapping[str, Limits], records: Mapping[str, int]) -> dict[str, Limits]:
    """Configured limits overlaid with a project's quota records."""
    limits = {}
    for name, limit in defaults.items():
        suffix = f":{name}" if name != ALL_TYPES else ""
        limits[name] = Limits(records.get(NUMBER + suffix, limit.artifacts), records.get(BYTES + suffix, limit.bytes))
    return limits
