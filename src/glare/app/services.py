"""Settings become services: everything that operations need."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from glare.db import blobs as blob_rows
from glare.db import jobs, leases, location_hosts
from glare.db import stores as store_rows
from glare.db.engine import Database
from glare.domain.moment import SECOND
from glare.egress.client import EgressClient, Listeners
from glare.egress.names import Resolver, system_resolve
from glare.errors import GlareError, Unavailable
from glare.events.webhooks import SecretBox, make_key_file
from glare.metrics import Metrics
from glare.metrics.prometheus import PrometheusMetrics
from glare.operations.beacons import Beacons
from glare.operations.heartbeats import Heartbeats
from glare.operations.reads import Reads
from glare.operations.services import Services
from glare.operations.shared_fetch import Fetches
from glare.operations.takedowns import lookup as takedowns
from glare.operations.upkeep.prepare_stores import prepare_store, prepare_stores
from glare.policy.engine import PolicyEngine
from glare.settings import Settings
from glare.settings.issuers import load_issuers
from glare.settings.rules import read_limits_of, rules_of
from glare.settings.type_options import load_types
from glare.spans import Tracer
from glare.stores.base import Store, StoreCall, log_call
from glare.stores.contract import StoreAway
from glare.stores.drivers import DriverSettings, NamedStore, make_stores

_log = logging.getLogger(__name__)

_HASH_THREADS: Final = 8


_PROBE_PATIENCE: Final = 3.0
"""Seconds that a probe waits for the database: less than the five after which it is answered without it."""


SAMPLE_SECONDS: Final = 1.0
"""How often levels are reported: a moment of each second will do."""


def build_services(
    settings: Settings, *, metrics: Metrics | None = None, resolve: Resolver = system_resolve
) -> Services:
    """Everything that operations need. `metrics` is kept in this process where none is given; tests have a `resolve` of
    their own.
    """
    metrics = metrics or (PrometheusMetrics() if settings.metrics.enabled else Metrics())
    db = _database(settings)

    def beat(ids: list[str]) -> None:
        now = clock()
        db.transact(lambda connection: blob_rows.beat(connection, ids, now))
        db.transact(lambda connection: leases.beat(connection, ids, now))
        until = now + int(settings.uploads.attempt_timeout * SECOND)
        db.transact(lambda connection: location_hosts.keep_leases(connection, ids, until))
        db.transact(lambda connection: jobs.beat(connection, ids, until))

    aside = Database(
        settings.database.connection,
        pool_size=1,
        busy_timeout=_PROBE_PATIENCE,
        statement_timeout=_PROBE_PATIENCE,
        answer_timeout=_PROBE_PATIENCE,
    )
    stores = _stores(settings, db, metrics, aside)

    def stuck() -> set[int]:
        return set().union(*(store.calls.longer_than(settings.uploads.store_timeout) for store in stores.values()))

    listeners = Listeners(metrics.outbound_ended, metrics.refused)
    blocked = takedowns.asked_by(db)
    egress = EgressClient(settings.egress, resolve=resolve, blocked=blocked, listeners=listeners)
    services = Services(
        db=db,
        aside=aside,
        types=load_types(settings),
        policy=PolicyEngine(settings.policy.policy_file, default_rule=settings.policy.policy_default_rule),
        stores=stores,
        egress=egress,
        webhooks=EgressClient(settings.webhooks, resolve=resolve, blocked=blocked, listeners=listeners),
        secrets=SecretBox(settings.subscriptions.secret_key_file),
        hashing=ThreadPoolExecutor(_HASH_THREADS, "hashing"),
        heartbeats=Heartbeats(beat, settings.uploads.attempt_heartbeat, stuck),
        rules=rules_of(settings),
        metrics=metrics,
        fetches=Fetches(settings.locations.shared_memory),
        reads=Reads(read_limits_of(settings), db, refused=metrics.refused, clock=lambda: services.clock()),
        issuers=load_issuers(settings),
        tracer=_tracer(settings),
        beacons=Beacons(
            egress,
            settings.verification.beacons,
            int(settings.verification.beacon_interval * SECOND),
            lambda: services.clock(),
        ),
    )
    db.observe(metrics.connections)
    db.refused = metrics.refused
    clock = services.clock
    return services


def tell_levels(services: Services) -> None:
    """Say how much is under way of what has no shares among the requests."""
    quick, slow, waiting = map(sum, zip(services.egress.names.now, services.webhooks.names.now, strict=True))
    services.metrics.names_now(quick, slow, waiting)
    services.metrics.reads_now(*services.reads.now)
    for name, store in services.stores.items():
        services.metrics.store_now(name, store.calls.now)


def prepare(settings: Settings) -> None:
    """Make the key file where there is none, and the stores ready. Raises `Unavailable` where one is not at its
    place.
    """
    make_key_file(settings.subscriptions.secret_key_file)
    open_stores(settings)


def open_stores(settings: Settings, *, patient: bool = False) -> None:
    """Make the stores ready, before any process works with them. Raises `Unavailable` where one is not at its place.

    With `patient` one that does not answer is left to the background work (`StoresToPrepare`).
    """
    db = _database(settings)
    try:
        prepare_stores(db, _stores(settings, db, Metrics()), _now, _tell_away if patient else None)
    finally:
        db.dispose()


def _tell_away(name: str, error: StoreAway) -> None:
    _log.error(
        "a store does not answer; what needs it is refused until it does",
        extra={"store": name, "reason": error.message},
    )


class StoresToPrepare:
    """The remote stores that this process has not prepared: a node may start while one of them does not answer."""

    def __init__(self, settings: Settings, db: Database, clock: Callable[[], int]) -> None:
        self._db = db
        self._clock = clock
        stores = _stores(settings, db, Metrics())
        self._names = tuple(stores)
        self._waiting = {name: store for name, store in stores.items() if store.remote}
        self._told: dict[str, str] = {}

    def look(self) -> None:
        """Prepare those that answer now."""
        for name, store in tuple(self._waiting.items()):
            try:
                prepare_store(self._db, store, self._clock, self._names)
            except GlareError as error:
                if self._told.get(name) != error.message:
                    self._told[name] = error.message
                    _log.error("a store is not ready", extra={"store": name, "reason": error.message})
            else:
                del self._waiting[name]
                if name in self._told:
                    _log.info("a store is ready", extra={"store": name})


@contextmanager
def bare_stores(settings: Settings) -> Iterator[tuple[Database, Mapping[str, Store]]]:
    """The database, and stores that are not asked whether they are the ones that it knows: for who wants to see or
    change that.
    """
    db = _database(settings)
    try:
        yield db, _stores(settings, db, Metrics())
    finally:
        db.dispose()


def close(services: Services) -> None:
    """End threads and connections."""
    services.heartbeats.stop()
    services.hashing.shutdown(wait=False, cancel_futures=True)
    services.db.dispose()
    services.aside.dispose()
    services.tracer.close()


def _tracer(settings: Settings) -> Tracer:
    """Where the steps of the work go. Raises `Unavailable` where the library is missing, which is an extra."""
    options = settings.tracing
    if options.collector is None:
        return Tracer()
    try:
        from glare.spans.otel import Sampling, sent_to
    except ModuleNotFoundError:
        raise Unavailable(
            "[tracing] collector is set, and OpenTelemetry is not installed; install 'glare-server[otel]', or unset it."
        ) from None
    return sent_to(options.collector, Sampling(options.sampled_of_1000, options.trust_callers))


def _database(settings: Settings) -> Database:
    return Database(
        settings.database.connection,
        pool_size=settings.database.max_pool_size,
        busy_timeout=settings.database.pool_timeout,
        statement_timeout=settings.database.statement_timeout,
        answer_timeout=settings.database.answer_timeout,
    )


def _now() -> int:
    return time.time_ns() // 1000


def _stores(settings: Settings, db: Database, metrics: Metrics, aside: Database | None = None) -> Mapping[str, Store]:
    """All stores by name.

    `aside` is asked which place is which store: each works at the place only that the database knows. Without it they
    do not ask.
    """

    def observe(call: StoreCall) -> None:
        log_call(call)
        metrics.store_called(call.store, call.action, call.failed, call.bytes, call.seconds)

    def recorded(name: str) -> str | None:
        if aside is None:
            return None
        with aside.read() as connection:
            known = store_rows.find(connection, name)
        return None if known is None else known.identity

    options = DriverSettings(
        directory=settings.glance_store.filesystem_store_datadir,
        reserve=settings.store.free_space_reserve,
        db=db,
        aside=aside,
        recorded=recorded,
        places=settings.places,
    )
    named = {
        name: NamedStore(store.driver, replace(options, directory=store.directory or options.directory))
        for name, store in settings.stores.items()
        if store.driver is not None
    }
    return make_stores(options, observe, named)
