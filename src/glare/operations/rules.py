"""The operator's settings, as operations decide with them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate

from glare.db.counters import ALL_TYPES, Limits
from glare.domain.declared.hooks import UnpackLimits
from glare.domain.query import QueryLimits
from glare.domain.verification import Rhythm
from glare.events.webhooks import Retries


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """What measuring may cost a project in one window, whatever the outcome; -1 is unlimited.

    `window` in seconds; `requests` and `bytes` in a window; `concurrency` and `host_concurrency` count measurements
    under way, of one project and of one host over all projects.
    """

    window: int
    requests: int
    bytes: int
    concurrency: int
    host_concurrency: int


@dataclass(frozen=True, slots=True)
class Verification:
    """How external locations are checked, as the operator has set it; durations in seconds.

    `daily_bytes` bounds what full checks read in a day, -1 is unlimited. `spot_blocks` are read by a spot check,
    `spot_share` is how many of the cheap checks are such. `outage_hosts` unrelated hosts of `outage_projects`, and
    `outage_share` of all that were asked, have to fail within `outage_window` for it to be our own outage, which holds
    up a finding for `outage_patience`. `host_turn` is how long a check has its host for itself. `host_retry_most`
    bounds how long a host waits that has failed, `busy_most` how long the other locations of a project do where one was
    answered that its host is busy.
    """

    rhythm: Rhythm
    daily_bytes: int
    spot_blocks: int
    spot_share: float
    host_interval: float
    host_turn: float
    outage_hosts: int
    outage_share: float
    outage_window: float
    outage_projects: int
    outage_patience: float
    host_retry_most: float
    busy_most: float
    stale_after: float
    history_retention: float


@dataclass(frozen=True, slots=True)
class SubscriptionRules:
    """How events are sent to subscribers; times in seconds, `most` is of one project and -1 unlimited, `source` names
    this service.
    """

    most: int
    confirmation_time: float
    delivery_timeout: float
    retries: Retries
    suspend_after: float
    secret_overlap: float
    log_retention: float
    source: str


@dataclass(frozen=True, slots=True)
class LinkRules:
    """How links are given out: `most` is of one project and -1 unlimited; how long they last by `default` and at the
    `longest`, in seconds; and how long those that have ended are kept, in microseconds.
    """

    most: int
    default: float
    longest: float
    retention: int


@dataclass(frozen=True, slots=True)
class TokenRules:
    """How long API tokens last, and how many of one project are in force: -1 is unlimited. Durations in
    microseconds.
    """

    most: int
    default_lifetime: int
    max_lifetime: int
    notice: int
    retention: int


@dataclass(frozen=True, slots=True)
class JobRules:
    """How jobs are worked on; durations in seconds.

    `tries` bounds how often one is begun; a failure that may pass waits `retry_first`, doubled with each further one up
    to `retry_most`. `busy_wait` is the wait where limits of measurements are reached. `per_project` bounds the jobs of
    a project that are not ended.
    """

    tries: int
    retry_first: float
    retry_most: float
    busy_wait: float
    per_project: int
    retention: float


class Promoting(StrEnum):
    """When locations are copied into a store without being asked for it."""

    NEVER = "never"
    UNREACHABLE = "unreachable"
    LAST_GOOD = "last_good"


@dataclass(frozen=True, slots=True)
class PromotionRules:
    """Which locations are promoted by themselves: by type, `ALL_TYPES` for the others. `retry` in seconds, after a
    failed one.
    """

    when: Mapping[str, Promoting]
    batch: int
    retry: float

    def of(self, type_name: str) -> Promoting:
        return self.when.get(type_name, self.when[ALL_TYPES])


@dataclass(frozen=True, slots=True)
class Placing:
    """Where new bytes go: names of stores by type (`ALL_TYPES` for the others) and by project, which goes before the
    type. `weights` say how often each is chosen of several, 1 where none is said; `read_only` ones take nothing.
    """

    types: Mapping[str, Sequence[str]]
    projects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    read_only: frozenset[str] = frozenset()

    def named(self, type_name: str, project: str | None) -> Sequence[str]:
        """The stores that are named for a blob of this type in an artifact of this project."""
        if project is not None and project in self.projects:
            return self.projects[project]
        return self.types.get(type_name, self.types[ALL_TYPES])

    def open(self, type_name: str, project: str | None) -> Sequence[str]:
        """Those of them that take it."""
        named = self.named(type_name, project)
        return [name for name in named if name not in self.read_only and self.weights.get(name, 1)]

    def choose(self, type_name: str, project: str | None, chance: float, wish: str | None = None) -> str:
        """The store for a new blob: by `chance` (from 0 up to 1), or the `wish` where that is one of them."""
        stores = self.open(type_name, project)
        if wish is not None and wish in stores:
            return wish
        weights = list(accumulate(self.weights.get(name, 1) for name in stores))
        return stores[bisect_right(weights, chance * weights[-1], hi=len(stores) - 1)]


@dataclass(frozen=True, slots=True)
class PatrolRules:
    """How stored bytes are read again: `rate` in bytes a second, 0 for no limit; `interval` in seconds from the
    beginning of one round to that of the next, 0 for never.
    """

    rate: int
    interval: float


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's settings that operations decide with.

    `measure`: whether locations are measured when they are recorded, and `measure_later` whether workers measure those
    that were not. `harmless_parameters` of a URL's query (in lower case) are no secret. `quotas` are limits by type
    name, `ALL_TYPES` for the global one; `max_members` is of one artifact, -1 unlimited. Times in seconds, sizes in
    bytes; but `removal_delay`, how long objects stay that no row needs any more, is in microseconds. Whole files of
    `unchecked_stores` are sent by the server itself; what comes from `trusted_stores` is not compared as it leaves.
    """

    quotas: Mapping[str, Limits]
    max_members: int
    delayed_delete: Mapping[str, bool]
    placing: Placing
    redirect: Mapping[str, bool]
    reservation_step: int
    attempt_timeout: float
    unpacking: UnpackLimits
    query: QueryLimits
    max_patch_operations: int
    outbound: OutboundLimits
    verification: Verification
    subscriptions: SubscriptionRules
    links: LinkRules
    tokens: TokenRules
    jobs: JobRules
    promotion: PromotionRules
    measure: bool
    measure_later: bool
    harmless_parameters: frozenset[str]
    scrub_time: float
    scrub_pool_size: int
    event_retention: float
    audit_retention: float
    refusal_retention: float
    removal_delay: int
    unchecked_stores: frozenset[str]
    trusted_stores: frozenset[str]
    patrol: PatrolRules
    publishers_per_project: int

    def quota_defaults(self, type_name: str) -> dict[str, Limits]:
        """The configured limits that apply to an artifact of this type."""
        return {name: self.quotas.get(name, Limits()) for name in (ALL_TYPES, type_name)}

    def deletes_later(self, type_name: str) -> bool:
        """Whether deletion of this type is delayed: the type's own setting, else the global one."""
        return self.delayed_delete.get(type_name, self.delayed_delete.get(ALL_TYPES, False))

    def may_redirect(self, type_name: str) -> bool:
        """Whether downloads of this type's external blobs may be redirected: the type's own setting, else the global
        one.
        """
        return self.redirect.get(type_name, self.redirect.get(ALL_TYPES, False))
