"""`glare-server stores move` and `drain`: blobs go from one store to another."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from glare.cli.configuration import read_settings
from glare.cli.database import require_migrated, somebody
from glare.cli.logs import announce, configure_logging
from glare.cli.stopping import stopped_by_signals
from glare.cli.tables import amount, print_json
from glare.domain.wording import counted
from glare.settings import Settings, check_machine

if TYPE_CHECKING:
    from glare.operations.upkeep.move import Finding, Progress, Summary

_LINE_EVERY: Final = 10.0
"""Seconds between two lines of progress, where nobody looks at a bar."""
_BAR: Final = 24
_MOST_FINDINGS: Final = 1000
"""So many findings stand in the JSON document; all are counted."""
_STAYED: Final = (
    ("differs", "different"),
    ("missing", "missing"),
    ("unreadable", "unreadable"),
    ("failed", "not moved"),
)
"""What leaves a blob where it was, and what a person calls it."""


def move(args: Namespace) -> int:
    """`glare-server stores move`. 1 where a blob could not be moved, or the move was stopped."""
    return _run(args, drain=False)


def drain(args: Namespace) -> int:
    """`glare-server stores drain`. 1 unless nothing needs the store any more."""
    return _run(args, drain=True)


def _run(args: Namespace, *, drain: bool) -> int:
    given = {("moving", name): getattr(args, name) for name in ("rate", "parallel")}
    settings = read_settings(args, {key: value for key, value in given.items() if value is not None})
    check_machine(settings)
    configure_logging(settings)
    require_migrated(settings)
    from glare.app import open_stores, run_move
    from glare.db.stores import Chosen
    from glare.operations.upkeep.move import Wish
    from glare.stores.drivers import name_of

    open_stores(settings)
    chosen = Chosen(name_of(args.name), None if drain else args.type, None if drain else args.project)
    wish = Wish(chosen, name_of(args.to), somebody(), drain=drain)
    shown = _Shown(settings, as_json=args.output == "json")
    try:
        summary = run_move(settings, wish, stopped_by_signals(), shown.found, shown.progress)
    finally:
        shown.end()
    empty = not summary.left and not summary.uploads
    if args.output == "json":
        print_json(_document(args, summary, shown.findings))
    announce(settings, _sentence(summary, args, drain=drain))
    stayed = any(summary.counts.get(kind) for kind, _ in _STAYED)
    return 0 if summary.done and not stayed and (empty or not drain) else 1


@dataclass
class _Shown:
    """What a person or a program sees of a move: findings on standard output, progress on standard error, as a bar
    where that is a terminal.
    """

    settings: Settings
    as_json: bool
    findings: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    told_at: float = field(default_factory=time.monotonic)
    width: int = 0

    def found(self, finding: Finding) -> None:
        where = f"{finding.location.store}/{finding.location.object}"
        if not self.as_json:
            self._clear()
            print(f"{finding.kind}\t{where}\t{finding.blob}\t{finding.detail}", flush=True)
        elif len(self.findings) < _MOST_FINDINGS:
            self.findings.append(
                {
                    "kind": str(finding.kind),
                    "store": finding.location.store,
                    "object": finding.location.object,
                    "blob": finding.blob,
                    "detail": finding.detail,
                }
            )

    def progress(self, now: Progress) -> None:
        text = _progress(now, time.monotonic() - self.started)
        if sys.stderr.isatty() and self.settings.logging.format != "json":
            share = min(1.0, now.bytes / now.all_bytes) if now.all_bytes else 1.0
            full = round(share * _BAR)
            line = f"[{'#' * full}{'.' * (_BAR - full)}] {share:4.0%}  {text}"
            print(f"\r{line.ljust(self.width)}", end="", file=sys.stderr, flush=True)
            self.width = len(line)
        elif time.monotonic() - self.told_at >= _LINE_EVERY:
            self.told_at = time.monotonic()
            announce(self.settings, f"{text}.")

    def end(self) -> None:
        """Leave the line of the bar."""
        if self.width:
            print(file=sys.stderr, flush=True)
            self.width = 0

    def _clear(self) -> None:
        if self.width:
            print(f"\r{' ' * self.width}\r", end="", file=sys.stderr, flush=True)


def _progress(now: Progress, seconds: float) -> str:
    rate = f", {amount(now.bytes / seconds)}/s" if seconds else ""
    return f"{now.blobs} of {counted(now.all_blobs, 'blob')}, {amount(now.bytes)} of {amount(now.all_bytes)}{rate}"


def _document(args: Namespace, summary: Summary, findings: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "store": args.name,
        "to": args.to,
        "done": summary.done,
        "counts": {str(kind): count for kind, count in summary.counts.items()},
        "bytes_read": summary.bytes,
        "left": summary.left,
        "uploads": summary.uploads,
        "waiting_for_removal": summary.waiting,
        "findings": findings,
    }


def _sentence(summary: Summary, args: Namespace, *, drain: bool) -> str:
    counts = summary.counts
    moved = counts.get("moved", 0) + counts.get("repaired", 0)
    words = [f"{counted(moved, 'blob')} moved from {args.name} to {args.to}"]
    if counts.get("repaired"):
        words.append(f"{counts['repaired']} of them repaired from an equal blob")
    words += [f"{counts[kind]} {word}" for kind, word in _STAYED if counts.get(kind)]
    said = f"{', '.join(words)}."
    if not summary.done:
        return f"stopped: {said} The next one goes on from here."
    if not drain:
        return f"{said} {summary.left} of what was asked for {'is' if summary.left == 1 else 'are'} left."
    if summary.left or summary.uploads:
        left, uploads = counted(summary.left, "blob"), counted(summary.uploads, "upload")
        return f"{said} Left: {left}, and {uploads} under way to it; see what is said of them, and drain it again."
    waits = f" once nothing in it waits for removal ({counted(summary.waiting, 'object')} now)"
    waiting = waits if summary.waiting else ""
    return f"{said} No blob needs {args.name} any more; it may leave the configuration{waiting}."
