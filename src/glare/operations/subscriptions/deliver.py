"""Messages go to their targets: claim a queue, decide what the subscriber may see, send, write down what came of it.

A claim is a lease on one subscription, so the messages of one target go one after the other, and a dead one delays
nobody else. It ends with the process that has it, and then another one goes on: every message is sent at least once.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from glare.context import on_behalf_of, part_of
from glare.db import deliveries, outbox
from glare.db import subscriptions as rows
from glare.documents.subscriptions import CONFIRMATION, SUSPENDED, DeliveryState, SubscriptionState
from glare.domain.events import Event
from glare.domain.moment import SECOND
from glare.domain.subscription import Delivery, Subscription
from glare.egress.asked import Asked
from glare.egress.cancellation import Cancellation
from glare.errors import Cause, GlareError, LocationRefused, OriginFailed, OutboundBusy
from glare.events import cloudevents
from glare.events.webhooks import reason_of_status, signed_headers
from glare.operations import putting_off
from glare.operations.crew import Task
from glare.operations.services import Services
from glare.operations.subscriptions.access import noted
from glare.operations.subscriptions.confirmations import confirmed, fits
from glare.operations.subscriptions.messages import NOT_VISIBLE, data_of
from glare.spans import Kind
from glare.trace import kept

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 20
"""Messages that one claim sends at most: then it is the turn of another project."""

_CANDIDATES: Final = 10
_MARGIN: Final = 60.0
_AFTER_ERROR: Final = 60
_MOST_ANSWER: Final = 64 << 10
INTERNAL: Final = "internal"
"""The reason of a try that failed by a defect of this service."""

_WORDS: Final = {Cause.TLS: "tls", Cause.TIMEOUT: "timeout"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try. `reason` is None where it worked; `status` is that of the answer, where there was one."""

    reason: str | None
    status: int | None = None
    retry_after: str | None = None
    answer: Any = None
    message_dropped: bool = False


class Deliverer:
    """Sends what waits. Any number of threads, processes and nodes may do so at the same time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cancellation = Cancellation()
        seconds = 2 * services.rules.subscriptions.delivery_timeout + services.webhooks.settings.refusal_floor_seconds
        self._lease = int((seconds + _MARGIN) * SECOND)

    def stop(self) -> None:
        """Break off what is under way; it is sent again later."""
        self._cancellation.cancel()

    def run_once(self) -> int:
        """Claim one queue and send from it; returns how many queues there were to claim: 1 or 0."""
        task = self.claim(frozenset(), frozenset())
        if task is None:
            return 0
        task.run()
        return 1

    def claim(self, full: frozenset[str], present: frozenset[str]) -> Task | None:
        """Claim one queue, of a project that is not in `full`, and rather of one that is not in `present` (see
        `Crew`).
        """
        services = self._services
        now = services.clock()
        with services.db.look() as connection:
            due = rows.due(connection, now, _CANDIDATES, full, present)
        for subscription_id, project in due:
            worker = uuid.uuid4().hex
            if self._claim(subscription_id, worker, now):
                return Task(project, partial(self._serve, subscription_id, worker))
        return None

    def _claim(self, subscription_id: str, worker: str, now: int) -> bool:
        until = now + self._lease
        return self._services.db.transact(
            lambda connection: rows.claim(connection, subscription_id, worker, now, until)
        )

    def _serve(self, subscription_id: str, worker: str) -> None:
        """Send from a claimed queue until it is empty, its head has to wait, or others have waited long enough."""
        try:
            for _ in range(_AT_ONCE):
                if self._cancellation.cancelled or not self._send_next(subscription_id, worker):
                    break
        except OutboundBusy as busy:  # Nothing was sent, and the target is not to blame.
            later = {"next_at": self._services.clock() + (busy.retry_after or 1) * SECOND}
            self._services.db.transact(lambda connection: rows.change(connection, subscription_id, later))
        except Exception as error:  # noqa: BLE001 - it is ours, not the target's: the message waits, others go on
            later = {"next_at": self._services.clock() + _AFTER_ERROR * SECOND}
            putting_off.put_off(
                self._services,
                putting_off.MESSAGE,
                error,
                lambda connection: rows.change(connection, subscription_id, later),
                subscription=subscription_id,
            )
        self._services.db.transact(lambda connection: rows.release(connection, subscription_id, worker))

    def _send_next(self, subscription_id: str, worker: str) -> bool:
        """Send the head of the queue; whether there is more to do now."""
        services = self._services
        found = services.db.transact(lambda connection: self._look(connection, subscription_id, worker))
        if found is None:
            return False
        subscription, delivery = found
        with (
            part_of(kept(delivery.event.trace, subscription.project)),
            on_behalf_of(subscription.project),
            services.tracer.span("deliver", {"glare.event": delivery.event.type}, Kind.CLIENT) as span,
        ):
            outcome = self._outcome(subscription, delivery)
            if outcome is not None and outcome.reason is not None:
                span.fail(outcome.reason)
        if outcome is None:
            return False
        result = services.db.transact(lambda connection: _settle(services, connection, worker, delivery, outcome))
        if result is None:
            return False
        services.metrics.delivery_ended(result)
        return result != "retried"

    def _look(self, connection: Connection, subscription_id: str, worker: str) -> tuple[Subscription, Delivery] | None:
        """The subscription and the head of its queue; None where nothing is to be sent now."""
        services = self._services
        subscription = rows.fetch(connection, subscription_id, lock=True)
        if subscription is None or not subscription.is_live:
            return None
        if not rows.hold(connection, subscription_id, worker, services.clock() + self._lease):
            return None
        confirming = subscription.state is SubscriptionState.PENDING
        delivery = deliveries.head(connection, subscription_id, confirming=confirming)
        if delivery is None:
            rows.change(connection, subscription_id, {"next_at": None})
            return None
        return subscription, delivery

    def _outcome(self, subscription: Subscription, delivery: Delivery) -> Outcome | None:
        """What comes of sending a message, as far as the subscriber may read it; None where the service is stopping.

        A message that cannot be made or sent by a defect of ours is tried as often as one whose target fails, and given
        up like it.
        """
        services = self._services
        try:
            with services.db.read() as connection:
                data = data_of(services, connection, subscription, delivery.event)
            if data is NOT_VISIBLE:
                return Outcome("not_visible", message_dropped=True)
            return self._try(subscription, delivery, data)
        except GlareError:
            raise  # A key that is missing, or a database that is away: no message is at fault.
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, those behind it have their turn one day
            putting_off.report(services, putting_off.MESSAGE, error, subscription=subscription.id, delivery=delivery.id)
            return Outcome(INTERNAL)

    def _try(self, subscription: Subscription, delivery: Delivery, data: Any) -> Outcome | None:
        """Send one message; None where the service is stopping."""
        services = self._services
        now = services.clock()
        source = services.rules.subscriptions.source
        body = cloudevents.document(delivery.event_id, source, delivery.event, data, delivery.event_number)
        headers = signed_headers(delivery.id, now, body, _secrets(services, subscription, now))
        client = services.webhooks
        asking = delivery.event.type == CONFIRMATION
        try:
            url = client.parse(subscription.target)
            message = Asked("POST", headers, body, statuses=None, provable=True)
            with client.open(url, message, self._cancellation) as response:
                retry_after = response.headers.get("retry-after")
                well = 200 <= response.status < 300
                answer = _answered(response.read) if asking and well else None
                response.dismiss()
                reason = None if well else reason_of_status(response.status)
                return Outcome(reason, response.status, retry_after, answer)
        except (LocationRefused, OriginFailed) as error:
            return None if self._cancellation.cancelled else Outcome(_reason_of(error))


def _secrets(services: Services, subscription: Subscription, now: int) -> list[str]:
    """What the message is signed with: the secret, and for a while the one before."""
    sealed = [subscription.secret]
    if subscription.old_secret is not None and (subscription.old_secret_until or 0) > now:
        sealed.append(subscription.old_secret)
    return [services.secrets.open(one) for one in sealed]


def _answered(read: Any) -> Any:
    """The JSON of a short answer, None where it is none."""
    answer = bytearray()
    try:
        while data := read(_MOST_ANSWER):
            answer += data
            if len(answer) > _MOST_ANSWER:
                return None
        return msgspec.json.decode(answer)
    except (OriginFailed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _reason_of(error: LocationRefused | OriginFailed) -> str:
    """A word for the log. That a name does not exist, a forbidden address and a closed port are one, is on purpose."""
    if isinstance(error, LocationRefused):
        return "unreachable"
    return _WORDS.get(error.cause, "broken")


def _settle(
    services: Services, connection: Connection, worker: str, delivery: Delivery, outcome: Outcome
) -> str | None:
    """Write down what came of a try: delivered, retried, failed or dropped; None where the claim was lost, or the
    subscription is gone.
    """
    subscription = rows.fetch(connection, delivery.subscription_id, lock=True)
    if subscription is None or not rows.holds(connection, subscription.id, worker):
        return None
    now = services.clock()
    if outcome.message_dropped:
        ended = {"state": DeliveryState.DROPPED.value, "reason": outcome.reason, "finished_at": now}
        deliveries.change(connection, delivery.number, ended)
        _go_on(connection, subscription, now)
        return "dropped"
    first = delivery.first_tried_at if delivery.first_tried_at is not None else now
    tried = {
        "tries": delivery.tries + 1,
        "first_tried_at": first,
        "tried_at": now,
        "status": outcome.status,
        "reason": outcome.reason,
    }
    if outcome.reason is None:
        done = {"state": DeliveryState.DELIVERED.value, "finished_at": now}
        deliveries.change(connection, delivery.number, tried | done)
        rows.change(connection, subscription.id, {"failing_since": None, "delivered_at": now})
        if _confirms(services, subscription, delivery, outcome.answer):
            confirmed(services, connection, None, subscription)
        _go_on(connection, subscription, now)
        return "delivered"
    since = subscription.failing_since if subscription.failing_since is not None else now
    if outcome.reason != INTERNAL:  # Else the target has not failed.
        rows.change(connection, subscription.id, {"failing_since": since})
    rules = services.rules.subscriptions
    again = rules.retries.next_try(delivery.tries + 1, first, now, outcome.retry_after)
    gone = outcome.reason == "gone"
    if gone or again is None:
        tried |= {"state": DeliveryState.FAILED.value, "finished_at": now}
    deliveries.change(connection, delivery.number, tried)
    if gone or (now - since >= rules.suspend_after * SECOND and outcome.reason != INTERNAL):
        _suspend(services, connection, subscription, "gone" if gone else "failing")
        return "failed" if gone or again is None else "retried"
    if again is None:
        _go_on(connection, subscription, now)
        return "failed"
    rows.change(connection, subscription.id, {"next_at": again})
    return "retried"


def _go_on(connection: Connection, subscription: Subscription, now: int) -> None:
    """The next message has its turn."""
    rows.change(connection, subscription.id, {"next_at": now})


def _confirms(services: Services, subscription: Subscription, delivery: Delivery, answer: Any) -> bool:
    asked = delivery.event.type == CONFIRMATION and subscription.state is SubscriptionState.PENDING
    return asked and isinstance(answer, dict) and fits(services, subscription, answer.get("token"))


def _suspend(services: Services, connection: Connection, subscription: Subscription, reason: str) -> None:
    """The target gets nothing more until its owner says so; subscribers and operators are told."""
    changes = {"state": SubscriptionState.SUSPENDED, "reason": reason, "next_at": None}
    rows.change(connection, subscription.id, changes)
    now = services.clock()
    payload = {"subscription": {"id": subscription.id, "description": subscription.description, "reason": reason}}
    outbox.record(connection, [Event(SUSPENDED, subscription.project, None, None, payload, now)])
    noted(services, connection, None, "subscription.suspend", subscription, {"reason": reason})
    _log.warning("subscription suspended", extra={"subscription": subscription.id, "reason": reason})
