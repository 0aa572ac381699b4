"""The composition root: settings become services, services become the ASGI application or the background worker."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from glare.db import blobs as blob_rows
from glare.db import jobs, leases, location_hosts
from glare.db import stores as store_rows
from glare.db.engine import Database
from glare.db.outbox import DatabaseOutbox
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.egress.names import Resolver, system_resolve
from glare.errors import GlareError
from glare.events.consumer import Backoff, Consumer, LogSink, NoSink, Sink
from glare.events.messaging import MessagingSink
from glare.events.webhooks import SecretBox, make_key_file
from glare.http.boundary import Boundary
from glare.http.call import Application, HttpSettings
from glare.http.description.document import described
from glare.http.drain import Drain
from glare.http.lanes import Lanes, LaneSettings
from glare.http.parties import Parties
from glare.http.probes import Probe
from glare.http.routes import API, PUBLIC
from glare.http.streams import Patience
from glare.http.transfers import Transfers
from glare.identity.pipelines import IdentitySettings, make_identity
from glare.metrics import Metrics
from glare.metrics.listener import Listener
from glare.metrics.prometheus import PrometheusMetrics
from glare.operations import putting_off
from glare.operations.beacons import Beacons
from glare.operations.crew import Crew, CrewBounds, Task
from glare.operations.heartbeats import Heartbeats
from glare.operations.locations.jobs import claim_job, do_job
from glare.operations.locations.promote_by_policy import PromotionRounds
from glare.operations.locations.verify import ClaimedCheck, claim_check, do_check
from glare.operations.reads import Reads
from glare.operations.refusals import Refusals
from glare.operations.services import Services
from glare.operations.shared_fetch import Fetches
from glare.operations.subscriptions.deliver import Deliverer
from glare.operations.subscriptions.fan_out import fan_out
from glare.operations.takedowns import lookup as takedowns
from glare.operations.upkeep import fsck
from glare.operations.upkeep.depths import depths
from glare.operations.upkeep.health import readiness
from glare.operations.upkeep.patrol import patrol
from glare.operations.upkeep.prepare_stores import prepare_stores
from glare.operations.upkeep.sweep import Scrubbed, end_dead_attempts, scrub, sweep
from glare.policy.engine import PolicyEngine
from glare.settings import Settings, SettingsError
from glare.settings.outside import JobsSettings, SubscriptionsSettings, VerificationSettings
from glare.settings.rules import DATABASE, FILE, read_limits_of, rules_of
from glare.settings.type_options import load_types
from glare.shares import Bounds, Shares
from glare.stores.base import Store, StoreCall, log_call
from glare.stores.database import DatabaseDriver
from glare.stores.filesystem import FilesystemDriver

_log = logging.getLogger(__name__)

_HASH_THREADS: Final = 8
_SAMPLE_SECONDS: Final = 1.0
_SWITCH_SECONDS: Final = 0.001  # What a thread that computes may keep the event loop waiting (decision 0135).
_PROBE_PATIENCE: Final = 3.0
"""Seconds that a probe waits for the database: less than the five after which it is answered without it."""


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
        until = now + int(settings.uploads.attempt_timeout * 1_000_000)
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

    egress = EgressClient(
        settings.egress,
        resolve=resolve,
        report=metrics.outbound_ended,
        blocked=takedowns.asked_by(db),
        refused=metrics.refused,
    )
    services = Services(
        db=db,
        aside=aside,
        types=load_types(settings),
        policy=PolicyEngine(settings.policy.policy_file, default_rule=settings.policy.policy_default_rule),
        stores=stores,
        egress=egress,
        webhooks=EgressClient(
            settings.webhooks,
            resolve=resolve,
            report=metrics.outbound_ended,
            blocked=takedowns.asked_by(db),
            refused=metrics.refused,
        ),
        secrets=SecretBox(settings.subscriptions.secret_key_file),
        hashing=ThreadPoolExecutor(_HASH_THREADS, "hashing"),
        heartbeats=Heartbeats(beat, settings.uploads.attempt_heartbeat, stuck),
        rules=rules_of(settings),
        metrics=metrics,
        fetches=Fetches(settings.locations.shared_memory),
        reads=Reads(read_limits_of(settings), db, refused=metrics.refused, clock=lambda: services.clock()),
        beacons=Beacons(
            egress,
            settings.verification.beacons,
            int(settings.verification.beacon_interval * 1_000_000),
            lambda: services.clock(),
        ),
    )
    db.observe(metrics.connections)
    db.refused = metrics.refused
    clock = services.clock
    return services


def prepare(settings: Settings) -> None:
    """Make the stores and the key file ready, before any process works with them. Raises `Unavailable` where one is not
    at its place.
    """
    make_key_file(settings.subscriptions.secret_key_file)
    db = _database(settings)
    try:
        prepare_stores(db, _stores(settings, db, Metrics()), _now)
    finally:
        db.dispose()


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


def create_application(
    settings: Settings, *, with_worker: bool, services: Services | None = None, drain: Drain | None = None
) -> ASGIApp:
    """The ASGI application. With `with_worker` it does the background work too, from lifespan start to shutdown.

    `drain` is for the caller that ends the process by it.
    """
    services = services or build_services(settings)
    application = Application(
        services=services,
        identity=make_identity(
            IdentitySettings(
                pipeline=settings.pipeline,
                allow_anonymous=settings.anonymous.allow_anonymous_access,
                token_file=settings.identity.token_file,
                trusted_peers=settings.identity.trusted_peers,
            )
        ),
        parties=Parties(settings.server.trusted_proxies),
        refusals=Refusals(services, settings.audit.refusals_per_minute),
        lanes=Lanes.of(
            LaneSettings(
                threads=(settings.api.request_threads, settings.api.request_threads_per_project),
                list_threads=(settings.api.list_threads, settings.api.list_threads_per_project),
                waiting=(settings.api.max_waiting, settings.api.max_waiting_per_project),
                answer_bytes=(settings.api.max_answer_memory, settings.api.max_answer_memory_per_project),
                body_bytes=(settings.api.max_body_memory, settings.api.max_body_memory_per_project),
                patience=settings.api.max_wait,
            ),
            services.metrics.refused,
        ),
        streams=ThreadPoolExecutor(settings.uploads.max_concurrent, "stream"),
        transfers=_transfers(settings, services.metrics),
        settings=HttpSettings(
            max_document=settings.api.max_body_size,
            patience=Patience(settings.uploads.stall_timeout, settings.uploads.minimum_throughput),
            document_patience=Patience(settings.api.body_timeout, settings.uploads.minimum_throughput),
            debug=settings.server.debug,
            cdn_loop_id=settings.locations.cdn_loop_id,
            metrics_peers=settings.metrics.allowed_peers,
            public_endpoint=settings.server.public_endpoint,
        ),
        description=described(services.types, (*PUBLIC, *API)),
        drain=drain or Drain(settings.server.shutdown_timeout),
        readiness=Probe(partial(readiness, services), settings.api.probe_age),
        numbers=Probe(lambda: services.metrics.render(depths(services)), settings.api.probe_age),
    )
    worker = Worker(settings, services) if with_worker else None
    return _Lifespan(_with_cors(settings, Boundary(application, PUBLIC, API)), application, worker)


def run_worker(settings: Settings, stop: threading.Event, metrics: Metrics | None = None) -> None:
    """Do the background work in this thread until `stop` is set."""
    services = build_services(settings, metrics=metrics)
    worker = Worker(settings, services)
    with _watched(settings, services):
        worker.start()
        stop.wait()
        worker.stop()
    close(services)


def _watched(settings: Settings, services: Services) -> AbstractContextManager[object]:
    """What tells of this process, where it is to listen. Raises SettingsError where it cannot."""
    address = settings.metrics.worker_bind
    if address is None:
        return nullcontext()
    pages = {"/metrics": lambda: services.metrics.render(depths(services)), "/healthz": lambda: b"OK"}
    try:
        return Listener(address, settings.metrics.allowed_peers, pages)
    except OSError as error:
        raise SettingsError(
            f"[metrics] worker_bind is {address[0]} port {address[1]}, but listening there fails ({error.strerror}); choose another."
        ) from error


def run_scrubber(settings: Settings, stop: threading.Event, report: Callable[[Scrubbed], None], *, once: bool) -> None:
    """Finish deletions in this thread, once or every `wakeup_time` until `stop` is set; each round is reported.

    Once is at somebody's wish, so what an earlier round has postponed is tried again.
    """
    services = build_services(settings)
    try:
        while not stop.is_set():
            try:
                report(scrub(services, retry=once))
            except GlareError:
                if once:
                    raise
                _log.exception("deletions are left to the next round")
            if once:
                return
            stop.wait(settings.scrubber.wakeup_time)
    finally:
        close(services)


def run_fsck(
    settings: Settings,
    stop: threading.Event,
    options: fsck.Options,
    stores: Sequence[str],
    found: Callable[[fsck.Finding], None],
    progress: Callable[[fsck.Progress], None],
) -> fsck.Summary:
    """Check stored bytes in this thread: of `stores`, or of all where none is named."""
    services = build_services(settings)
    try:
        return fsck.Check(services, options, found, progress, stop).run(stores or list(services.stores))
    finally:
        close(services)


def close(services: Services) -> None:
    """End threads and connections."""
    services.heartbeats.stop()
    services.hashing.shutdown(wait=False, cancel_futures=True)
    services.db.dispose()
    services.aside.dispose()


class Worker:
    """The background work: the sweep, the end of dead attempts, the consumer of the outbox, checks of locations, and
    webhooks.

    Each has a thread and a period of its own: a dead upload holds quota, so it is not left to the next sweep.
    """

    def __init__(self, settings: Settings, services: Services) -> None:
        self._sink = _sink(settings)
        backoff = Backoff(settings.outbox.retry_delay, settings.outbox.max_retry_delay, settings.outbox.patience)
        consumer = Consumer(
            DatabaseOutbox(services.db),
            self._sink,
            services.clock,
            backoff,
            lambda: services.metrics.work_put_off(putting_off.NOTIFICATION),
        )
        self._deliverer = deliverer = Deliverer(services)
        self._stopping = threading.Event()
        self._cancellation = Cancellation()
        self._services = services
        self._project = ""  # Whose job was begun last.
        self._checkers = Crew("verification", _crew_bounds(settings.verification))
        self._doers = Crew("jobs", _crew_bounds(settings.jobs))
        self._senders = Crew("webhooks", _sender_bounds(settings.subscriptions))
        crews = (
            (self._checkers, self._claim_check, settings.verification.poll_interval),
            (self._doers, self._claim_job, settings.jobs.poll_interval),
            (self._senders, deliverer.claim, settings.outbox.poll_interval),
        )
        rounds = PromotionRounds()
        self._threads = [
            threading.Thread(target=self._repeat, args=args, name=args[0], daemon=True)
            for args in (  # name, period in seconds, job
                ("sweep", settings.scrubber.wakeup_time, lambda: sweep(services)),
                ("attempts", settings.uploads.attempt_timeout / 2, lambda: end_dead_attempts(services)),
                ("outbox", settings.outbox.poll_interval, lambda: _drain(consumer.run_once, self._stopping)),
                ("fan-out", settings.outbox.poll_interval, lambda: _drain(lambda: fan_out(services), self._stopping)),
                ("patrol", settings.patrol.poll_interval, lambda: patrol(services, self._stopping)),
                ("promotion", settings.promotion.interval, lambda: rounds.look(services)),
            )
        ]
        self._threads += [
            threading.Thread(target=crew.run, args=(claim, period), name="crew", daemon=True)
            for crew, claim, period in crews
            if crew.bounds.places
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the work under way. Checks of locations and jobs are broken off and given back: they may take
        hours, and begin again.
        """
        self._stopping.set()
        self._cancellation.cancel()
        self._deliverer.stop()
        crews = (self._checkers, self._doers, self._senders)
        for crew in crews:
            crew.stop()
        for thread in self._threads:
            thread.join()
        for crew in crews:
            crew.stop()  # Again: one of them may have begun something at the last moment.
        self._sink.close()

    def _claim_check(self, full: frozenset[str], present: frozenset[str]) -> Task | None:
        claimed = claim_check(self._services, full, present)
        if claimed is None:
            return None
        return Task(claimed.due.project if claimed.due is not None else "", partial(self._check, claimed))

    def _check(self, claimed: ClaimedCheck) -> None:
        try:
            do_check(self._services, claimed, self._cancellation)
        except GlareError:
            if not self._cancellation.cancelled:
                raise

    def _claim_job(self, full: frozenset[str], present: frozenset[str]) -> Task | None:
        claimed = claim_job(self._services, self._project, full, present)
        if claimed is None:
            return None
        self._project = claimed.project
        return Task(claimed.project, partial(do_job, self._services, claimed, self._cancellation))

    def _repeat(self, name: str, period: float, job: Any) -> None:
        while not self._stopping.is_set():
            try:
                job()
            except Exception:  # noqa: BLE001 - one failed round must not end the background work
                _log.exception("background work failed", extra={"job": name})
            self._stopping.wait(period)


def _crew_bounds(section: VerificationSettings | JobsSettings) -> CrewBounds:
    return CrewBounds(section.workers, section.max_workers, section.project_workers, section.slow_after)


def _sender_bounds(section: SubscriptionsSettings) -> CrewBounds:
    return CrewBounds(
        section.delivery_threads,
        section.max_delivery_threads,
        section.project_delivery_threads,
        section.delivery_slow_after,
    )


def _transfers(settings: Settings, metrics: Metrics) -> Transfers:
    uploads = settings.uploads
    bounds = Bounds(
        uploads.max_concurrent,
        min(uploads.max_concurrent_per_project, uploads.max_concurrent),
        uploads.max_waiting,
        uploads.max_waiting_per_project,
        settings.api.max_wait,
    )
    shares = Shares("transfers", bounds, what="uploads and downloads", refused=metrics.refused)
    return Transfers(shares, uploads.contended_throughput, uploads.contended_grace)


def _with_cors(settings: Settings, app: ASGIApp) -> ASGIApp:
    """Cross-origin headers, where an operator has named origins. The methods and headers are those of the API."""
    if not settings.cors.allowed_origin:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.cors.allowed_origin,
        allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        allow_headers=_REQUEST_HEADERS,
        allow_credentials=settings.cors.allow_credentials,
        expose_headers=_ANSWER_HEADERS,
        max_age=int(settings.cors.max_age),
    )


_REQUEST_HEADERS: Final = (
    *("X-Auth-Token", "OpenStack-API-Version", "X-OpenStack-Request-ID", "Content-Type", "Content-MD5", "Repr-Digest"),
    *("Content-Digest", "If-Match", "If-None-Match", "If-Range", "Range", "Prefer"),
    *("Digest", "X-Checksum-Sha256", "X-Checksum-Sha1", "X-Checksum-Md5", "traceparent", "tracestate"),
)
_ANSWER_HEADERS: Final = (
    *("ETag", "OpenStack-API-Version", "X-OpenStack-Request-ID", "X-Glare-Error-Code", "Content-MD5", "Repr-Digest"),
    *("Content-Digest", "Content-Range", "Accept-Ranges", "Content-Disposition"),
    *("Location", "Preference-Applied"),
    *("X-OpenStack-Glare-Content-SHA1", "X-OpenStack-Glare-Content-SHA256"),
)


class _Lifespan:
    """Starts and ends what lives as long as the process, around the application."""

    def __init__(self, app: ASGIApp, application: Application, worker: Worker | None) -> None:
        self._app = app
        self._application = application
        self._worker = worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            self._application.refusals.start()
            if self._worker is not None:
                self._worker.start()
            sys.setswitchinterval(_SWITCH_SECONDS)
            sampling = asyncio.ensure_future(self._sample())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            sampling.cancel()
            if self._worker is not None:
                self._worker.stop()
            self._application.refusals.stop()
            self._application.lanes.close()
            self._application.streams.shutdown(wait=False, cancel_futures=True)
            close(self._application.services)
            await send({"type": "lifespan.shutdown.complete"})

    async def _sample(self) -> None:
        """Tell how much is in use: a moment of each second will do, and costs requests nothing."""
        application = self._application
        while True:
            for shares in (*application.lanes.shares, application.transfers.shares):
                application.services.metrics.shares_now(shares.name, shares.in_use, shares.waiting)
            await asyncio.sleep(_SAMPLE_SECONDS)


def _sink(settings: Settings) -> Sink:
    """Where notifications go."""
    if settings.bus is not None:
        return MessagingSink(settings.bus)
    return LogSink(settings.lists.glare_publisher_id) if settings.notifications.driver == "log" else NoSink()


def _drain(job: Callable[[], int], stopping: threading.Event) -> None:
    while not stopping.is_set() and job():
        pass


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
    """All stores by name, whichever is for new blobs now: another one was before, and has some.

    `aside` is asked which place is which store: each works at the place only that the database knows. Without it they
    do not ask.
    """

    def observe(call: StoreCall) -> None:
        log_call(call)
        metrics.store_called(call.store, call.action, call.failed, call.bytes)

    def recorded() -> str | None:
        if aside is None:
            return None
        with aside.read() as connection:
            known = store_rows.find(connection, FILE)
        return None if known is None else known.identity

    reserve = settings.store.free_space_reserve
    directory = settings.glance_store.filesystem_store_datadir
    return {
        FILE: Store(FilesystemDriver(directory, name=FILE, reserve=reserve, recorded=recorded), observe),
        DATABASE: Store(DatabaseDriver(db, name=DATABASE, reserve=reserve, aside=aside), observe),
    }
