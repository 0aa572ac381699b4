"""`glare-server audit`, and the entries that commands leave in the audit log."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection

from glare.cli.configuration import read_settings, say
from glare.cli.database import require_migrated, somebody
from glare.cli.tables import asked_for, print_page
from glare.db import audit as audit_rows
from glare.db.engine import Database
from glare.documents.audit import AuditQuery
from glare.documents.parse import parse_query
from glare.domain import moment
from glare.domain.audit import AuditEntry, RecordedAudit
from glare.errors import GlareError
from glare.identity.token_file import TokenRecord
from glare.operations.audit import query_of, represent_entry
from glare.settings import Settings

_COLUMNS = ("TIME", "USER", "PROJECT", "SOURCE", "CREDENTIAL", "OUTCOME", "ACTION", "ARTIFACT", "TARGET")
_FILTERS = (
    "user",
    "project",
    "artifact",
    "type",
    "action",
    "outcome",
    "request_id",
    "source",
    "credential",
    "since",
    "until",
    "limit",
)


def list_audit(args: Namespace) -> int:
    """`glare-server audit list`."""
    settings = read_settings(args)
    require_migrated(settings)
    given = asked_for(args, _FILTERS)
    query = query_of(parse_query(AuditQuery, given), settings.lists.max_api_limit)
    db = Database(settings.database.connection)
    try:
        with db.read() as connection:
            entries = audit_rows.page(connection, query)
    finally:
        db.dispose()
    documents = [msgspec.to_builtins(represent_entry(entry)) for entry in entries]
    return print_page(args, _COLUMNS, map(_row, entries), documents, "the audit log has no such entry.")


class TokenAudit:
    """Notes what happens to tokens in one transaction; in none where the database is not there."""

    def __init__(self, connection: Connection | None, now: int) -> None:
        self._connection = connection
        self._now = now

    def note(self, action: str, record: TokenRecord) -> None:
        """Add an entry: of whoever runs this command, about the token, never with the token itself."""
        if self._connection is None:
            return
        detail = {
            "user": record.user,
            "project": record.project,
            "roles": list(record.roles),
            "expires": record.expires.isoformat() if record.expires else None,
        }
        audit_rows.record(
            self._connection, [AuditEntry(self._now, action, somebody(), target=record.id, detail=detail)]
        )


@contextmanager
def token_audit(settings: Settings) -> Iterator[TokenAudit]:
    """Note what the block does to tokens; the entry is committed when the block ends.

    Where the entry cannot be written, the command fails after the token file has changed: a new token was then shown to
    nobody. A database that is not there yet is warned of: tokens may be made before it.
    """
    now = time.time_ns() // 1000
    try:
        require_migrated(settings)
    except GlareError as error:
        yield TokenAudit(None, now)
        say(f"warning: the audit log does not have this, because the database is not ready. {error.message}")
        return
    db = Database(settings.database.connection)
    try:
        with db.write() as connection:
            yield TokenAudit(connection, now)
    finally:
        db.dispose()


def _row(entry: RecordedAudit) -> tuple[str, ...]:
    return (
        moment.text(entry.occurred_at),
        entry.user or "-",
        entry.project or "-",
        entry.source or "-",
        entry.credential or "-",
        entry.outcome,
        entry.action,
        entry.artifact_id or "-",
        entry.target or "",
    )
