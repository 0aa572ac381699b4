"""The background work, in a process of its own or beside the application."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

from glare.app.services import SAMPLE_SECONDS, StoresToPrepare, build_services, close, tell_levels
from glare.db.outbox import DatabaseOutbox
from glare.egress.cancellation import Cancellation
from glare.errors import GlareError
from glare.events.consumer import Backoff, Consumer, LogSink, NoSink, Sink
from glare.events.messaging import MessagingSink
from glare.metrics import Metrics
from glare.metrics.listener import Listener
from glare.operations import putting_off
from glare.operations.crew import Crew, CrewBounds, Task
from glare.operations.locations.jobs import claim_job, do_job
from glare.operations.locations.promote_by_policy import PromotionRounds
from glare.operations.locations.verify import ClaimedCheck, claim_check, do_check
from glare.operations.services import Services
from glare.operations.subscriptions.deliver import Deliverer
from glare.operations.subscriptions.fan_out import fan_out
from glare.operations.upkeep.depths import depths
from glare.operations.upkeep.patrol import patrol
from glare.operations.upkeep.sweep import end_dead_attempts, sweep
from glare.settings import Settings, SettingsError
from glare.settings.options.checks import VerificationSettings
from glare.settings.options.jobs import JobsSettings
from glare.settings.options.subscriptions import SubscriptionsSettings

_log = logging.getLogger(__name__)

_PREPARE_SECONDS: Final = 5.0
"""Seconds until a store that did not answer is asked again."""


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
                ("levels", SAMPLE_SECONDS, self._tell),
                ("stores", _PREPARE_SECONDS, StoresToPrepare(settings, services.db, services.clock).look),
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

    def _tell(self) -> None:
        """Say how much is under way."""
        for crew in (self._checkers, self._doers, self._senders):
            self._services.metrics.crew_now(crew.name, *crew.under_way)
        tell_levels(self._services)

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
            f"[metrics] worker_bind is {address[0]} port {address[1]}, but listening there fails ({error.strerror}); "
            "choose another."
        ) from error


def _crew_bounds(section: VerificationSettings | JobsSettings) -> CrewBounds:
    return CrewBounds(section.workers, section.max_workers, section.project_workers, section.slow_after)


def _sender_bounds(section: SubscriptionsSettings) -> CrewBounds:
    return CrewBounds(
        section.delivery_threads,
        section.max_delivery_threads,
        section.project_delivery_threads,
        section.delivery_slow_after,
    )


def _sink(settings: Settings) -> Sink:
    """Where notifications go."""
    if settings.bus is not None:
        return MessagingSink(settings.bus)
    return LogSink(settings.lists.glare_publisher_id) if settings.notifications.driver == "log" else NoSink()


def _drain(job: Callable[[], int], stopping: threading.Event) -> None:
    while not stopping.is_set() and job():
        pass
