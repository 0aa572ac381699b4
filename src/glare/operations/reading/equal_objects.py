"""Several objects of stores that should be the same content, read as one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from glare.errors import ClientDisconnected, GlareError
from glare.operations import damage
from glare.operations.reading.checked_object import CheckedObject

if TYPE_CHECKING:
    from glare.operations.services import Services


class EqualObjects:
    """Checked blocks from the first of the `objects` that delivers each. Whoever has delivered is asked first for the
    next one. `path` names the blob for people.

    What does not deliver is reported, and marked where that is certain: a block that is not what was recorded of it is
    the fault of its object where another one has the block as it was recorded. Where none has, each is read whole:
    it may be the record that is wrong, which is then put right.
    """

    def __init__(self, services: Services, path: str, objects: Iterable[CheckedObject]) -> None:
        self._services = services
        self._path = path
        self._objects = deque(objects)

    def block(self, number: int, more: Callable[[], list[CheckedObject]] = list) -> bytes | GlareError:
        """The block, or the error of the first object that was asked. `more` gives others, once those at hand have
        failed.
        """
        failures: list[tuple[CheckedObject, GlareError]] = []
        untried = deque(self._objects)
        while untried or (untried := self._joined(more())):
            one = untried.popleft()
            try:
                data = one.block(number)
            except ClientDisconnected:
                raise
            except GlareError as failed:
                one.close()
                # Without its traceback: an error that is kept holds its frames, which hold it, and with them the
                # reader's connection.
                failures.append((one, failed.with_traceback(None)))
            else:
                self._tell(failures, number, proven=True)
                self._objects.rotate(-self._objects.index(one))
                return data
        for at, (one, failure) in enumerate(failures):
            if not isinstance(failure, damage.Doubtful):
                continue
            try:
                data = one.settled(number)
            except ClientDisconnected:
                raise
            except GlareError as failed:
                one.close()
                failures[at] = (one, failed.with_traceback(None))
            else:
                # Those that are left were judged by a record that was wrong; the next reader sees.
                self._tell([other for other in failures if other[0] is not one], number)
                self._objects.rotate(-self._objects.index(one))
                return data
        self._tell(failures, number)
        return failures[0][1] if failures else damage.not_as_recorded(self._path)

    def first(self) -> CheckedObject:
        """The one that is asked first."""
        return self._objects[0]

    def close(self) -> None:
        """Let go of what is open."""
        for one in self._objects:
            one.close()

    def _joined(self, others: list[CheckedObject]) -> deque[CheckedObject]:
        known = {one.location for one in self._objects}
        new = [other for other in others if other.location not in known]
        self._objects.extend(new)
        return deque(new)

    def _tell(self, failures: Iterable[tuple[CheckedObject, GlareError]], number: int, *, proven: bool = False) -> None:
        for one, failed in failures:
            certain = damage.not_as_recorded(self._path) if proven and isinstance(failed, damage.Doubtful) else failed
            damage.seen(self._services, one.location, certain, f"block {number}: {certain.message}")
