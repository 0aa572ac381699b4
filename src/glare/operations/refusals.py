"""Refused requests on their way into the audit log: beside the answers, in a transaction of their own, and never too
many.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Final

from glare.context import PARTY
from glare.db import audit as audit_rows
from glare.domain.actor import Actor
from glare.domain.audit import REFUSED, AuditEntry
from glare.domain.moment import MINUTE
from glare.operations.services import Services
from glare.shares import Party

_log = logging.getLogger(__name__)

DROPPED: Final = "refusals_not_recorded"
"""The action of the row that counts what was too much in a minute."""

_ACTION: Final = 64  # As long as the column.
_WRITE_EVERY: Final = 0.5
_SHARE: Final = 4  # One party has a quarter of a minute's rows, so that it cannot hide the others.


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who was refused what, and with which error; the type and the artifact where the request named one."""

    actor: Actor
    action: str
    request_id: str
    code: str
    message: str
    type_name: str | None = None
    artifact_id: str | None = None


class Refusals:
    """Takes refusals at once, and lets a thread write them.

    `per_minute` bounds what this process records; what is more is counted, and the count is one row when the minute is
    over. A process that is killed loses the refusals of its last moment.
    """

    def __init__(self, services: Services, per_minute: int) -> None:
        self._services = services
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._waiting: list[AuditEntry] = []
        self._minute = 0
        self._taken: Counter[Party] = Counter()
        self._dropped = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        self._stopping.set()
        self._thread.join()
        self.write(closing=True)

    def take(self, refusal: Refusal) -> None:
        """Remember a refusal. It costs a moment of a lock, and no I/O.

        What counts against its bound is the party that this thread works for: to have many users, or many addresses of
        a network, hides nobody.
        """
        now, party = self._services.clock(), PARTY.get()
        with self._lock:
            self._turn(now)
            if self._taken.total() >= self._per_minute or self._taken[party] >= self._per_minute // _SHARE:
                self._dropped += 1
                self._services.metrics.refusals_dropped(1)
                return
            self._taken[party] += 1
            self._waiting.append(
                AuditEntry(
                    occurred_at=now,
                    action=refusal.action[:_ACTION],
                    actor=refusal.actor,
                    outcome=REFUSED,
                    type_name=refusal.type_name,
                    artifact_id=refusal.artifact_id,
                    detail={"error": refusal.code, "message": refusal.message[:300]},
                    request_id=refusal.request_id,
                )
            )

    def write(self, *, closing: bool = False) -> None:
        """Write what waits now, and the count of a minute that is over (when `closing`, also of this one).

        The database's errors are logged and what was to be written is given up: a database that is down must not fill
        the memory.
        """
        with self._lock:
            self._turn(self._services.clock(), closing=closing)
            waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            self._services.db.transact(lambda connection: audit_rows.record(connection, waiting))
        except Exception:  # noqa: BLE001 - whatever keeps the rows out, the thread has to go on
            _log.exception("refused requests are not in the audit log", extra={"refusals": len(waiting)})

    def _turn(self, now: int, *, closing: bool = False) -> None:
        minute = now - now % MINUTE
        if minute == self._minute and not closing:
            return
        if self._dropped:
            self._waiting.append(
                AuditEntry(
                    occurred_at=now, action=DROPPED, actor=None, outcome=REFUSED, detail={"count": self._dropped}
                )
            )
        self._minute, self._dropped = minute, 0
        self._taken.clear()

    def _run(self) -> None:
        while not self._stopping.wait(_WRITE_EVERY):
            self.write()
