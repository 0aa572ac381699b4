"""`glare-server fsck`: whether stored bytes are still those that were recorded."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from glare.cli.configuration import read_settings
from glare.cli.database import require_migrated
from glare.cli.logs import announce, configure_logging
from glare.cli.stopping import stopped_by_signals
from glare.cli.tables import amount
from glare.domain.wording import counted
from glare.settings import check_machine

if TYPE_CHECKING:
    from glare.operations.upkeep.fsck import Finding, Progress, Summary

_REPORTED: Final = (
    ("missing", "missing"),
    ("differs", "different"),
    ("unreadable", "unreadable"),
    ("recovered", "recovered"),
    ("orphan", "without a blob"),
    ("removed", "removed"),
)
"""What is counted, and what a person calls it."""


def fsck(args: Namespace) -> int:
    """`glare-server fsck`. 1 where something is wrong, or the check was stopped before its end."""
    overrides = {("fsck", "rate"): args.rate} if args.rate is not None else {}
    settings = read_settings(args, overrides)
    check_machine(settings)
    configure_logging(settings)
    require_migrated(settings)
    from glare.app import open_stores, run_fsck
    from glare.operations.upkeep.fsck import Options

    def progress(now: Progress) -> None:
        announce(settings, _progress(now))

    open_stores(settings)
    options = Options(
        settings.fsck.rate, settings.fsck.orphan_age, restart=args.restart, remove_orphans=args.remove_orphans
    )
    with _printed(as_json=args.output == "json") as found:
        summary = run_fsck(settings, stopped_by_signals(), options, args.store, found, progress)
    announce(settings, _sentence(summary))
    return 0 if summary.sound else 1


@contextmanager
def _printed(*, as_json: bool) -> Iterator[Callable[[Finding], None]]:
    """Prints each finding as soon as it is there: what, where, of which blob, and why. One JSON array, or lines."""
    count = 0

    def line(finding: Finding) -> None:
        where = f"{finding.location.store}/{finding.location.object}"
        print(f"{finding.kind}\t{where}\t{finding.blob or '-'}\t{finding.detail}", flush=True)

    def element(finding: Finding) -> None:
        nonlocal count
        document = {
            "kind": str(finding.kind),
            "store": finding.location.store,
            "object": finding.location.object,
            "blob": finding.blob,
            "detail": finding.detail,
        }
        print("," if count else "", json.dumps(document, ensure_ascii=False), sep="\n", end="", flush=True)
        count += 1

    if not as_json:
        yield line
        return
    print("[", end="")
    try:
        yield element
    finally:
        print("\n]" if count else "]", flush=True)


def _progress(now: Progress) -> str:
    if now.phase == "blobs":
        return (
            f"store {now.store}: {now.blobs} of {counted(now.all_blobs, 'blob')}, "
            f"{amount(now.bytes)} of {amount(now.all_bytes)} read."
        )
    blobs, objects = counted(now.blobs, "blob"), counted(now.objects, "object")
    return f"store {now.store}: {blobs} read to the end; {objects} looked at."


def _sentence(summary: Summary) -> str:
    found = [f"{summary.counts[kind]} {word}" for kind, word in _REPORTED if summary.counts.get(kind)]
    blobs = summary.counts.get("blobs", 0)
    said = f"{counted(blobs, 'blob')} checked; {', '.join(found) or 'all as recorded'}."
    return said if summary.done else f"stopped: {said} The next check goes on from here."
