"""Publishers as the managers of a project have them: register, list, delete.

A publisher never has more than who registers it, never the rights of an administrator, and its builds make neither
tokens nor other publishers. It must name one claim exactly that tells builds apart for good, so that nobody comes in by
taking a name that was given up.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection

from glare.context import REQUEST_ID
from glare.db import audit as audit_rows
from glare.db import outbox
from glare.db.callers import publishers as rows
from glare.documents import publishers as documents
from glare.documents.publishers import CREATED, REMOVED, NewPublisher, PublisherQuery
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.audit import AuditEntry
from glare.domain.events import Event
from glare.domain.limits import UNLIMITED
from glare.domain.publisher import Publisher, anchor_of
from glare.domain.wording import quoted
from glare.errors import BadRequest, Conflict, Forbidden, NotFound
from glare.identity.oidc.issuers import Issuer
from glare.identity.oidc.mapping import Condition
from glare.identity.oidc.source import OidcSource, credential_of
from glare.operations.credentials import end_links
from glare.operations.page import Page, page_of
from glare.operations.services import Services

_ACTIONS: Final = {CREATED: "publisher_create", REMOVED: "publisher_delete"}
_MAX_USER: Final = 255
_USUAL: Final = frozenset({"reader", "member"})
"""Roles that whoever manages a project may give, whether they have them by name or not."""


def create_publisher(services: Services, actor: Actor, asked: NewPublisher) -> Publisher:
    """Let builds publish into the caller's project.

    Raises `Forbidden`, `PolicyException`, `BadRequest` for what cannot be a publisher, `Conflict` beyond the project's
    number.
    """
    project = require_project(actor)
    if actor.limits != UNLIMITED:
        raise Forbidden("Your credential may do less than you, so it registers no publishers; use another one.")
    services.policy.require("publisher:create", actor, {"owner": project})
    roles = _roles(services, actor, ("member",) if asked.roles is UNSET else tuple(asked.roles))
    return register(services, actor, project, roles, asked)


def register(services: Services, actor: Actor, project: str, roles: tuple[str, ...], asked: NewPublisher) -> Publisher:
    """As `create_publisher`, for a caller that may give these roles in this project."""
    issuer = _issuer(services, asked.issuer)
    if services.policy.is_admin(Actor(None, project, frozenset(roles))):
        raise Forbidden("Member 'roles' would make the build an administrator, which a publisher never is.")
    publisher = Publisher(
        id=services.new_id(),
        project=project,
        issuer=issuer.name,
        claims=dict(asked.claims),
        anchor=_anchor(issuer, asked.claims),
        roles=roles,
        types=_types(services, asked.types or None),
        names=tuple(dict.fromkeys(asked.names)) if asked.names else None,
        description="" if asked.description is UNSET else asked.description,
        created_at=services.clock(),
        created_by=actor.user[:_MAX_USER] if actor.user is not None else None,
    )
    most = services.rules.publishers_per_project

    def work(connection: Connection) -> Publisher:
        if not rows.add(connection, publisher, most):
            raise Conflict(f"Project '{project}' has its {most} publishers; delete one, or ask the operator for more.")
        _tell(connection, actor, CREATED, publisher, publisher.created_at)
        return publisher

    return services.db.transact(work, done=lambda connection: rows.find(connection, publisher.id))


def list_publishers(services: Services, actor: Actor, query: PublisherQuery) -> Page[Publisher]:
    """One page of the publishers of a project. Raises `Forbidden`, `PolicyException`."""
    project = query.project or require_project(actor)
    services.policy.require("publisher:list", actor, {"owner": project})
    return read_publishers(services, project, query.limit, query.marker)


def read_publishers(services: Services, project: str | None, limit: int, marker: str | None) -> Page[Publisher]:
    """One page of a project's (None: of all), for a caller that may see it."""
    limit = min(limit, services.rules.query.max_page)
    after = None
    if marker is not None:
        time, _, last = marker.partition("_")
        after = (int(time), last)
    with services.db.read() as connection:
        found = rows.page(connection, project, after, limit)
    return page_of(found, limit, lambda one: f"{one.created_at}_{one.id}")


def show_publisher(services: Services, actor: Actor, publisher_id: str) -> Publisher:
    """One publisher. Raises `NotFound`, `Forbidden`, `PolicyException`."""
    with services.db.read() as connection:
        return _find(services, connection, actor, publisher_id, "publisher:get")


def delete_publisher(services: Services, actor: Actor, publisher_id: str) -> None:
    """Let these builds publish no more. Raises `NotFound`, `Forbidden`, `PolicyException`."""

    def work(connection: Connection) -> None:
        _remove(services, connection, actor, _find(services, connection, actor, publisher_id, "publisher:delete"))

    services.db.transact(work)


def take_away(services: Services, actor: Actor, publisher_id: str) -> Publisher:
    """As `delete_publisher`, for a caller that may. Raises `NotFound`."""

    def work(connection: Connection) -> Publisher:
        found = rows.find(connection, publisher_id)
        if found is None:
            raise _missing(publisher_id)
        _remove(services, connection, actor, found)
        return found

    return services.db.transact(work)


def require_project(actor: Actor) -> str:
    """The caller's project. Raises `Forbidden` for a caller without one: nobody owned the publisher."""
    if actor.anonymous or actor.project is None:
        raise Forbidden("Publishers belong to projects, and your request names none; use a token of a project.")
    return actor.project


def represent_publisher(publisher: Publisher) -> documents.Publisher:
    """A publisher as the API shows it. Nothing of it is secret."""
    return documents.Publisher(
        id=publisher.id,
        project=publisher.project,
        issuer=publisher.issuer,
        claims=dict(publisher.claims),
        roles=list(publisher.roles),
        types=None if publisher.types is None else list(publisher.types),
        names=None if publisher.names is None else list(publisher.names),
        description=publisher.description,
        created_at=moment.text(publisher.created_at),
        created_by=publisher.created_by,
    )


def _issuer(services: Services, name: str) -> Issuer:
    takers = {issuer.name: issuer for issuer in services.issuers if issuer.publishers}
    found = takers.get(name)
    if found is None:
        there = f"there are {', '.join(sorted(takers))}" if takers else "the operator has named none"
        raise BadRequest(f"Member 'issuer' is {quoted(name)}, which is no issuer that publishes here; {there}.")
    return found


def _anchor(issuer: Issuer, claims: dict[str, str]) -> str:
    """Checks the claims too. Raises `BadRequest`."""
    for claim, pattern in claims.items():
        try:
            Condition.of(claim, pattern)
        except ValueError as why:
            raise BadRequest(f"Member 'claims' cannot be used: {why}.") from None
    anchor = next((claim for claim in issuer.anchors if claim in claims and "*" not in claims[claim]), None)
    if anchor is None:
        raise BadRequest(
            f"Member 'claims' must name one of {', '.join(issuer.anchors)} exactly: what else tokens of issuer "
            f"'{issuer.name}' say may belong to somebody else tomorrow, or to many."
        )
    return anchor_of(issuer.name, anchor, claims[anchor])


def _roles(services: Services, actor: Actor, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The roles of a publisher. Raises `Forbidden` for one that the caller may not give."""
    own = {role.lower() for role in actor.roles} | _USUAL
    for role in asked:
        if role.strip().lower() not in own and not services.policy.is_admin(actor):
            raise Forbidden(
                f"Member 'roles' has {quoted(role)}, and you do not have that role; a publisher gets no more than who "
                "registers it."
            )
    return tuple(dict.fromkeys(role.strip() for role in asked))


def _types(services: Services, asked: list[str] | None) -> tuple[str, ...] | None:
    """Raises `BadRequest` for a type that is not enabled here."""
    if asked is None:
        return None
    known = set(services.types.names) - {services.types.all.name}
    for name in asked:
        if name not in known:
            raise BadRequest(
                f"Member 'types' has {quoted(name)}, which is no type here; there are {', '.join(sorted(known))}."
            )
    return tuple(dict.fromkeys(asked))


def _find(services: Services, connection: Connection, actor: Actor, publisher_id: str, rule: str) -> Publisher:
    """The publisher, where `rule` lets the caller; one that the caller may not see is missing."""
    if not actor.system:
        require_project(actor)
    found = rows.find(connection, publisher_id)
    if found is None:
        raise _missing(publisher_id)
    target = {"id": found.id, "owner": found.project}
    if not services.policy.allows("publisher:get", actor, target):
        raise _missing(publisher_id)
    services.policy.require(rule, actor, target)
    return found


def _remove(services: Services, connection: Connection, actor: Actor, publisher: Publisher) -> None:
    if not rows.remove(connection, publisher.id):
        raise _missing(publisher.id)
    now = services.clock()
    end_links(connection, actor, [OidcSource.name], [credential_of(publisher)], now)
    _tell(connection, actor, REMOVED, publisher, now)


def _tell(connection: Connection, actor: Actor, event_type: str, publisher: Publisher, now: int) -> None:
    """Record that this has happened to the publisher, for subscribers of its project and in the audit log."""
    payload = {"publisher": msgspec.to_builtins(represent_publisher(publisher))}
    outbox.record(connection, [Event(event_type, publisher.project, None, None, payload, now)])
    detail: dict[str, Any] = {
        "project": publisher.project,
        "issuer": publisher.issuer,
        "claims": dict(publisher.claims),
        "roles": list(publisher.roles),
    }
    action = _ACTIONS[event_type]
    entry = AuditEntry(now, action, actor, target=publisher.id, detail=detail, request_id=REQUEST_ID.get())
    audit_rows.record(connection, [entry])


def _missing(publisher_id: str) -> NotFound:
    return NotFound(f"There is no publisher '{publisher_id[:64]}' that you may see; list them at /publishers.")
