"""The lanes in which requests are worked on: so many threads each, given out fairly. What is costly has a lane of its
own.

A request waits for its place on the event loop, without a thread, a connection of the database or a copy of its body;
what is refused is answered there too. So threads never have a queue of their own, and what nobody waits for any more is
not begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from glare.shares import Bounds, Refused, Shares

SHORT: Final = "requests"
LISTS: Final = "lists"
IDENTITY: Final = "identity"
BODIES: Final = "bodies"
ANSWERS: Final = "answers"

BODY_UNIT: Final = 64 << 10
"""Bytes of a JSON document that count as one."""

ANSWER_UNIT: Final = 64 << 10
"""Bytes of an answer that count as one."""

_PROBE_THREADS: Final = 2  # One for each probe, so that neither waits for the other.
_LARGE_PAGE: Final = 100
_MANY_CONDITIONS: Final = 10


@dataclass(frozen=True, slots=True)
class Lane:
    """Places, and the threads of those who have one: never fewer than places."""

    shares: Shares
    threads: Executor


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """Bounds, each in all and for one party: threads, requests that may wait for one, bytes of JSON documents that
    come, and of large answers. Of `identity_threads` the party is a network: nobody is known yet. `patience` is in
    seconds.
    """

    threads: tuple[int, int]
    list_threads: tuple[int, int]
    identity_threads: tuple[int, int]
    waiting: tuple[int, int]
    body_bytes: tuple[int, int]
    answer_bytes: tuple[int, int]
    patience: float


@dataclass(frozen=True, slots=True)
class Lanes:
    """All of them. `short` decides and touches the database for a moment, `lists` reads as much as somebody asks for.
    `identity` waits for who can tell who is calling.

    `probes` are threads without places: whoever asks there is an operator, and one question is answered for all who
    have it. `bodies` shares out the memory for JSON documents of requests, in units of `BODY_UNIT` bytes, `answers`
    that for large answers, in units of `ANSWER_UNIT`.
    """

    short: Lane
    lists: Lane
    identity: Lane
    probes: Executor
    bodies: Shares
    answers: Shares

    @classmethod
    def of(cls, settings: LaneSettings, refused: Refused) -> Lanes:
        """Lanes with these bounds; refusals are reported to `refused`."""

        def lane(name: str, threads: tuple[int, int]) -> Lane:
            together, of_party = threads
            bounds = Bounds(together, min(of_party, together), *settings.waiting, settings.patience)
            return Lane(
                Shares(name, bounds, what="requests", refused=refused), ThreadPoolExecutor(together, f"glare-{name}")
            )

        return cls(
            lane(SHORT, settings.threads),
            lane(LISTS, settings.list_threads),
            lane(IDENTITY, settings.identity_threads),
            ThreadPoolExecutor(_PROBE_THREADS, "glare-probes"),
            Shares(BODIES, _in_units(settings.body_bytes, BODY_UNIT, settings), what="request bodies", refused=refused),
            Shares(
                ANSWERS, _in_units(settings.answer_bytes, ANSWER_UNIT, settings), what="large answers", refused=refused
            ),
        )

    @property
    def shares(self) -> tuple[Shares, ...]:
        """What is given out here."""
        return self.short.shares, self.lists.shares, self.identity.shares, self.bodies, self.answers

    def close(self) -> None:
        """End the threads, and what waits for one."""
        for threads in (self.short.threads, self.lists.threads, self.identity.threads, self.probes):
            threads.shutdown(wait=False, cancel_futures=True)


def _in_units(sizes: tuple[int, int], unit: int, settings: LaneSettings) -> Bounds:
    together, of_party = (max(1, size // unit) for size in sizes)
    return Bounds(together, min(of_party, together), *settings.waiting, settings.patience)


def weight_of_list(pairs: Sequence[tuple[str, str]], default_limit: int) -> int:
    """What a list costs, seen from its query alone: 1, and 2 where it asks for a large page or has many conditions.

    It need not be exact: what a list has really cost is counted when it is over.
    """
    limit, conditions = default_limit, 0
    for name, value in pairs:
        if name == "limit":
            limit = int(value[:9]) if value.isascii() and value.isdigit() else 0  # Refused later, which costs little.
        elif name not in ("sort", "marker"):
            conditions += 1 + value.count(",")
    return 2 if limit > _LARGE_PAGE or conditions > _MANY_CONDITIONS else 1
