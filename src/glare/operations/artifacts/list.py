"""List artifacts: parse the query against the type, and read one page of what the caller may see, in parts where it is
long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from glare.db.lists import members
from glare.db.lists.read import list_ids
from glare.db.rows import batches, fetch_artifacts
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.microversion import NEWEST, Microversion
from glare.domain.query import parse_query
from glare.domain.visibility import ListScope, visible
from glare.operations import access
from glare.operations.services import Services
from glare.policy.scope import list_scope

PART: Final = 256 << 10
"""Bytes of documents that are read at once, about."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One page. `total` counts all pages; `limit` is the page's size. `artifacts` are its first ones, the `rest` are
    the ids of further parts.

    `is_full` says that the page has as many as its limit, so that there may be another one.
    """

    spec: TypeSpec
    artifacts: Sequence[Artifact]
    total: int
    is_full: bool
    rest: Sequence[Sequence[str]]
    scope: ListScope

    def up_to(self, number: int) -> Listed:
        """The same page with so many first artifacts; the others, which turned out to be large, are read again one by
        one.
        """
        put_off = [[artifact.id] for artifact in self.artifacts[number:]]
        return replace(self, artifacts=self.artifacts[:number], rest=[*put_off, *self.rest])


def list_artifacts(
    services: Services,
    actor: Actor,
    type_name: str,
    pairs: Sequence[tuple[str, str]],
    microversion: Microversion = NEWEST,
) -> Listed:
    """One page of the artifacts of a type, or of all enabled types for `all`; `pairs` are the query's parameters.

    Raises `TypeNotFound`, `PolicyException`, `BadRequest` naming the parameter, `ArtifactNotFound` for an unknown
    marker.
    """
    spec = access.find_type(services, type_name)
    scope = list_scope(services.policy, actor)
    query = parse_query(spec.face(microversion), pairs, services.rules.query, microversion)
    named = services.types.specs.values() if spec is services.types.all else (spec,)
    types = tuple(one for one in named if scope.shows_type(one.name))
    with services.db.read() as connection:
        page = list_ids(connection, query, scope, types)
        first, *rest = batches(connection, page.ids, PART) or [[]]
        artifacts = fetch_artifacts(connection, first)
    return Listed(spec, artifacts, page.total or 0, bool(page.ids) and len(page.ids) == query.limit, rest, scope)


def further(services: Services, listed: Listed) -> Iterator[list[Artifact]]:
    """The rest of the page, part by part, each as it is when it is asked for, in a transaction of its own.

    What the caller may not see any more, and what is deleted, is left out. What does not pass the query's filters any
    more is not: it was on this page when it was asked for.
    """
    for ids in listed.rest:
        with services.db.read() as connection:
            found = fetch_artifacts(connection, ids)
            shared = [artifact.id for artifact in found if artifact.visibility is Visibility.SHARED]
            project = listed.scope.project
            with_us = members.shared_with(connection, shared, project) if shared and project is not None else {}
        yield [artifact for artifact in found if _is_listed(listed.scope, artifact, member=artifact.id in with_us)]


def _is_listed(scope: ListScope, artifact: Artifact, *, member: bool) -> bool:
    alive = artifact.status is not Status.DELETED
    return alive and visible(scope, artifact.owner, artifact.visibility, member=member)
