"""Blobs: the named binaries of an artifact, and where their bytes are."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from glare.digest import Digests
from glare.documents.blobs import BlobStatus as BlobStatus
from glare.documents.locations import LocationState as LocationState


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """The place of a blob within its artifact: a blob field (`key` None), or one key of a folder field."""

    field: str
    key: str | None = None

    @property
    def path(self) -> str:
        """`field` or `field/key`, as in URLs before escaping."""
        return self.field if self.key is None else f"{self.field}/{self.key}"


class Damage(StrEnum):
    """What was wrong with a stored object when its bytes were last read."""

    MISSING = "missing"
    DIFFERS = "differs"
    UNREADABLE = "unreadable"

    @classmethod
    def read(cls, word: str | None) -> Damage | None:
        """The damage that a row names, None for none. A word of a later release is some damage."""
        try:
            return None if word is None else cls(word)
        except ValueError:
            return cls.DIFFERS


@dataclass(frozen=True, slots=True)
class Managed:
    """Bytes in a store of Glare's: the store's name in the configuration, and the object's name within it."""

    store: str
    object: str


@dataclass(frozen=True, slots=True)
class Source:
    """The external location that managed bytes were copied from."""

    url: str = field(repr=False)  # It may hold a signature.
    confidential: bool


@dataclass(frozen=True, slots=True)
class AsSent:
    """How an origin sent bytes of which its headers do not say that they are the content, or all of it; a claim that
    was met proves it.

    `coding` is the content coding that it names; `unframed` where the body ends with the connection; `transformed`
    where a proxy says to have changed it (203).
    """

    coding: str | None = None
    unframed: bool = False
    transformed: bool = False


@dataclass(frozen=True, slots=True)
class External:
    """Bytes at an http(s) URL that Glare recorded and never owns.

    `url` is the text that the user gave; times are microseconds since the epoch. `proven_at` moves only by a fully
    measured body, `seen_at` also by cheaper checks. `reason` says why the last check failed, or why the state is what
    it is; `failures` counts failed checks in a row. A confidential URL is shown in full to the owner and to admins
    only. `id` names this record: a later one in the same slot has another. `as_sent` is None where the headers left
    nothing in doubt.
    """

    url: str = field(repr=False)  # It may hold a signature.
    confidential: bool
    state: LocationState
    proven_at: int | None
    seen_at: int | None
    etag: str | None
    last_modified: str | None
    generation: int = 0
    id: str = ""
    reason: str | None = None
    failures: int = 0
    check_at: int | None = None
    full_at: int | None = None
    matched_at: int | None = None
    as_sent: AsSent | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A store or measurement under way. Dead when its heartbeat (microseconds) is older than the attempt time-out.

    That of a job has no heartbeat: it lives as long as the job, which is taken over when its worker dies.
    """

    id: str
    heartbeat: int | None
    reserved: int

    @property
    def of_job(self) -> bool:
        return self.heartbeat is None


@dataclass(frozen=True, slots=True)
class ClaimedDigests:
    """What somebody says of bytes that nobody has measured, each None where nothing is said. Nothing is decided by
    it.
    """

    md5: str | None
    sha1: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Blob:
    """One blob. `location`, `size` and `digests` are None while its first attempt is under way (status `saving`).

    Of a location that was recorded without being measured, `claimed` takes the place of `size` and `digests`.
    """

    slot: Slot
    status: BlobStatus
    content_type: str | None
    size: int | None
    digests: Digests | None
    location: Managed | External | None
    attempt: Attempt | None = None
    damage: Damage | None = None
    source: Source | None = None
    claimed: ClaimedDigests | None = None

    @property
    def good(self) -> bool:
        """Whether its bytes may be served: they are there, and nothing is known against them."""
        if self.location is None or self.digests is None or self.size is None or self.damage is not None:
            return False
        return not isinstance(self.location, External) or self.location.state is LocationState.VERIFIED

    @property
    def external(self) -> bool:
        return isinstance(self.location, External)
