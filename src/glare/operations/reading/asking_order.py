"""Whom a download asks next for the bytes that are left, and who gets another chance."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from glare.domain.blob import Blob, External
from glare.errors import Blocked, Cause, GlareError, LocationRefused, OriginFailed

if TYPE_CHECKING:
    from glare.egress.client import EgressClient

_SLOW: Final = frozenset({Cause.CONNECT, Cause.TIMEOUT})
_OUT_OF_REACH: Final = frozenset({Cause.DNS, Cause.POLICY, Cause.CONNECT, Cause.TIMEOUT, Cause.TLS})
_PASSING: Final = frozenset({Cause.CONNECT, Cause.TIMEOUT, Cause.TLS, Cause.INCOMPLETE, Cause.STATUS})


@dataclass(frozen=True, slots=True)
class Turn:
    """A candidate whose turn it is. `hurried` where others wait: then it has less time for a first sign of life."""

    blob: Blob
    hurried: bool


class AskingOrder:
    """The candidates of one download: in their order, but what has failed lately last, and then those again whose
    failure may pass.

    A candidate that has delivered since it was asked may go on as often as `[locations] resumptions` says; one that has
    not is asked once more.
    """

    def __init__(self, egress: EgressClient, candidates: Sequence[Blob]) -> None:
        self._egress = egress
        self._most = egress.settings.resumptions
        self._fresh = deque(egress.lately.ordered(candidates, self._keys))
        self._again: deque[Blob] = deque()
        self._delivered: set[int] = set()  # By identity: a blob stands for a candidate.
        self._retried: set[int] = set()
        self._from_start: frozenset[int] = frozenset()
        self._resumed: Counter[int] = Counter()

    def next(self) -> Turn | None:
        """The next candidate; None where nobody is left."""
        if self._fresh:
            blob = self._fresh.popleft()
            return Turn(blob, bool(self._fresh or self._again))
        return Turn(self._again.popleft(), hurried=False) if self._again else None

    def delivered(self, blob: Blob) -> None:
        """It has delivered a right block."""
        if id(blob) in self._delivered:
            return
        self._delivered.add(id(blob))
        for key in self._keys(blob):
            self._egress.lately.worked(key)

    def failed(self, turn: Turn, error: GlareError, *, elsewhere: bool, whole: bool) -> None:
        """It does not go on. `elsewhere` where a redirect led to who failed, `whole` where it delivers from the
        beginning only.
        """
        blob, key = turn.blob, id(turn.blob)
        cause = error.cause if isinstance(error, (OriginFailed, LocationRefused)) else None
        if cause is None or cause is Cause.BUSY or isinstance(error, Blocked):
            return
        self._remember(blob, cause)
        if turn.hurried and cause in _SLOW:
            self._again.append(blob)
            return
        if not isinstance(error, OriginFailed) or not (cause in _PASSING or elsewhere):
            return
        if not self._may_go_on(key, whole=whole):
            return
        self._retried.add(key)
        self._delivered.discard(key)
        self._again.append(blob)

    def _may_go_on(self, key: int, *, whole: bool) -> bool:
        if whole:  # It costs as much again as what was read.
            again, self._from_start = key not in self._from_start, self._from_start | {key}
            return again
        if key in self._delivered:
            self._resumed[key] += 1
            return self._resumed[key] <= self._most
        return key not in self._retried

    def _remember(self, blob: Blob, cause: Cause) -> None:
        for key in self._keys(blob, host=cause in _OUT_OF_REACH):
            self._egress.lately.failed(key)

    def _keys(self, blob: Blob, *, host: bool = True) -> Iterable[Hashable]:
        location = blob.location
        if not isinstance(location, External):
            return
        yield ("location", location.id)
        if host:
            try:
                url = self._egress.parse(location.url)
            except LocationRefused:  # Its turn tells so; the others have theirs.
                return
            yield ("host", url.host, url.port)
