"""Options of work that is done later: jobs, and copies of external bytes into the store."""

from __future__ import annotations

from glare.settings.declare import (
    Section,
    choice,
    integer,
    seconds,
    section,
)
from glare.settings.options.content import PROMOTE_WHEN
from glare.settings.units import DAY


@section("jobs")
class JobsSettings(Section):
    """Work that outlives the request that asked for it: asynchronous recording, later measuring, promotion. Any number
    of processes shares it.
    """

    workers: int = integer(
        "4",
        "Jobs of each process with background work that are at work at the same time; 0 leaves them to other "
        "processes. Those that wait for a slow origin do not count.",
        at_least=0,
        at_most=256,
    )
    max_workers: int = integer(
        "256",
        "Jobs of each process under way together, slow ones included. Each has a thread, which costs about 200 KB "
        "while it waits.",
        at_least=1,
        at_most=4096,
    )
    project_workers: int = integer(
        "8", "Jobs of one project under way in each process, slow ones included.", at_least=1, at_most=4096
    )
    slow_after: float = seconds(
        "1 s",
        "A job that has waited for its origin for nearly this long gives its place among `workers` to the next.",
        at_least=0.01,
        at_most=3600,
    )
    poll_interval: float = seconds("1 s", "Pause between two looks for a job that is due.", at_least=0.1, at_most=3600)
    tries: int = integer(
        "5",
        "How often a job is begun before it fails for good, where its failure may pass, such as a server that does "
        "not answer.",
        at_least=1,
        at_most=1000,
    )
    retry_first: float = seconds(
        "30 s", "Time until a job is tried again; doubled with each further failure.", at_least=0.1, at_most=DAY
    )
    retry_most: float = seconds(
        "1 h",
        "Longest time until a job is tried again, and the most that the Retry-After of an origin is obeyed.",
        at_least=0.1,
        at_most=365 * DAY,
    )
    busy_wait: float = seconds(
        "5 s",
        "How long a job waits where its project or host has as much under way as `[locations]` allows, or its window "
        "is used up.",
        at_least=0.1,
        at_most=DAY,
    )
    project_jobs: int = integer(
        "1000", "Jobs of one project that have not ended; 429 beyond it.", at_least=1, at_most=10**6
    )
    retention: float = seconds(
        "30 d",
        "How long ended jobs are kept, and with them why a recording failed; the sweep removes older ones.",
        at_least=60,
        at_most=3650 * DAY,
    )


@section("promotion")
class PromotionSettings(Section):
    """Copying external blobs of active artifacts into a store without being asked for it. The owner's quota holds."""

    when: str = choice(
        "never",
        "`unreachable`: when another location of the same content has become unreachable or has changed, and this "
        "one is the last good one. `last_good`: whenever a location is the only good one of its content.",
        PROMOTE_WHEN,
    )
    interval: float = seconds("1 min", "Pause between two looks for locations to promote.", at_least=0.1, at_most=DAY)
    batch: int = integer("100", "Locations that one look goes through.", at_least=1, at_most=10000)
    retry: float = seconds(
        "1 d", "Time until a promotion that failed is tried again by itself.", at_least=1, at_most=365 * DAY
    )
