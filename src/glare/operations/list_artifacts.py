"""List artifacts: parse the query against the type, and read one page of what the caller may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glare.db.lists import list_page
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.artifact_type import TypeSpec
from glare.domain.microversion import NEWEST, Microversion
from glare.domain.query import parse_query
from glare.operations import access
from glare.operations.services import Services
from glare.policy.scope import list_scope


@dataclass(frozen=True, slots=True)
class Listed:
    """One page. `total` counts all pages; `limit` is the page's size."""

    spec: TypeSpec
    artifacts: Sequence[Artifact]
    total: int
    limit: int


def list_artifacts(
    services: Services,
    actor: Actor,
    type_name: str,
    pairs: Sequence[tuple[str, str]],
    microversion: Microversion = NEWEST,
) -> Listed:
    """One page of the artifacts of a type, or of all enabled types for `all`; `pairs` are the query's parameters.

    Raises `TypeNotFound`, `PolicyException`, `BadRequest` naming the parameter, `ArtifactNotFound` for an unknown marker.
    """
    spec = access.find_type(services, type_name)
    scope = list_scope(services.policy, actor)
    query = parse_query(spec.face(microversion), pairs, services.rules.query)
    types = tuple(services.types.specs.values()) if spec is services.types.all else (spec,)
    with services.db.read() as connection:
        page = list_page(connection, query, scope, types)
    return Listed(spec, page.artifacts, page.total or 0, query.limit)
