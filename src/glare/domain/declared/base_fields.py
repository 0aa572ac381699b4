"""The fields that every artifact type has, declared as authors declare theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from glare.domain.artifact import Status, Visibility
from glare.domain.declared import fields
from glare.domain.declared.legacy import STATUS_IS_MUTABLE

_ANY_TEXT: Final = ("like", "eq", "neq", "in")

BASE_FIELDS: Final[Mapping[str, fields.Field]] = {
    "id": fields.String("Identifier of the artifact, a UUID.", uuid=True, system=True, nullable=False, sortable=True),
    "name": fields.String(
        "Name of the artifact.",
        min_length=1,
        nullable=False,
        required_on_activate=False,
        sortable=True,
        filter_ops=_ANY_TEXT,
    ),
    "owner": fields.String(
        "Project that the artifact belongs to.", system=True, nullable=False, required_on_activate=False, sortable=True
    ),
    "status": fields.String(
        "Where the artifact is in its life cycle.",
        allowed=tuple(Status),
        default=Status.DRAFTED.value,
        mutable=STATUS_IS_MUTABLE,
        nullable=False,
        sortable=True,
    ),
    "created_at": fields.DateTime("When the artifact was created.", system=True, nullable=False, sortable=True),
    "updated_at": fields.DateTime(
        "When the artifact last changed.", system=True, mutable=True, nullable=False, sortable=True
    ),
    "activated_at": fields.DateTime(
        "When the artifact was last activated.", system=True, required_on_activate=False, sortable=True
    ),
    "description": fields.String(
        "What the artifact is, for people.",
        max_length=4096,
        default="",
        mutable=True,
        required_on_activate=False,
        filter_ops=(),
    ),
    "tags": fields.ListOf(
        "Labels to find the artifact by.",
        of=fields.String(forbidden_chars=",/", min_length=1),
        drop_duplicates=True,
        mutable=True,
        required_on_activate=False,
        filter_ops=(),
    ),
    "metadata": fields.DictOf(
        "Key-value pairs of the client's choice.", of=fields.String(min_length=1), required_on_activate=False
    ),
    "visibility": fields.String(
        "Who may see the artifact: its project, or everybody.",
        allowed=(Visibility.PRIVATE, Visibility.PUBLIC),
        default=Visibility.PRIVATE.value,
        mutable=True,
        nullable=False,
        sortable=True,
    ),
    "version": fields.Version(
        "Semantic version of the artifact.",
        default="0.0.0",
        nullable=False,
        required_on_activate=False,
        sortable=True,
    ),
    "display_type_name": fields.String(
        "Name of the artifact's type, for people.", system=True, sortable=True, filter_ops=_ANY_TEXT
    ),
}

SINCE_SHARING: Final[Mapping[str, fields.Field]] = {
    "visibility": fields.String(
        "Who may see the artifact: its project; its members too (shared); everybody, and lists show it to "
        "those who ask (community); everybody.",
        allowed=tuple(Visibility),
        default=Visibility.PRIVATE.value,
        mutable=True,
        nullable=False,
        sortable=True,
    ),
}
"""Those of them that are declared otherwise since `WIDER_TEXT`, which is when sharing came too."""

TYPE_NAME: Final = fields.String("Name of the artifact's type.", sortable=True, filter_ops=_ANY_TEXT)
"""The further field of the read-only type `all`."""

KEEPS_NULL: Final = frozenset(("description",))
"""Quirk 9: the fields in which null stays null."""
