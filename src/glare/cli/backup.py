"""`glare-server backup`: whether a database and the stores beside it belong together."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any, Final

from glare.cli.configuration import read_settings
from glare.cli.database import require_migrated
from glare.cli.logs import announce, configure_logging
from glare.cli.stopping import stopped_by_signals
from glare.cli.tables import amount
from glare.domain.wording import counted
from glare.settings import check_machine

if TYPE_CHECKING:
    from glare.operations.upkeep.backup import Finding, Report, StoreReport

WHOLE, NOT_CHECKED, NOT_WHOLE = 0, 1, 3
"""How the command ends; 2 is for a command line that is not understood."""

_WORDS: Final = (
    ("missing", "missing"),
    ("differs", "different"),
    ("unreadable", "unreadable"),
    ("orphan", "without a blob"),
)


def check(args: Namespace) -> int:
    """`glare-server backup check`. 3 where the database needs what is not there, 1 where that could not be found
    out.
    """
    overrides = {("fsck", "rate"): args.rate} if args.rate is not None else {}
    settings = read_settings(args, overrides)
    check_machine(settings)
    configure_logging(settings)
    require_migrated(settings)
    from glare.app import bare_stores
    from glare.operations.upkeep.backup import Comparison, Options

    def progress(now: StoreReport) -> None:
        announce(settings, f"{_counted(now)} so far{_read(now)}.")

    printed = _Printed(as_json=args.output == "json")
    with bare_stores(settings) as (db, stores):
        options = Options(read=args.bytes, rate=settings.fsck.rate)
        comparison = Comparison(db, stores, options, printed.find, progress, stopped_by_signals())
        report = comparison.run(args.store)
    printed.end(report)
    for store in report.stores:
        announce(settings, _sentence(store))
    announce(settings, _verdict(report))
    if not report.whole:
        return NOT_WHOLE
    return WHOLE if report.done else NOT_CHECKED


class _Printed:
    """Prints each finding as soon as it is there: a line, or an element of one JSON document."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._count = 0

    def find(self, finding: Finding) -> None:
        """Print one: kind, place, blob, why."""
        if self._as_json:
            self._begin()
            print("," if self._count else "", json.dumps(_document(finding), ensure_ascii=False), sep="\n", end="")
            self._count += 1
            return
        where = finding.store if finding.object is None else f"{finding.store}/{finding.object}"
        blob = finding.blob
        whose = "-" if blob is None else f"{blob.type_name}/{blob.artifact_id}/{blob.slot.path}"
        print(f"{finding.kind}\t{where}\t{whose}\t{finding.detail}", flush=True)

    def end(self, report: Report) -> None:
        """Print what was counted, in the document only: people are told on standard error."""
        if not self._as_json:
            return
        self._begin()
        print("\n]," if self._count else "],")
        stores = json.dumps([_counts(store) for store in report.stores], ensure_ascii=False)
        whole = None if report.whole and not report.done else report.whole
        print(f'"stores": {stores},\n"done": {json.dumps(report.done)},\n"whole": {json.dumps(whole)}}}', flush=True)

    def _begin(self) -> None:
        if not self._count:
            print('{"findings": [', end="")


def _document(finding: Finding) -> dict[str, Any]:
    blob = finding.blob
    return {
        "kind": str(finding.kind),
        "store": finding.store,
        "object": finding.object,
        "type": None if blob is None else blob.type_name,
        "artifact": None if blob is None else blob.artifact_id,
        "field": None if blob is None else blob.slot.field,
        "key": None if blob is None else blob.slot.key,
        "size": None if blob is None else blob.size,
        "detail": finding.detail,
    }


def _counts(store: StoreReport) -> dict[str, Any]:
    return {
        "name": store.name,
        "known": store.known,
        "found_here": store.found,
        "blobs": store.blobs,
        "bytes": store.bytes,
        "objects": store.objects,
        "under_way": store.under_way,
        "due_for_removal": store.due_for_removal,
        "bytes_read": store.read,
        "findings": {str(kind): count for kind, count in store.counts.items()},
        "done": store.done,
    }


def _counted(store: StoreReport) -> str:
    blobs, objects = counted(store.blobs, "blob"), counted(store.objects, "object")
    return f"store {store.name}: {store.compared} of {blobs} compared, {objects} seen"


def _read(store: StoreReport) -> str:
    return f", {amount(store.read)} of {amount(store.bytes)} read" if store.read else ""


def _sentence(store: StoreReport) -> str:
    said = [f"{store.counts[kind]} {word}" for kind, word in _WORDS if store.counts.get(kind)]
    if store.under_way:
        said.append(f"{store.under_way} under way")
    if store.due_for_removal:
        said.append(f"{store.due_for_removal} due for removal")
    return f"{_counted(store)}{_read(store)}{'; ' if said else ''}{', '.join(said)}."


def _verdict(report: Report) -> str:
    if not report.whole:
        return "not whole: the database needs what is not there."
    if not report.done:
        return "not known: not everything could be compared."
    return "whole: all that the database needs is there."
