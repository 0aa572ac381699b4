"""Finishing what a crash, a failure or a delay left behind. Every step may run on any node, at any time, more than
once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import audit as audit_rows
from glare.db import blobs as blob_rows
from glare.db import check_history, contents, counters, deliveries, jobs, leases, outbox
from glare.db import subscriptions as subscription_rows
from glare.db.dialects import marks
from glare.db.rows import fetch_artifact
from glare.domain.audit import DONE, REFUSED
from glare.domain.moment import DAY, HOUR, SECOND
from glare.errors import Conflict, GlareError, Unavailable
from glare.operations import putting_off
from glare.operations.artifacts.delete import remove
from glare.operations.links.upkeep import retire_links
from glare.operations.locations.verify import tell_stale
from glare.operations.services import Services
from glare.operations.slots.objects import remove_due
from glare.operations.subscriptions.confirmations import expire
from glare.operations.tokens.upkeep import retire_tokens, tell_expiring

_log = logging.getLogger(__name__)

_BATCH: Final = 100
_FORGET_CONTENT_AFTER: Final = DAY
_FORGET_MARKS_AFTER: Final = HOUR  # Nobody waits for a commit longer than `pool_timeout`.
_BUDGET_WINDOW: Final = 2 * DAY  # The budget of checks is counted by the day.
_TEMPORARY_AFTER_SECONDS: Final = 24 * 3600.0


def sweep(services: Services) -> None:
    """One round of everything. Errors of one step are logged and do not keep the others from running."""
    steps = (end_dead_attempts, remove_due_objects, scrub_deleted, forget_contents, forget_outbound)
    retiring = (forget_marks, retire_events, retire_audit, retire_checks, retire_deliveries, retire_jobs)
    of_callers = (retire_tokens, retire_links)
    for step in (*steps, *retiring, *of_callers, tell_stale, tell_expiring, expire_subscriptions):
        try:
            step(services)
        except Exception as error:  # noqa: BLE001 - the other steps must run all the same
            putting_off.report(services, putting_off.SWEEP, error, step=step.__name__)


def end_dead_attempts(services: Services) -> None:
    """Undo attempts whose heartbeat has stopped, and remove what they had staged."""
    before = services.clock() - int(services.rules.attempt_timeout * SECOND)
    place = (0, "")
    while True:
        with services.db.read() as connection:
            dead = blob_rows.dead_attempts(connection, before, _BATCH, place)
        for attempt in dead:
            place = (attempt.heartbeat, attempt.attempt_id)
            with _passed_over(services, attempt=attempt.attempt_id):
                _end_dead(services, attempt, before)
        if len(dead) < _BATCH:
            break
    if place[0]:
        remove_due(services, _BATCH)


@contextmanager
def _passed_over(services: Services, **names: Any) -> Iterator[None]:
    """What raises in the block is reported and left to the next round; those behind it have their turn in this one.

    Only the database's own errors end the round.
    """
    try:
        yield
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the others are due all the same
        putting_off.report(services, putting_off.SWEEP, error, **names)


def _end_dead(services: Services, attempt: blob_rows.DeadAttempt, before: int) -> None:
    def end(connection: Connection) -> bool:
        artifact_rows.lock(connection, attempt.artifact_id)
        released = blob_rows.end_attempt(connection, attempt.attempt_id, beaten_before=before)
        if released is None:
            return False  # It is alive after all, or another node has ended it.
        if released:
            counters.use(connection, attempt.owner, attempt.type_name, size=-released)
        artifact_rows.touch_any(connection, attempt.artifact_id, services.clock())
        return True

    if services.db.transact(end):
        services.metrics.attempt_ended("dead")
        _log.warning("dead attempt undone", extra={"artifact": attempt.artifact_id, "blob": attempt.slot.path})


def remove_due_objects(services: Services) -> None:
    """Remove objects that no row needs any more, and temporaries that nobody writes any more."""
    while remove_due(services, _BATCH) == _BATCH:
        pass
    for name, store in services.stores.items():
        try:
            store.sweep_temporaries(_TEMPORARY_AFTER_SECONDS)
        except GlareError as failed:
            _log.warning("temporaries are left to the next sweep", extra={"store": name, "reason": failed.message})


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What a scrub has done: artifacts removed, those that could not be, and objects that their store would not remove
    now.
    """

    artifacts: int
    failed: int
    waiting: int


def scrub(services: Services, *, retry: bool = False) -> Scrubbed:
    """Finish all deletions that are due: the artifacts' rows and quota first, then the objects that nobody needs any
    more.

    It may run beside the service and beside others. What a killed one has left is found by the next: objects are doomed
    in the transaction that removes their rows. A store that fails keeps its objects for a later try; with `retry` that
    is now, however long they are to wait.
    """
    artifacts, failed = scrub_deleted(services)
    if retry:
        services.db.transact(blob_rows.hurry)
    remove_due_objects(services)
    with services.db.read() as connection:
        return Scrubbed(artifacts, failed, blob_rows.count_doomed(connection))


def scrub_deleted(services: Services) -> tuple[int, int]:
    """Really remove artifacts whose delayed deletion is due; returns how many this one has removed, and how many it
    could not.

    One that cannot be removed is passed over and left to the next round.
    """
    until = services.clock() - int(services.rules.scrub_time * SECOND)
    done: Counter[_Outcome] = Counter()
    last = (0, "")
    with ThreadPoolExecutor(services.rules.scrub_pool_size, "scrub") as pool:
        while True:
            with services.db.read() as connection:
                due = artifact_rows.deleted_until(connection, until, _BATCH, last)
            done.update(pool.map(lambda found: _scrub(services, found[1]), due))
            if len(due) < _BATCH:
                return done[_Outcome.REMOVED], done[_Outcome.FAILED]
            last = due[-1]


class _Outcome(Enum):
    """What became of one artifact. `PASSED`: another node has scrubbed it."""

    REMOVED = "removed"
    PASSED = "passed"
    FAILED = "failed"


def _scrub(services: Services, artifact_id: str) -> _Outcome:
    try:
        with services.db.read() as connection:
            artifact = fetch_artifact(connection, artifact_id)
        if artifact is None:
            return _Outcome.PASSED
        remove(services, None, artifact)
    except Conflict:
        return _Outcome.PASSED
    except Exception as error:  # noqa: BLE001 - the others are due all the same
        putting_off.report(services, putting_off.SWEEP, error, artifact=artifact_id)
        return _Outcome.FAILED
    return _Outcome.REMOVED


def forget_contents(services: Services) -> None:
    """Drop block digests of contents that no blob has had for a day."""
    before = services.clock() - _FORGET_CONTENT_AFTER
    services.db.transact(lambda connection: contents.sweep(connection, before, _BATCH))


def forget_outbound(services: Services) -> None:
    """Drop outbound counters of past windows, and leases whose holders are gone."""
    now = services.clock()
    window = max(2 * services.rules.outbound.window * SECOND, _BUDGET_WINDOW)

    def forget(connection: Connection) -> None:
        counters.forget_outbound(connection, now - window)
        leases.forget_dead(connection, now - int(services.rules.attempt_timeout * SECOND))

    services.db.transact(forget)


def forget_marks(services: Services) -> None:
    """Drop marks of changes after which nobody asks any more."""
    before = services.clock() - _FORGET_MARKS_AFTER
    while services.db.transact(lambda connection: marks.forget(connection, before, _BATCH * 10)) == _BATCH * 10:
        pass


def retire_events(services: Services) -> None:
    """Drop events that were consumed longer ago than their retention."""
    before = services.clock() - int(services.rules.event_retention * SECOND)
    while True:
        if services.db.transact(lambda connection: outbox.retire(connection, before, _BATCH * 10)) < _BATCH * 10:
            return


def retire_audit(services: Services) -> None:
    """Drop entries of the audit log that are older than the retention of their kind."""
    now = services.clock()
    rules = services.rules
    for outcome, retention in ((DONE, rules.audit_retention), (REFUSED, rules.refusal_retention)):
        before = now - int(retention * SECOND)
        while _retire(services, outcome, before) == _BATCH * 10:
            pass


def retire_checks(services: Services) -> None:
    """Drop entries of histories of locations that are older than their retention."""
    before = services.clock() - int(services.rules.verification.history_retention * SECOND)
    while (
        services.db.transact(lambda connection: check_history.drop_old_checks(connection, before, _BATCH * 10))
        == _BATCH * 10
    ):
        pass


def retire_jobs(services: Services) -> None:
    """Drop jobs that ended longer ago than their retention."""
    before = services.clock() - int(services.rules.jobs.retention * SECOND)
    while services.db.transact(lambda connection: jobs.retire(connection, before, _BATCH * 10)) == _BATCH * 10:
        pass


def _retire(services: Services, outcome: str, before: int) -> int:
    return services.db.transact(lambda connection: audit_rows.retire(connection, outcome, before, _BATCH * 10))


def expire_subscriptions(services: Services) -> None:
    """Give up targets that have not confirmed in time."""
    last = ""
    while True:
        with services.db.read() as connection:
            late = subscription_rows.expired(connection, services.clock(), _BATCH, last)
        for subscription_id in late:
            last = subscription_id
            with _passed_over(services, subscription=subscription_id):
                expire(services, subscription_id)
        if len(late) < _BATCH:
            return


def retire_deliveries(services: Services) -> None:
    """Drop messages to subscribers that were finished longer ago than the retention of the log."""
    before = services.clock() - int(services.rules.subscriptions.log_retention * SECOND)
    while services.db.transact(lambda connection: deliveries.retire(connection, before, _BATCH)) == _BATCH:
        pass
