"""Metrics for Prometheus: kept in this process, or in files that all processes of the service share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from glare.metrics import Depths, Metrics, process
from glare.metrics.files import claim, forget_dead, living

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600)


@dataclass(frozen=True, slots=True)
class Described:
    """What a gauge means, and the names of its labels."""

    text: str
    labels: tuple[str, ...] = ()


DEPTHS: Final[Mapping[str, Described]] = {
    "glare_build_info": Described("1, with what is running.", ("version", "python", "database")),
    "glare_outbox_events": Described("Events that no consumer has taken yet."),
    "glare_outbox_oldest_seconds": Described("Age of the oldest of them; 0 when there is none."),
    "glare_locations_changed": Described("External locations that no longer serve what was recorded."),
    "glare_locations_unreachable": Described("External locations that failed several checks in a row."),
    "glare_jobs": Described("Jobs that are not ended, up to 10000 of a state.", ("kind", "state")),
    "glare_jobs_oldest_seconds": Described(
        "How long the first job that is due has waited for a worker; 0 when none has."
    ),
    "glare_location_hosts_due": Described("Hosts whose locations are due for a check."),
    "glare_location_oldest_due_seconds": Described("How long the first of them has been due; 0 when there is none."),
    "glare_outbox_unfanned_events": Described("Events that have not become messages to subscribers yet."),
    "glare_outbox_unfanned_oldest_seconds": Described("Age of the oldest of them; 0 when there is none."),
    "glare_webhook_queue": Described(
        "Messages to subscribers that wait for their delivery, those to suspended targets included."
    ),
    "glare_webhook_oldest_due_seconds": Described(
        "How long the first message that is due has waited to be sent; 0 when none has."
    ),
    "glare_webhook_suspended": Described("Subscriptions that were suspended because their target failed."),
    "glare_damaged_blobs": Described(
        "Stored blobs whose bytes were found missing or different when they were last read."
    ),
    "glare_doomed_objects": Described("Objects of stores that no artifact needs and that wait for their removal."),
    "glare_attempts": Described("Uploads and measurements under way on all nodes, dead ones included."),
    "glare_dead_attempts": Described("Attempts without a sign of life, which the sweep is about to undo."),
    "glare_deleted_artifacts": Described("Artifacts marked as deleted whose data has not been removed yet."),
    "glare_store_free_bytes": Described("Bytes that a store still takes, after its reserve.", ("store",)),
    "glare_store_up": Described("Whether the store answered when these numbers were asked for.", ("store",)),
    "glare_database_up": Described("Whether the database answered when these numbers were asked for."),
    "glare_process_resident_bytes": Described("Resident memory of a process of this service.", ("pid",)),
    "glare_process_open_fds": Described("Open files of a process.", ("pid",)),
    "glare_process_max_fds": Described("How many files a process may open.", ("pid",)),
    "glare_process_threads": Described("Threads of a process.", ("pid",)),
    "glare_process_cpu_seconds": Described("Processor time of a process since its start.", ("pid",)),
    "glare_process_start_time_seconds": Described("When a process began, in seconds since the epoch.", ("pid",)),
}
"""Gauges that are read when somebody asks. A queue is counted up to a bound."""


class PrometheusMetrics(Metrics):
    """Metrics with names by Prometheus' conventions.

    `directory` is where several processes put their numbers together. The library has to have been imported with
    PROMETHEUS_MULTIPROC_DIR set to it; None keeps the numbers in this process.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        # Kept open on purpose: the lock lives as long as the descriptor, and that as long as the process.
        self._claim = None if directory is None else claim(directory)
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "glare_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "glare_http_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._received = Counter("glare_http_received_bytes", "Bytes of request bodies.", ("route",), registry=registry)
        self._sent = Counter("glare_http_sent_bytes", "Bytes of response bodies.", ("route",), registry=registry)
        self._transfers = Gauge(
            "glare_transfers_under_way",
            "Bodies under way: uploads, measurements of locations, and downloads that are not files sent whole.",
            ("kind",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._attempts = Counter("glare_attempts_ended", "Attempts to fill a blob.", ("outcome",), registry=registry)
        self._outbound = Counter("glare_egress_requests", "Requests sent to origins.", ("outcome",), registry=registry)
        self._outbound_bytes = Counter("glare_egress_received_bytes", "Bytes read from origins.", registry=registry)
        self._outbound_seconds = Histogram(
            "glare_egress_request_seconds",
            "Time from the decision on an origin to the end of its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._broken = Counter(
            "glare_verified_download_failures",
            "Downloads of external blobs that were refused or broken off, because the origin delivered something else.",
            registry=registry,
        )
        self._stored = Counter(
            "glare_stored_bytes_failures",
            "Times that stored bytes were not what was recorded of them when a reader asked, by why.",
            ("store", "reason"),
            registry=registry,
        )
        self._patrolled = Counter(
            "glare_patrolled_blobs",
            "Stored blobs that the background has read again, by what came of it.",
            ("store", "outcome"),
            registry=registry,
        )
        self._checked = Counter(
            "glare_location_checks",
            "Checks of external locations, by what they asked for and what came of them.",
            ("kind", "outcome"),
            registry=registry,
        )
        self._store_errors = Counter(
            "glare_store_errors", "Calls of a store that failed.", ("store", "action", "error"), registry=registry
        )
        self._store_bytes = Counter(
            "glare_store_bytes", "Bytes written to and read from a store.", ("store", "action"), registry=registry
        )
        self._store_seconds = Histogram(
            "glare_store_call_seconds",
            "Time that calls of a store took; of a write or a read, from its beginning to its end.",
            ("store", "action"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._store_calls = self._gauge(
            "glare_store_calls_under_way", "Threads that are inside of a store.", ("store",)
        )
        self._connections = Gauge(
            "glare_database_connections_in_use",
            "Database connections in use.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._connection_limit = Gauge(
            "glare_database_connections_limit",
            "Database connections that there may be: what is configured, or what the server grants where that is less.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._deliveries = Counter(
            "glare_webhook_deliveries", "Tries to send a message to a subscriber.", ("outcome",), registry=registry
        )
        self._refused = Counter(
            "glare_refused", "Work that was turned away by a bound.", ("what", "reason"), registry=registry
        )
        self._in_use = Gauge(
            "glare_shares_in_use",
            "What is in use of something that is shared out, such as threads for requests.",
            ("what",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._limits = self._gauge("glare_shares_limit", "How much there is of it.", ("what",))
        self._waiting = Gauge(
            "glare_shares_waiting",
            "Who waits for a part of it.",
            ("what",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._crews = self._gauge(
            "glare_crew_at_work", "Background work under way; what is slow waits for its origin.", ("work", "pace")
        )
        self._names = self._gauge(
            "glare_name_lookups",
            "Look-ups of names: under way, under way for long (slow), and waiting for a place.",
            ("state",),
        )
        self._accounts = self._gauge(
            "glare_reads_accounts", "Parties and hosts whose fetched bytes a process counts.", ("of",)
        )
        self._untold = self._gauge(
            "glare_reads_untold_bytes", "Bytes read from origins for readers, of which other nodes do not know yet."
        )
        self._put_off = Counter(
            "glare_work_put_off",
            "Background work that ended with an error of ours and is tried again later, by its kind.",
            ("work",),
            registry=registry,
        )
        self._dropped = Counter(
            "glare_audit_refusals_dropped", "Refusals beyond what the audit log takes in a minute.", registry=registry
        )

        self._clients = Gauge(
            "glare_http_connections", "Connections of clients.", registry=registry, multiprocess_mode="livesum"
        )
        self._clients_refused = Counter(
            "glare_http_connections_refused",
            "Connections over a bound that were refused, by the bound: address or total.",
            ("reason",),
            registry=registry,
        )
        self._clients_cut_off = Counter(
            "glare_http_connections_cut_off",
            "Connections that the server ended, by the reason: stall, slow, head, malformed, chunks, replaced, lane, "
            "broken, stopped or error.",
            ("reason",),
            registry=registry,
        )

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """A gauge that is the sum over all processes."""
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode="livesum")

    def request_ended(self, method: str, route: str, status: str, seconds: float, received: int, sent: int) -> None:
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)
        if received:
            self._received.labels(route).inc(received)
        if sent:
            self._sent.labels(route).inc(sent)

    def answered_at_once(self, method: str, route: str, status: str, count: int, sent: int) -> None:
        self._requests.labels(method, route, status).inc(count)
        if sent:
            self._sent.labels(route).inc(sent)

    def transfer_began(self, kind: str) -> None:
        self._transfers.labels(kind).inc()

    def transfer_ended(self, kind: str) -> None:
        self._transfers.labels(kind).dec()

    def attempt_ended(self, outcome: str) -> None:
        self._attempts.labels(outcome).inc()

    def outbound_ended(self, outcome: str, seconds: float, size: int) -> None:
        self._outbound.labels(outcome).inc()
        self._outbound_seconds.observe(seconds)
        self._outbound_bytes.inc(size)

    def verified_download_failed(self) -> None:
        self._broken.inc()

    def stored_bytes_failed(self, store: str, reason: str) -> None:
        self._stored.labels(store, reason).inc()

    def stored_blob_read(self, store: str, outcome: str) -> None:
        self._patrolled.labels(store, outcome).inc()

    def location_checked(self, kind: str, outcome: str) -> None:
        self._checked.labels(kind, outcome).inc()

    def store_called(self, store: str, action: str, failed: str | None, size: int, seconds: float) -> None:
        self._store_seconds.labels(store, action).observe(seconds)
        if failed is not None:
            self._store_errors.labels(store, action, failed).inc()
        elif size:
            self._store_bytes.labels(store, action).inc(size)

    def store_now(self, store: str, under_way: int) -> None:
        self._store_calls.labels(store).set(under_way)

    def connections(self, in_use: int, limit: int) -> None:
        self._connections.set(in_use)
        self._connection_limit.set(limit)

    def delivery_ended(self, outcome: str) -> None:
        self._deliveries.labels(outcome).inc()

    def refused(self, what: str, reason: str) -> None:
        self._refused.labels(what, reason).inc()

    def crew_now(self, work: str, quick: int, slow: int) -> None:
        self._crews.labels(work, "quick").set(quick)
        self._crews.labels(work, "slow").set(slow)

    def names_now(self, quick: int, slow: int, waiting: int) -> None:
        self._names.labels("quick").set(quick)
        self._names.labels("slow").set(slow)
        self._names.labels("waiting").set(waiting)

    def reads_now(self, parties: int, hosts: int, untold: int) -> None:
        self._accounts.labels("party").set(parties)
        self._accounts.labels("host").set(hosts)
        self._untold.set(untold)

    def shares_now(self, what: str, in_use: int, limit: int, waiting: int) -> None:
        self._in_use.labels(what).set(in_use)
        self._limits.labels(what).set(limit)
        self._waiting.labels(what).set(waiting)

    def work_put_off(self, work: str) -> None:
        self._put_off.labels(work).inc()

    def refusals_dropped(self, count: int) -> None:
        self._dropped.inc(count)

    def client_connected(self) -> None:
        self._clients.inc()

    def client_gone(self) -> None:
        self._clients.dec()

    def client_refused(self, reason: str, count: int) -> None:
        self._clients_refused.labels(reason).inc(count)

    def client_cut_off(self, reason: str) -> None:
        self._clients_cut_off.labels(reason).inc()

    def render(self, depths: Depths) -> bytes:
        now = CollectorRegistry()
        now.register(_Depths({**depths, **process.numbers(self._processes())}))
        return generate_latest(self._kept()) + generate_latest(now)

    def _processes(self) -> list[int]:
        return [os.getpid()] if self._directory is None else living(self._directory)

    def _kept(self) -> CollectorRegistry:
        if self._directory is None:
            return self._registry
        # What a killed process had under way is under way no more. Its counters stay: what they counted has happened.
        forget_dead(self._directory, "gauge_live*.db")
        together = CollectorRegistry()
        MultiProcessCollector(together, path=str(self._directory))  # type: ignore[no-untyped-call]  # the library's
        return together


class _Depths(Collector):
    """Gauges that were read a moment ago. They are nobody's own, so they are not kept with those of a process."""

    def __init__(self, depths: Depths) -> None:
        self._depths = depths

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, value in self._depths.items():
            described = DEPTHS[name]
            family = GaugeMetricFamily(name, described.text, labels=described.labels)
            for labels, number in value.items() if isinstance(value, Mapping) else (((), value),):
                family.add_metric(labels, number)
            yield family
