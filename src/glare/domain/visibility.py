"""Whose artifacts a caller may see, as a value: the same for a list (in SQL) and for one artifact."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from glare.documents.members import MemberStatus
from glare.domain.artifact import Visibility
from glare.domain.microversion import SHARING, Microversion


class ScopeKind(StrEnum):
    """`PROJECT` is what one project owns, what is shared with it, and what all may see; `PUBLIC_ONLY` the latter."""

    EVERYTHING = "everything"
    PROJECT = "project"
    PUBLIC_ONLY = "public_only"


@dataclass(frozen=True, slots=True)
class ListScope:
    """What a list shows. `project` is set for `ScopeKind.PROJECT`, and None for the others. `types` are the names of
    those that the caller's credential is for, None for all.
    """

    kind: ScopeKind
    project: str | None = None
    types: frozenset[str] | None = None

    def shows_type(self, name: str) -> bool:
        """Whether artifacts of this type are shown at all."""
        return self.types is None or name in self.types

    @classmethod
    def everything(cls) -> ListScope:
        return cls(ScopeKind.EVERYTHING)

    @classmethod
    def of_project(cls, project: str) -> ListScope:
        return cls(ScopeKind.PROJECT, project)

    @classmethod
    def public_only(cls) -> ListScope:
        return cls(ScopeKind.PUBLIC_ONLY)


def visible(scope: ListScope, owner: str, visibility: Visibility, *, member: bool = False) -> bool:
    """Whether who has this scope may see an artifact of this owner and visibility; `member`: whether it is shared with
    the scope's project, whatever that has decided.
    """
    return (
        scope.kind is ScopeKind.EVERYTHING
        or visibility in _FOR_ALL
        or (
            scope.kind is ScopeKind.PROJECT and (owner == scope.project or (member and visibility is Visibility.SHARED))
        )
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """Which of the visible artifacts of others a list shows, beside the public ones: those shared with the project that
    has decided so, and with `community` those of everybody.
    """

    statuses: Collection[MemberStatus] = (MemberStatus.ACCEPTED,)
    community: bool = False


DEFAULT_SHOWN = Shown()


def listed(
    scope: ListScope, owner: str, visibility: Visibility, status: MemberStatus | None, shown: Shown = DEFAULT_SHOWN
) -> bool:
    """Whether a list shows an artifact, filters aside. `status` is what the scope's project has decided, None where it
    is no member.
    """
    if scope.kind is ScopeKind.EVERYTHING or owner == scope.project:
        return True
    if visibility is Visibility.COMMUNITY:
        return shown.community
    return visible(scope, owner, visibility, member=status in shown.statuses)


def shown_visibility(visibility: Visibility, microversion: Microversion) -> Visibility:
    """What requests of this microversion are told: what is shared is private to those that do not know of sharing."""
    return visibility if visibility is Visibility.PUBLIC or microversion >= SHARING else Visibility.PRIVATE


_FOR_ALL = frozenset((Visibility.COMMUNITY, Visibility.PUBLIC))
