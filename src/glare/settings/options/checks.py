"""Options of checks that external locations still serve what was recorded."""

from __future__ import annotations

from glare.settings.declare import (
    Section,
    integer,
    seconds,
    section,
    size_or_unlimited,
    urls,
)
from glare.settings.units import DAY


@section("verification")
class VerificationSettings(Section):
    """Checks of external locations after they were recorded. Any number of processes shares the work."""

    workers: int = integer(
        "4",
        "Checks of locations of each process with background work that are at work at the same time; 0 leaves them "
        "to other processes. Those that wait for a slow origin do not count.",
        at_least=0,
        at_most=256,
    )
    max_workers: int = integer(
        "256",
        "Checks of locations of each process under way together, slow ones included. Each has a thread, which costs "
        "about 200 KB while it waits.",
        at_least=1,
        at_most=4096,
    )
    project_workers: int = integer(
        "8",
        "Checks of locations of one project under way in each process, slow ones included.",
        at_least=1,
        at_most=4096,
    )
    slow_after: float = seconds(
        "0.25 s",
        "A check that has waited for its origin for nearly this long gives its place among `workers` to the next.",
        at_least=0.01,
        at_most=3600,
    )
    poll_interval: float = seconds("1 s", "Pause between two looks for a host that is due.", at_least=0.1, at_most=3600)
    check_interval: float = seconds(
        "6 h", "Time between two checks of a location, most of them cheap ones.", at_least=1, at_most=365 * DAY
    )
    full_interval: float = seconds(
        "30 d", "Time between two downloads of a whole location to prove it again.", at_least=1, at_most=3650 * DAY
    )
    daily_bytes: int = size_or_unlimited(
        "1 TiB",
        "Bytes that full checks may read in a day (UTC), on all nodes together. Beyond it cheap checks go on, and "
        "full ones that a cheap one has hinted at, unless hints at this location were wrong lately.",
    )
    spot_blocks: int = integer(
        "4",
        "Blocks of 1 MiB that a spot check reads; a location of no more than that is always read whole.",
        at_least=1,
        at_most=1024,
    )
    spot_percent: int = integer(
        "50",
        "How many of a hundred cheap checks read blocks, which no validator can lie about; the others compare "
        "validators and length.",
        at_least=0,
        at_most=100,
    )
    failures: int = integer("3", "Failed checks in a row that make a location unreachable.", at_least=2, at_most=100)
    retry_first: float = seconds(
        "5 min", "Time until the check after a failed one; doubled with each further failure.", at_least=1, at_most=DAY
    )
    retry_most: float = seconds(
        "1 d",
        "Longest time between checks of a failing location, and the most that its Retry-After is obeyed.",
        at_least=1,
        at_most=365 * DAY,
    )
    quarantine_interval: float = seconds(
        "6 h", "Time between checks of a location that has changed.", at_least=1, at_most=365 * DAY
    )
    recovery_gap: float = seconds(
        "1 h",
        "Time that must lie between the two equal full checks which make a location good again.",
        at_least=1,
        at_most=365 * DAY,
    )
    host_interval: float = seconds(
        "1 s", "Least time between two checks of one host, on all nodes together.", at_least=0, at_most=DAY
    )
    host_turn: float = seconds(
        "10 s",
        "How long a check has its host for itself. One that reads a body for longer goes on beside the next "
        "ones: one "
        "of each project, and `[locations] host_concurrency` of all together. While these are under way other whole "
        "downloads there wait, and cheap checks go on.",
        at_least=0,
        at_most=3600,
    )
    hint_interval: float = seconds(
        "5 min",
        "A download that failed has its location checked whole, unless it was proven this recently. The time doubles "
        "with each hint at a change, by a reader or by a cheap check, that a full check has shown to be wrong: "
        "nobody may make Glare download it again and again.",
        at_least=0,
        at_most=365 * DAY,
    )
    host_retry_most: float = seconds(
        "1 h",
        "Longest time between checks of a host to which no connection could be made, whichever of its locations was "
        "asked for: `retry_first`, doubled with each further failure. Where it takes a request and never "
        "answers, only "
        "locations of the same project wait. What somebody asks for is checked at once.",
        at_least=1,
        at_most=DAY,
    )
    busy_most: float = seconds(
        "1 min",
        "How long the other locations of a project at a host wait at most when one of them is answered that the host "
        "is busy (429, 503). That one waits as long as its host asks, up to `retry_most`.",
        at_least=0,
        at_most=DAY,
    )
    beacons: tuple[str, ...] = urls(
        "",
        "URLs of your choice that answer whenever this service can reach the world, in networks that have nothing to "
        "do with one another; https, so that no portal can answer for them. When a check finds something bad they "
        "are asked, at most once in `beacon_interval`: where fewer than half answer it is an outage of ours, and no "
        "location changes its state. They decide alone; without them hosts that fail together do.",
        at_most=16,
    )
    beacon_interval: float = seconds("1 min", "How long the beacons' answers count.", at_least=1, at_most=3600)
    outage_hosts: int = integer(
        "3",
        "Without beacons: this many unrelated hosts that fail together are an outage of ours, and no location "
        "changes "
        "its state. Those of one network (/24, of IPv6 /64) or one domain count as one.",
        at_least=2,
        at_most=1000,
    )
    outage_projects: int = integer(
        "3",
        "The hosts must have locations of this many projects, or of all that were checked in the window if those "
        "are fewer, so that no project can hold up the states of others.",
        at_least=1,
        at_most=1000,
    )
    outage_patience: float = seconds(
        "2 h",
        "How long a finding waits for the end of an outage that failing hosts have shown; then it counts. An "
        "outage that beacons have shown has no such limit.",
        at_least=60,
        at_most=7 * DAY,
    )
    outage_percent: int = integer(
        "60", "Percentage of the hosts checked within the window that must have failed.", at_least=1, at_most=100
    )
    outage_window: float = seconds("15 min", "Window within which failures count as together.", at_least=1, at_most=DAY)
    stale_after: float = seconds(
        "90 d",
        "Age at which a proof is called stale, and its subscribers are notified.",
        at_least=1,
        at_most=3650 * DAY,
    )
    history_retention: float = seconds(
        "365 d",
        "How long the outcomes of checks are kept; the sweep removes older ones.",
        at_least=60,
        at_most=3650 * DAY,
    )
