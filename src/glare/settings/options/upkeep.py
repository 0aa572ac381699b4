"""Options of what keeps stored bytes right, and removes what nobody needs."""

from __future__ import annotations

from glare.settings.declare import (
    Section,
    flag,
    integer,
    seconds,
    section,
    size,
)
from glare.settings.units import DAY


@section("fsck")
class FsckSettings(Section):
    """`glare-server fsck`: reading stored bytes again, to see whether they are still those that were recorded."""

    rate: int = size(
        "64 MiB",
        "Bytes a second that a check reads at most, so that it does not slow the service; 0 is no limit. A TiB takes "
        "about 4.6 hours.",
        at_least=0,
        at_most=2**53,
    )
    orphan_age: float = seconds(
        "1 h",
        "Objects of a store that no record knows are reported once they are this old; younger ones may belong to "
        "an upload.",
        at_least=0,
        at_most=DAY,
    )


@section("patrol")
class PatrolSettings(Section):
    """Reading all stored bytes again in the background, as `glare-server fsck` does: what is wrong is marked, reported,
    and repaired from an equal stored blob.

    One object of a store is read at a time, over all nodes.
    """

    interval: float = seconds(
        "30 d",
        "Time from the beginning of one round through a store to that of the next; a round that takes longer is "
        "followed by the next one at once. 0 turns it off: then run `glare-server fsck` from time to time.",
        at_least=0,
        at_most=3650 * DAY,
    )
    rate: int = size(
        "8 MiB",
        "Bytes a second that are read of a store at most, repairs included, so that disks serve others; 0 is no "
        "limit. A TiB takes 36 hours.",
        at_least=0,
        at_most=2**53,
    )
    poll_interval: float = seconds(
        "60 s",
        "How often a process with background work looks whether a round is due, or was left by a node that died.",
        at_least=0.05,
        at_most=DAY,
    )


@section("moving")
class MovingSettings(Section):
    """`glare-server stores move` and `drain`: moving blobs from one store to another, beside the service."""

    rate: int = size(
        "64 MiB",
        "Bytes a second that a move reads at most, so that it does not slow the service; 0 is no limit. A TiB takes "
        "about 4.6 hours.",
        at_least=0,
        at_most=2**53,
    )
    parallel: int = integer(
        "4", "Blobs that one command has on their way at the same time. Small ones gain most.", at_least=1, at_most=64
    )


@section("scrubber")
class ScrubberSettings(Section):
    """The sweep: delayed deletions, dead uploads, objects without an owner."""

    scrub_time: float = seconds(
        "0 s",
        "How long the data of a deleted artifact stays when its deletion is delayed; 0 removes it at the next sweep.",
        at_least=0,
        at_most=3650 * DAY,
    )
    scrub_pool_size: int = integer(
        "1", "Deleted artifacts that a sweep removes at the same time.", at_least=1, at_most=64
    )
    wakeup_time: float = seconds(
        "300 s",
        "Time between two sweeps, and between two rounds of `glare-server scrub --daemon`.",
        at_least=1,
        at_most=DAY,
    )
    daemon: bool = flag(
        "false", "Whether `glare-server scrub` goes on until it is stopped, as with `--daemon`, rather than work once."
    )
