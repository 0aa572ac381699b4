"""Whose artifacts a caller may see, as a value: the same for a list (in SQL) and for one artifact."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from glare.domain.artifact import Visibility


class ScopeKind(StrEnum):
    """`PROJECT` is the artifacts of one project and all public ones, `PUBLIC_ONLY` the public ones of everybody."""

    EVERYTHING = "everything"
    PROJECT = "project"
    PUBLIC_ONLY = "public_only"


@dataclass(frozen=True, slots=True)
class ListScope:
    """What a list shows. `project` is set for `ScopeKind.PROJECT`, and None for the others."""

    kind: ScopeKind
    project: str | None = None

    @classmethod
    def everything(cls) -> ListScope:
        return cls(ScopeKind.EVERYTHING)

    @classmethod
    def of_project(cls, project: str) -> ListScope:
        return cls(ScopeKind.PROJECT, project)

    @classmethod
    def public_only(cls) -> ListScope:
        return cls(ScopeKind.PUBLIC_ONLY)


def visible(scope: ListScope, owner: str, visibility: Visibility) -> bool:
    """Whether the scope shows an artifact of this owner and visibility."""
    return (
        scope.kind is ScopeKind.EVERYTHING
        or visibility is Visibility.PUBLIC
        or (scope.kind is ScopeKind.PROJECT and owner == scope.project)
    )
