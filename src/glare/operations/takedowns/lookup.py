"""What takedowns keep from happening. Each decision asks the database, so all processes obey from the commit on.

The egress client asks before each request and each redirect, downloads ask in the read that finds the artifact, and
what is published is decided in the transaction that publishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from glare.db import takedowns as rows
from glare.db.engine import Database
from glare.domain.blob import Blob, External
from glare.domain.takedown import Named, names_of_digest, names_of_url
from glare.egress.url import Url
from glare.errors import Blocked


def closed(connection: Connection, *, sha256: str | None = None, url: str | None = None) -> str | None:
    """The id of a takedown that is about this content or this canonical URL, None where there is none."""
    found = rows.which(connection, _names(sha256, url))
    return next(iter(found.values()), None)


def require_open(connection: Connection, *, sha256: str | None = None, url: str | None = None) -> None:
    """Raises `Blocked` where the content, the URL or its host is taken down."""
    takedown = closed(connection, sha256=sha256, url=url)
    if takedown is not None:
        raise Blocked.by(takedown)


def open_ones(connection: Connection, candidates: Sequence[Blob]) -> tuple[Blob, ...]:
    """Those of `candidates` that may be read. Raises `Blocked` where takedowns leave none of them."""
    names = {id(blob): list(_names_of(blob)) for blob in candidates}
    found = rows.which(connection, (name for some in names.values() for name in some))
    if not found:
        return tuple(candidates)
    left = tuple(blob for blob in candidates if not any(name in found for name in names[id(blob)]))
    if candidates and not left:
        raise Blocked.by(next(found[name] for some in names.values() for name in some if name in found))
    return left


def is_open(connection: Connection, blob: Blob) -> bool:
    """Whether a blob may be read."""
    return not rows.which(connection, _names_of(blob))


def open_members(connection: Connection, members: Mapping[str, Blob]) -> dict[str, Blob]:
    """The members of a folder that may be read. Raises `Blocked` where takedowns leave none of them."""
    left = {id(blob) for blob in open_ones(connection, list(members.values()))}
    return {key: blob for key, blob in members.items() if id(blob) in left}


def asked_by(db: Database) -> Callable[[Url], str | None]:
    """What an egress client asks before each request: the id of the takedown that forbids it."""

    def blocked(url: Url) -> str | None:
        with db.look() as connection:
            return closed(connection, url=url.text)

    return blocked


def _names_of(blob: Blob) -> Iterable[Named]:
    location = blob.location
    return _names(
        blob.digests.sha256 if blob.digests else None, location.url if isinstance(location, External) else None
    )


def _names(sha256: str | None, url: str | None) -> Iterator[Named]:
    if sha256 is not None:
        yield from names_of_digest(sha256)
    if url is not None:
        yield from names_of_url(url)
