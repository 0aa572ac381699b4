"""Keys that stand for several texts at once. Each is tagged and unambiguous: different texts never make the same
input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from glare.documents.members import MemberStatus
from glare.domain.artifact import Visibility

PUBLIC_SCOPE: Final = "public"
_PRIVATE_LENGTH: Final = 32


def scope_of(visibility: Visibility, owner: str) -> str:
    """Who sees an artifact in lists: ``public``, or 32 hex digits that stand for the owner's project."""
    if visibility is Visibility.PUBLIC:
        return PUBLIC_SCOPE
    return _digest("scope", owner)[:_PRIVATE_LENGTH]


def member_scope(status: MemberStatus, project: str) -> str:
    """The artifacts shared with a project that has decided so, as lists ask for them: 32 hex digits."""
    return _digest("member", status.value, project)[:_PRIVATE_LENGTH]


def slot_id(artifact_id: str, field: str, key: str | None) -> str:
    """The primary key of a slot, 64 hex digits. A field without a key and a folder's empty key differ."""
    return _digest("slot", artifact_id, field, key)


def uniqueness(type_name: str, name: str, version: str, scope: str) -> str:
    """What no two artifacts that are not deleted may share, 64 hex digits. `version` is canonical, build included."""
    return _digest("name", type_name, name, version, scope)


def takedown(kind: str, parts: Sequence[str | None]) -> str:
    """What a takedown of this kind and a blob, or a request, that it is about have in common, 64 hex digits."""
    return _digest("takedown", kind, *parts)


def _digest(*parts: str | None) -> str:
    """Each part with its length before it, so that no two lists of parts join to the same bytes."""
    hashed = hashlib.sha256()
    for part in parts:
        encoded = None if part is None else part.encode("utf-8", "surrogatepass")
        hashed.update(b"-;" if encoded is None else b"%d:%b;" % (len(encoded), encoded))
    return hashed.hexdigest()
