"""The turn of a check at a host: it has the host for itself for a while, and goes on beside the next ones where it
takes longer.

A host has one check at a time. So one whose body comes slowly, or is large, would keep the checks of everybody else
there waiting. After `[verification] host_turn` it takes a place among the long ones of its host, of which a project has
one, and gives up the lease.
"""

from __future__ import annotations

import time

from sqlalchemy import Connection

from glare.db import checks, leases, location_hosts
from glare.db.checks import Target
from glare.db.location_hosts import Turn, Waits
from glare.domain.moment import SECOND
from glare.operations.services import Services


class HostTurn:
    """The turn of the check `holder`, which has leased a host, of the location `location_id`.

    `left` is whether it has given up the host. Where it `must` be done it may last as long as others do; else there is
    a bound to those of a host. Used by one thread.
    """

    def __init__(self, services: Services, turn: Turn, holder: str, location_id: str) -> None:
        self._services = services
        self._turn = turn
        self._holder = holder
        self._location_id = location_id
        self._pause = services.rules.verification.host_turn
        self._until = time.monotonic() + self._pause
        self._away_until = 0
        self.must = False
        self.left = False

    def has_room(self, target: Target, *, must: bool) -> bool:
        """Whether a check of the whole `target` may begin, as it may last: what is small enough does not."""
        self.must = must
        if target.size <= self._services.egress.settings.minimum_rate * self._pause:
            return True
        with self._services.db.look() as connection:
            return self._is_room(connection)

    def look(self) -> None:
        """Give up the host, where the check has had it for long enough. Called between two pieces of a body."""
        if self.left or time.monotonic() < self._until:
            return
        self._until = time.monotonic() + self._pause  # Where it may not leave, it looks again then.
        settings = self._services.egress.settings
        longest = settings.header_seconds + settings.body_seconds + self._services.rules.attempt_timeout
        self._away_until = self._services.clock() + int(longest * SECOND)
        self.left = self._services.db.transact(self._leave, done=self._has_left)

    def end(self) -> None:
        """The check has ended after it left: its place is free, and its location back in line, whatever came of it."""
        self._services.db.transact(self._end)

    def _leave(self, connection: Connection) -> bool:
        if not self._is_room(connection):
            return False
        services, now = self._services, self._services.clock()
        leases.take(connection, self._holder, self._turn.project, leases.beside(self._turn.host), now)
        # Nobody else begins with it meanwhile. Where this process dies it is due again when it had to be over.
        checks.put_off(connection, self._location_id, self._away_until)
        pause = int(services.rules.verification.host_interval * SECOND)
        waits = Waits(lambda _: now + pause, lambda _: now)  # It has answered, so nobody has to wait for it.
        location_hosts.release_host(connection, self._holder, self._turn, now, waits)
        return True

    def _has_left(self, connection: Connection) -> bool | None:
        return leases.is_there(connection, self._holder) or None

    def _end(self, connection: Connection) -> None:
        now = self._services.clock()
        leases.release(connection, self._holder)
        check_at = checks.come_back(connection, self._location_id, self._away_until, now)
        if check_at is not None:
            location_hosts.schedule_host(connection, self._turn, check_at, now)

    def _is_room(self, connection: Connection) -> bool:
        """Whether there is a place for a long check of this project. Only who has leased the host takes one there."""
        services = self._services
        alive_since = services.clock() - int(services.rules.attempt_timeout * SECOND)
        projects = leases.projects_at(connection, leases.beside(self._turn.host), alive_since)
        most = services.rules.outbound.host_concurrency
        return self._turn.project not in projects and (self.must or len(projects) < most)
