"""Queries of external locations that are not known to be harmless are confidential, as those that are recorded from now
on.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_BATCH = 1000
_TYPED = re.compile(r"[A-Za-z0-9._+/ -]{0,24}\Z")
_HARMLESS = frozenset(
    {
        *(
            "v",
            "ver",
            "version",
            "release",
            "tag",
            "branch",
            "channel",
            "arch",
            "os",
            "platform",
            "format",
            "type",
            "ext",
        ),
        *(
            "lang",
            "language",
            "locale",
            "download",
            "dl",
            "raw",
            "inline",
            "attachment",
            "compression",
            "mirror",
            "region",
        ),
    }
)
_blobs = sa.table(
    "blobs",
    sa.column("slot_id", sa.String),
    sa.column("url", sa.Text),
    sa.column("confidential", sa.Integer),
    sa.column("source_url", sa.Text),
    sa.column("source_confidential", sa.Integer),
)


def upgrade() -> None:
    """Nobody has said of them that they are open: what was not known as a secret was shown, whatever it was."""
    for url, flag in ((_blobs.c.url, _blobs.c.confidential), (_blobs.c.source_url, _blobs.c.source_confidential)):
        _close(op.get_bind(), url, flag)


def downgrade() -> None:
    """What was closed stays so."""


def _close(connection: sa.Connection, url: sa.ColumnClause[str], flag: sa.ColumnClause[int]) -> None:
    last = ""
    while True:
        shown = sa.select(_blobs.c.slot_id, url).where(flag == 0, url.like("%?%"), _blobs.c.slot_id > last)
        rows = connection.execute(shown.order_by(_blobs.c.slot_id).limit(_BATCH)).all()
        closed = [slot for slot, text in rows if not _is_harmless(text)]
        if closed:
            connection.execute(sa.update(_blobs).where(_blobs.c.slot_id.in_(closed)).values({flag: 1}))
        if len(rows) < _BATCH:
            return
        last = rows[-1][0]


def _is_harmless(url: str) -> bool:
    for pair in url.partition("?")[2].replace(";", "&").split("&"):
        name, _, value = pair.partition("=")
        if pair and (unquote_plus(name).strip().lower() not in _HARMLESS or not _TYPED.match(unquote_plus(value))):
            return False
    return True
