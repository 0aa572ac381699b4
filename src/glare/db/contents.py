"""The block digests of contents, kept once per content, whoever has a blob of it.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, exists, insert, select, update

from glare.db.dialects.later import later
from glare.db.dialects.upsert import insert_new
from glare.db.tables import blobs, content_blocks, contents
from glare.digest import DIGEST_LENGTH, Content

BLOCKS_PER_ROW: Final = 1024
"""Block digests in one row: 32 KiB, for 1 GiB of content. A range needs the rows of its blocks only."""

_ROW_BYTES: Final = BLOCKS_PER_ROW * DIGEST_LENGTH


def keep(connection: Connection, content: Content, now: int) -> None:
    """Keep the block digests of a content that a blob of this transaction has."""
    sha256 = content.digests.sha256
    touched = update(contents).where(contents.c.sha256 == sha256).values(touched_at=now)
    if connection.execute(touched).rowcount:
        return
    if not insert_new(connection, contents, {"sha256": sha256, "size": content.size, "touched_at": now}):
        later(connection, touched)  # The same content was published at this moment.
        return
    _keep_blocks(connection, sha256, content.blocks)


def restore(connection: Connection, sha256: str, size: int, blocks: bytes, now: int) -> None:
    """Keep these block digests of a content whatever was kept before: they were computed from bytes that have this
    sha256.
    """
    # The content's row is held before its blocks are looked for: whoever restores it at this moment has committed them
    # then, or waits.
    held = update(contents).where(contents.c.sha256 == sha256).values(size=size, touched_at=now)
    if not connection.execute(held).rowcount and not insert_new(
        connection, contents, {"sha256": sha256, "size": size, "touched_at": now}
    ):
        connection.execute(held)  # The same content was published at this moment.
    connection.execute(delete(content_blocks).where(content_blocks.c.sha256 == sha256))
    _keep_blocks(connection, sha256, blocks)


def _keep_blocks(connection: Connection, sha256: str, digests: bytes) -> None:
    rows = [
        {"sha256": sha256, "sequence": start // _ROW_BYTES, "digests": digests[start : start + _ROW_BYTES]}
        for start in range(0, len(digests), _ROW_BYTES)
    ]
    if rows:
        later(connection, insert(content_blocks), rows)


def block_digests(connection: Connection, sha256: str, first: int, last: int) -> bytes:
    """The raw sha256 digests of blocks `first` to `last`, both included, concatenated; fewer when some are not
    there.
    """
    start, end = first // BLOCKS_PER_ROW, last // BLOCKS_PER_ROW
    statement = (
        select(content_blocks.c.digests)
        .where(content_blocks.c.sha256 == sha256, content_blocks.c.sequence.between(start, end))
        .order_by(content_blocks.c.sequence)
    )
    kept = b"".join(connection.execute(statement).scalars())
    offset = start * BLOCKS_PER_ROW
    return kept[(first - offset) * DIGEST_LENGTH : (last - offset + 1) * DIGEST_LENGTH]


def sweep(connection: Connection, touched_before: int, limit: int) -> int:
    """Drop block digests of contents that no blob has, where their last publication is before `touched_before`."""
    unused = (
        select(contents.c.sha256)
        .where(contents.c.touched_at < touched_before, ~exists().where(blobs.c.sha256 == contents.c.sha256))
        .limit(limit)
    )
    found = connection.execute(unused).scalars().all()
    gone = 0
    for sha256 in found:
        # The condition stands again here: a publication since the look above has touched the row, and then it stays.
        condition = (contents.c.sha256 == sha256) & (contents.c.touched_at < touched_before)
        if connection.execute(select(contents.c.sha256).where(condition).with_for_update()).first() is None:
            continue
        connection.execute(delete(content_blocks).where(content_blocks.c.sha256 == sha256))
        gone += connection.execute(delete(contents).where(condition)).rowcount
    return gone
