"""Re-verification: lease a host that is due, check one of its locations, and store what came of it.

Any number of workers on any number of nodes may run it. One lease is one check, so nobody asks a host more often than
agreed.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import check_history, checks, counters, location_hosts
from glare.db.checks import Aged, Target
from glare.db.counters import UNLIMITED
from glare.db.rows import fetch_artifact
from glare.domain.artifact import Artifact
from glare.domain.blob import Blob, LocationState
from glare.domain.events import Event
from glare.domain.moment import DAY, SECOND
from glare.domain.verification import AT_ONCE, CheckKind, Finding, Outcome, Standing, after
from glare.egress.cancellation import Cancellation
from glare.errors import Blocked, Cause, OutboundBusy, Phase, Unavailable
from glare.operations import audit, putting_off
from glare.operations.locations.check import check
from glare.operations.locations.events import location_event
from glare.operations.locations.host_turn import HostTurn
from glare.operations.locations.outage import BAD, is_ours
from glare.operations.services import Services
from glare.operations.takedowns import lookup as takedowns
from glare.spans import Kind

_STALE_BATCH: Final = 100
_OWN: Final = ""
"""The project that the service's own checks are counted for."""


@dataclass(frozen=True, slots=True)
class ClaimedCheck:
    """A host that is leased, and which of its locations is due; None where none is any more."""

    holder: str
    host: str
    due: location_hosts.Due | None
    at: int


def claim_check(
    services: Services, full: frozenset[str] = frozenset(), present: frozenset[str] = frozenset()
) -> ClaimedCheck | None:
    """Claim the next check of a project that is not in `full`, and not in `present` where there is such a one; None
    where none is due.
    """
    holder = uuid.uuid4().hex
    now = services.clock()
    until = now + int(services.rules.attempt_timeout * SECOND)
    with services.db.look() as connection:
        if not location_hosts.any_host_due(connection, now):
            return None

    def claim(connection: Connection) -> tuple[str, location_hosts.Due | None] | None:
        host = location_hosts.lease_host(connection, holder, now, until, full, present)
        if host is None:
            return None
        for but in dict.fromkeys((full | present, full)):
            due = location_hosts.due_location(connection, host, now, but)
            if due is not None:
                return host, due
        return host, None

    found = services.db.transact(claim)
    return None if found is None else ClaimedCheck(holder, *found, now)


def do_check(services: Services, claimed: ClaimedCheck, cancellation: Cancellation) -> None:
    """Do a claimed check. One that is cancelled leaves everything as it was, and raises.

    It raises, too, what the database does. A check that ends with any other error is reported and comes again later.
    """
    finding: Finding | None = None
    turn: HostTurn | None = None
    try:
        with services.heartbeats.keep(claimed.holder):
            if claimed.due is not None:
                due = claimed.due
                turn = HostTurn(
                    services, location_hosts.Turn(claimed.host, due.project), claimed.holder, due.location_id
                )
                finding = _verify_due(services, due.location_id, claimed.at, cancellation, turn)
    finally:
        if turn is not None and turn.left:
            turn.end()
        else:
            services.db.transact(partial(_release, services, claimed, finding))


def _release(services: Services, claimed: ClaimedCheck, finding: Finding | None, connection: Connection) -> None:
    turn = location_hosts.Turn(claimed.host, "" if claimed.due is None else claimed.due.project)
    waits = location_hosts.Waits(partial(_host_waits, services), partial(_turn_waits, services, finding))
    location_hosts.release_host(connection, claimed.holder, turn, services.clock(), waits)


def verify_next(services: Services, cancellation: Cancellation) -> bool:
    """Claim and do one check, in this thread; False where none is due."""
    claimed = claim_check(services)
    if claimed is None:
        return False
    do_check(services, claimed, cancellation)
    return True


def _verify_due(
    services: Services, location_id: str, now: int, cancellation: Cancellation, turn: HostTurn
) -> Finding | None:
    """Check a location that is due; one whose check raises waits, so that it keeps nobody from the others of its
    host.
    """
    try:
        with services.db.look() as connection:
            target = checks.find(connection, location_id)
        if target is not None:
            kind = _kind(services, target, now, turn)
            if kind is not None:
                return verify(services, target, kind, cancellation, turn)
            rhythm = services.rules.verification.rhythm
            soon = services.clock() + rhythm.spread(rhythm.retry_first, services.chance())
            services.db.transact(lambda connection: checks.put_off(connection, location_id, soon))
    except Exception as error:
        if cancellation.cancelled:
            raise
        rhythm = services.rules.verification.rhythm

        def later(times: int) -> int:
            return services.clock() + putting_off.wait(rhythm.retry_first, rhythm.retry_most, times)

        putting_off.put_off(
            services,
            putting_off.CHECK,
            error,
            lambda connection: checks.postpone_after_fault(connection, location_id, later),
            location=location_id,
        )
    return None


def verify(
    services: Services,
    target: Target,
    kind: CheckKind,
    cancellation: Cancellation,
    turn: HostTurn | None = None,
) -> Finding | None:
    """Check one location now, and store what came of it; None where its artifact is gone, or a takedown forbids to
    ask. `turn` is that of who has leased the host.
    """
    with services.db.look() as connection:
        kept = checks.is_kept(connection, target.artifact_id)
        blocked = takedowns.closed(connection, sha256=target.sha256, url=target.url) is not None
    if not kept or target.size is None:  # What was never measured has a job of its own.
        services.db.transact(lambda connection: checks.stop_checking(connection, target.id))
        return None
    try:
        between = () if turn is None else (turn.look,)
        with services.tracer.span("check", {"glare.check": kind.value}, Kind.CLIENT) as span:
            finding = None if blocked else check(services, target, kind, cancellation, *between)
            if finding is not None:
                span.note({"glare.outcome": finding.outcome.value})
    except Blocked:  # By where a redirect leads.
        finding = None
    except OutboundBusy as busy:  # Nothing was asked, so nothing is known, and its turn comes soon.
        later = services.clock() + (busy.retry_after or 1) * SECOND
        services.db.transact(lambda connection: checks.put_off(connection, target.id, later))
        return None
    if finding is None:
        later = services.clock() + services.rules.verification.rhythm.check_interval
        services.db.transact(lambda connection: checks.postpone(connection, target.id, later))
        return None
    # Asked here, as a transaction must not wait for the network.
    cut_off = services.beacons.cut_off(cancellation) if finding.outcome in BAD else None
    services.db.transact(lambda connection: _record(services, connection, target, finding, cut_off))
    services.metrics.location_checked(finding.kind.value, finding.outcome.value)
    return finding


def tell_stale(services: Services) -> None:
    """Tell of proofs that have become too old."""
    before = services.clock() - int(services.rules.verification.stale_after * SECOND)
    place = (0, "")
    while True:
        with services.db.look() as connection:
            found = checks.find_stale(connection, before, _STALE_BATCH, place)
        for aged in found:
            place = (aged.proven_at, aged.id)
            try:
                services.db.transact(partial(_tell_stale, services, aged))
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - the others are told of all the same
                putting_off.report(services, putting_off.SWEEP, error, location=aged.id)
        if len(found) < _STALE_BATCH:
            return


def _tell_stale(services: Services, target: Aged, connection: Connection) -> None:
    now = services.clock()
    artifact_rows.lock(connection, target.artifact_id)
    if not checks.mark_stale_announced(connection, target.id, target.generation, now):
        return
    artifact = fetch_artifact(connection, target.artifact_id)
    if artifact is not None:
        audit.changed(connection, None, [location_event("location.stale", artifact, target.slot, now)])


def _kind(services: Services, target: Target, now: int, turn: HostTurn) -> CheckKind | None:
    """Which check is due. What is not well, or was asked for, or hinted at, gets a full one whatever the budget
    says; None where it has to wait for a long one of the same project.
    """
    standing = target.standing
    due = standing.full_at is None or standing.full_at <= now
    if standing.is_recovering or standing.state is not LocationState.VERIFIED or standing.full_at == AT_ONCE:
        return CheckKind.FULL if turn.has_room(target, must=True) else None
    if due and _within_budget(services, target.size, now) and turn.has_room(target, must=False):
        return CheckKind.FULL
    has_validators = target.etag is not None or target.last_modified is not None
    by_blocks = not has_validators or standing.refuted or services.chance() < services.rules.verification.spot_share
    return CheckKind.SPOT if by_blocks else CheckKind.CONDITIONAL


def _within_budget(services: Services, size: int, now: int) -> bool:
    budget = services.rules.verification.daily_bytes
    if budget == UNLIMITED:
        return True
    with services.db.look() as connection:
        _, used = counters.outbound_used(connection, _OWN, now - now % DAY)
    return used + size <= budget


def _record(services: Services, connection: Connection, target: Target, finding: Finding, cut_off: bool | None) -> None:
    """Decide what a finding means and store it, whoever has asked, unless the record has changed since it was read.

    `cut_off` is what the operator's beacons say, None where there are none.
    """
    now = services.clock()
    artifact_rows.lock(connection, target.artifact_id)
    _charge(services, connection, target, finding, now)
    current = checks.find(connection, target.id, lock=True)
    if current is None or current.generation != target.generation:
        return
    outage = (
        finding.outcome in BAD and cut_off
        if cut_off is not None
        else is_ours(services, connection, current, finding, now)
    )
    _judge_host(services, connection, current, finding, now, outage=outage)
    rhythm = services.rules.verification.rhythm
    step = after(current.standing, finding, now, rhythm, outage=outage, chance=services.chance())
    checks.store_standing(connection, current, finding, step.standing, now)
    check_history.record_check(connection, target.id, finding, step.standing.state, now)
    if step.event is not None:
        artifact = fetch_artifact(connection, target.artifact_id)
        if artifact is not None:
            audit.changed(
                connection,
                None,
                [
                    location_event(step.event, artifact, target.slot, now),
                    *_loss(artifact, target, current.standing, now),
                ],
                target=target.slot.path,
                detail={"location": target.id, "state": step.standing.state.value, "reason": step.standing.reason},
            )


def _charge(services: Services, connection: Connection, target: Target, finding: Finding, now: int) -> None:
    """Count the bytes of full checks for the budget of the day. Those that an owner asked for count for their project
    instead.

    The request was counted when it was asked for. A check is not broken off where it goes beyond what is left: the next
    one is refused.
    """
    if finding.kind is not CheckKind.FULL:
        return
    if target.asked:
        period = now - now % (services.rules.outbound.window * SECOND)
        counters.add_outbound(connection, target.project, period, size=finding.bytes)
        return
    counters.add_outbound(connection, _OWN, now - now % DAY, requests=1, size=finding.bytes)


def _judge_host(
    services: Services, connection: Connection, target: Target, finding: Finding, now: int, *, outage: bool
) -> None:
    """Note what a check says of the host. Only what was well before is a witness of an outage: what is bad for long
    says nothing new.

    Only where no connection was made to the host itself does it wait for all: whatever it answers, or does not, to one
    URL may be that project's wish, and so may be what a redirect leads to.
    """
    word: dict[str, Any] = {}
    contact = finding.contact
    here = contact is not None and contact.hop == 0
    answered = contact is not None and contact.network is not None
    if finding.outcome not in BAD:
        word["reached_at"] = now
        if contact is not None and contact.network is not None:
            word["network"] = contact.network
    elif target.standing.state is LocationState.VERIFIED and finding.outcome is Outcome.CHANGED:
        word["changed_at"] = now
    elif target.standing.state is LocationState.VERIFIED and here:
        word["failed_at"] = now
    failed = None
    if answered:
        failed = False
    elif contact is not None and contact.phase is Phase.CONNECT and not outage:
        failed = True
    silent = contact is not None and contact.phase is Phase.SILENCE and here and not answered
    location_hosts.record_word(connection, target.turn, word, failed=failed, silent=silent and not outage)


def _host_waits(services: Services, failures: int) -> int:
    """When a host may be asked again: soon, or after the back-off of one that was out of reach so many times in a
    row.
    """
    rules = services.rules.verification
    wait = int(rules.host_interval * SECOND)
    return services.clock() + max(wait, _backoff(services, failures))


def _turn_waits(services: Services, finding: Finding | None, failures: int) -> int:
    """When a project may have its next turn at a host: after the back-off of one that said nothing to it so many times
    in a row, or a while after an answer that it is busy.
    """
    wait = _backoff(services, failures)
    contact = None if finding is None else finding.contact
    if finding is not None and finding.reason == Cause.THROTTLED and contact is not None and contact.hop == 0:
        most = int(services.rules.verification.busy_most * SECOND)
        wait = max(wait, most if finding.retry_after is None else min(finding.retry_after, most))
    return services.clock() + wait


def _backoff(services: Services, failures: int) -> int:
    rules = services.rules.verification
    if not failures:
        return 0
    most = int(rules.host_retry_most * SECOND)
    return rules.rhythm.spread(putting_off.wait(rules.rhythm.retry_first, most, failures), services.chance())


def _loss(artifact: Artifact, target: Target, before: Standing, now: int) -> list[Event]:
    """The event that no good location of the content is left, where this transition has taken the last one."""
    if before.state is not LocationState.VERIFIED or any(
        _same(blob, target) for blob in artifact.blobs.values() if blob.good
    ):
        return []
    return [location_event("artifact.last_good_location_lost", artifact, target.slot, now)]


def _same(blob: Blob, target: Target) -> bool:
    return blob.slot.field == target.slot.field and blob.digests is not None and blob.digests.sha256 == target.sha256
