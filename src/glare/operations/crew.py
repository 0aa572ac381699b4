"""Threads for work that mostly waits for origins: jobs and checks. Whoever waits takes no place from who works.

Work is *quick* while its thread uses the processor, and *slow* when it has hardly done so for a while: its origin
drips, or says nothing. Few are quick at the same time, and many more may be slow, each of which costs a thread that
sleeps. A project has a bound for both together. Turns are given by the time that projects have had threads for, and not
by how often: the next piece of work is of one that has had none lately, else of one that has had no more than the
average, else of any. So the projects of slow origins wait for themselves, and nobody else does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from glare.context import on_behalf_of

_log = logging.getLogger(__name__)

_IDLE: Final = 0.05  # Whose thread uses less of its time than this is slow.
_HALF_LIFE: Final = 60.0  # Seconds after which half of the time that a project has had counts no more.
_FORGOTTEN: Final = 0.01  # Seconds that are too few to be remembered.
_MOST_REMEMBERED: Final = 1000
_MOST_NAMED: Final = 100  # Projects that a claim leaves out, of those that have had time.


@dataclass(frozen=True, slots=True)
class CrewBounds:
    """How much is under way: `places` that are quick, `most` in all, `of_project` of one project. `slow_after` is in
    seconds.
    """

    places: int
    most: int
    of_project: int
    slow_after: float


@dataclass(frozen=True, slots=True)
class Task:
    """Work that was claimed for a project ("" for nobody's)."""

    project: str
    run: Callable[[], None]


Claim = Callable[[frozenset[str], frozenset[str]], Task | None]
"""Takes the projects that may have nothing more, and those that come after all others, and claims the next piece of
work."""


@dataclass(slots=True, eq=False)
class Member:
    """One that is at work: since when it is looked at, what processor time its thread had used then, and when it
    began.
    """

    project: str
    since: float
    begun: float
    used: float = 0.0
    slow: bool = False
    clock: int | None = None


def processor_seconds(member: Member) -> float:
    """What the member's thread has used of a processor. A thread that has not begun, or has ended, has used none."""
    try:
        return 0.0 if member.clock is None else time.clock_gettime(member.clock)
    except OSError:
        return 0.0


class _TimeUsed:
    """For how many seconds each project has had threads, of late: what is long ago counts less and less."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # Seconds, and when that was; the last one last.

    def add(self, project: str, seconds: float, now: float) -> None:
        """It has had a thread for so long."""
        self._of[project] = self._left(project, now) + seconds, now
        self._of.move_to_end(project)
        while len(self._of) > _MOST_REMEMBERED:
            self._of.popitem(last=False)

    def lately(self, now: float) -> dict[str, float]:
        """The projects of which there is something to remember."""
        for project in [known for known in self._of if self._left(known, now) < _FORGOTTEN]:
            del self._of[project]
        return {project: self._left(project, now) for project in self._of}

    def _left(self, project: str, now: float) -> float:
        seconds, at = self._of.get(project, (0.0, now))
        return float(seconds * 0.5 ** (max(0.0, now - at) / _HALF_LIFE))


class Crew:
    """Does claimed work in threads of its own, within `bounds`. `run` is called by one thread; the rest is safe for
    all.

    `used` tells the processor time of a member in seconds; where the system cannot tell it, all that lasts is slow.
    """

    def __init__(
        self,
        name: str,
        bounds: CrewBounds,
        *,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[Member], float] = processor_seconds,
    ) -> None:
        self.bounds = bounds
        self.name = name
        self._clock = clock
        self._used = used
        self._changed = threading.Condition()
        self._members: dict[Member, threading.Thread] = {}
        self._time = _TimeUsed()
        self._stopping = False

    @property
    def under_way(self) -> tuple[int, int]:
        """How many are quick, and how many are slow."""
        with self._changed:
            slow = sum(member.slow for member in self._members)
            return len(self._members) - slow, slow

    def run(self, claim: Claim, period: float) -> None:
        """Claim and begin work until `stop`; without any it looks again after `period` seconds, and whenever something
        has ended.
        """
        while not self._stopping:
            try:
                begun = self.begin(claim)
            except Exception:  # noqa: BLE001 - one failed round must not end the background work
                _log.exception("background work failed", extra={"job": self.name})
                begun = False
            if not begun:
                self._wait(period)

    def begin(self, claim: Claim) -> bool:
        """Claim one piece of work and begin it, where there is a place; False where there is none, or nothing to do."""
        if not self._has_place():
            return False
        full, ahead, lately = self._projects()
        task = claim(full | ahead, lately)
        if task is None and ahead:
            task = claim(full, frozenset())
        if task is None:
            return False
        now = self._clock()
        member = Member(task.project, now, now)
        thread = threading.Thread(target=self._work, args=(member, task), name=self.name, daemon=True)
        with self._changed:
            self._members[member] = thread
        try:
            thread.start()
        except RuntimeError:  # There are no threads left. Nobody else has claimed it, so it is done here.
            self._work(member, task)
        return True

    def stop(self) -> None:
        """Begin nothing more, and return when what is under way has ended, which its cancellation sees to."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            threads = list(self._members.values())
        for thread in threads:
            if thread.ident is not None:
                thread.join()

    def _work(self, member: Member, task: Task) -> None:
        if hasattr(time, "pthread_getcpuclockid"):
            member.clock = time.pthread_getcpuclockid(threading.get_ident())
        try:
            with on_behalf_of(task.project):
                task.run()
        except Exception:  # noqa: BLE001 - what is under way beside it goes on
            _log.exception("background work failed", extra={"job": self.name})
        finally:
            with self._changed:
                del self._members[member]
                now = self._clock()
                self._time.add(member.project, now - member.begun, now)
                self._changed.notify_all()

    def _projects(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """The projects that may have nothing more; those that have had more time than the average of those that have
        had some; and all of these.
        """
        with self._changed:
            now = self._clock()
            counted = Counter(member.project for member in self._members)
            used = self._time.lately(now)
            for member in self._members:
                used[member.project] = used.get(member.project, 0.0) + max(0.0, now - member.begun)
        full = frozenset(project for project, count in counted.items() if count >= self.bounds.of_project)
        most = dict(sorted(used.items(), key=lambda one: one[1], reverse=True)[:_MOST_NAMED])
        average = sum(used.values()) / len(used) if used else 0.0
        ahead = frozenset(project for project, seconds in most.items() if seconds > average)
        return full, ahead, frozenset(most) | frozenset(counted)

    def _has_place(self) -> bool:
        with self._changed:
            now = self._clock()
            for member in self._members:
                self._judge(member, now)
            quick = sum(not member.slow for member in self._members)
            return not self._stopping and quick < self.bounds.places and len(self._members) < self.bounds.most

    def _judge(self, member: Member, now: float) -> None:
        """Whether a member was slow, once it was looked at for long enough."""
        seconds = now - member.since
        if seconds < self.bounds.slow_after:
            return
        used = self._used(member)
        member.slow = used - member.used < _IDLE * seconds
        member.since, member.used = now, used

    def _wait(self, period: float) -> None:
        """Until something has ended, or may have become slow where that would give a place, or the time has come to
        look again.
        """
        with self._changed:
            if self._stopping:
                return
            quick = sum(not member.slow for member in self._members)
            full = quick >= self.bounds.places
            self._changed.wait(min(period, self.bounds.slow_after) if full else period)
