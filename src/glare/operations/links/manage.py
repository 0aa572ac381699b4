"""Links as their makers manage them: create, read, revoke one or all."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from sqlalchemy import Connection

from glare.db.callers import links as rows
from glare.db.counters import UNLIMITED, lock_project
from glare.documents import links as documents
from glare.documents.links import LinkQuery, NewLink, RevokeLinks
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.callers.link import Link
from glare.domain.events import Event
from glare.domain.moment import SECOND
from glare.domain.wording import quoted
from glare.errors import BadRequest, Conflict, Forbidden, InvalidParameterValue, NotFound
from glare.operations import access, audit
from glare.operations.links.follow import require_maker, token_of
from glare.operations.page import Page, page_of
from glare.operations.services import Services
from glare.operations.tokens.bounds import TOKEN_SOURCES

_KEPT: Final = 2
"""Links that a project has, also such as have ended, for each that it may have: who uses up one after the other must
not fill the table until the sweep comes.
"""

_MAX_USER: Final = 255
_MAX_CREDENTIAL: Final = 255


def create_link(services: Services, actor: Actor, asked: NewLink) -> tuple[Link, str]:
    """A new link to a blob or a folder of replicas of an artifact that the caller's project owns; and its token, which
    is shown here and never again.

    Raises `ArtifactNotFound`, `Forbidden`, `PolicyException`, `BadRequest`, `InvalidParameterValue`, and `Conflict`
    beyond the project's number.
    """
    artifact = access.find_artifact(services, actor, services.types.all, asked.artifact)
    require_maker(services, actor, artifact)
    _require_lasting(actor)
    _require_readable(services, artifact, asked.blob)
    project, now = artifact.owner, services.clock()
    # What the credential is limited to is asked of its source whenever somebody reads.
    maker = Actor(
        actor.user[:_MAX_USER] if actor.user is not None else None,
        actor.project,
        actor.roles,
        domain=actor.domain,
        system=actor.system,
        source=actor.source,
        credential=actor.credential[:_MAX_CREDENTIAL] if actor.credential is not None else None,
    )
    link = Link(
        id=services.new_id(),
        maker=maker,
        project=project,
        type_name=artifact.type_name,
        artifact_id=artifact.id,
        path=asked.blob,
        created_at=now,
        expires_at=_expiry(services, actor, now, asked.expires_in),
        network=_network(asked.network),
        uses_left=asked.uses,
        description=asked.description,
    )

    def work(connection: Connection) -> Link:
        lock_project(connection, project)  # Or two at once pass a limit that has room for one.
        most = services.rules.links.most
        if most != UNLIMITED:
            still, every = rows.count(connection, project, now)
            if still >= most:
                raise Conflict(f"Project '{project}' has its {most} links; revoke some, or ask the operator for more.")
            if every >= _KEPT * most:
                rows.remove_ended(connection, project, now)
        rows.add(connection, link)
        _note(services, connection, actor, "link.create", link)
        return link

    made = services.db.transact(work, done=lambda connection: rows.find(connection, link.id))
    return made, token_of(services, made.id)


def list_links(services: Services, actor: Actor, query: LinkQuery) -> Page[Link]:
    """One page of the links of a project, by id. Raises `Forbidden`, `PolicyException`."""
    project = _project(actor, query.project)
    services.policy.require("link:list", actor, {"owner": project})
    return read_links(services, rows.Wanted(project, query.artifact, query.user), query.limit, query.marker)


def read_links(services: Services, wanted: rows.Wanted, limit: int, marker: str | None) -> Page[Link]:
    """One page, for a caller that may see it."""
    limit = min(limit, services.rules.query.max_page)
    with services.db.read() as connection:
        found = rows.page(connection, wanted, limit=limit, after=marker)
    return page_of(found, limit, lambda link: link.id)


def show_link(services: Services, actor: Actor, link_id: str) -> Link:
    """One link. Raises `NotFound`, `PolicyException`."""
    with services.db.read() as connection:
        return _find(services, connection, actor, link_id, "link:get")


def revoke_link(services: Services, actor: Actor, link_id: str) -> None:
    """End a link at once. Raises `NotFound`, `PolicyException`."""

    def work(connection: Connection) -> None:
        end(services, connection, actor, _find(services, connection, actor, link_id, "link:delete"))

    services.db.transact(work)


def end(services: Services, connection: Connection, actor: Actor, link: Link) -> None:
    """As `revoke_link`, of one that was found, for a caller that may."""
    rows.remove(connection, link.id)
    _note(services, connection, actor, "link.delete", link)


def revoke_links(services: Services, actor: Actor, asked: RevokeLinks) -> int:
    """End all links of a project, or those to one artifact or of one user. Returns how many there were. Raises
    `Forbidden`, `PolicyException`.
    """
    project = _project(actor, asked.project)
    services.policy.require("link:delete", actor, {"owner": project})
    return end_all(services, actor, rows.Wanted(project, asked.artifact, asked.user))


def end_all(services: Services, actor: Actor, wanted: rows.Wanted) -> int:
    """As `revoke_links`, of all that are wanted, for a caller that may."""

    def work(connection: Connection) -> int:
        ended = rows.remove_all(connection, wanted)
        if ended:
            event = Event("link.delete", wanted.project or "", None, wanted.artifact, None, services.clock())
            by = {} if wanted.user is None else {"user": wanted.user}
            audit.noted(connection, actor, [event], target=wanted.project, detail={"links": ended, **by})
        return ended

    return services.db.transact(work)


def represent_link(link: Link) -> documents.Link:
    """A link as the API shows it, without its token."""
    return documents.Link(
        id=link.id,
        project=link.project,
        type_name=link.type_name,
        artifact=link.artifact_id,
        blob=link.path,
        created_at=moment.text(link.created_at),
        created_by=link.maker.user,
        expires_at=moment.text(link.expires_at),
        network=str(link.network) if link.network is not None else None,
        uses_left=link.uses_left,
        description=link.description,
    )


def _require_readable(services: Services, artifact: Artifact, path: str) -> None:
    """Raises `BadRequest` for what is neither a blob nor a folder of replicas of the artifact."""
    spec = access.find_type(services, artifact.type_name)
    field = spec.fields.get(path)
    if field is None or not field.is_folder:
        access.find_place(spec, artifact, path)
    elif not field.replicas:
        raise BadRequest(
            f"Folder {quoted(path)} holds different contents, so that no link leads to all of it; link to one of its "
            f"blobs as '{path}/<key>'."
        )


def _require_lasting(actor: Actor) -> None:
    """Raises `Forbidden` for a credential whose word ends with the request."""
    if actor.service_roles:
        raise Forbidden("A service acts for you here, and links outlive what it was asked for; make the link yourself.")
    if actor.restricted:
        raise Forbidden(
            "Your application credential is good for some requests only, which a link would not be; make the link with "
            "another one."
        )


def _expiry(services: Services, actor: Actor, now: int, asked: int | None) -> int:
    """When the link ends. One that is made with a token of ours never outlives it."""
    longest = int(services.rules.links.longest)
    if asked is not None and asked > longest:
        raise InvalidParameterValue(
            f"Member 'expires_in' is {asked}, but a link lasts {longest} seconds at most; ask for less, or the "
            "operator to raise [links] longest_time."
        )
    wanted = now + (asked or int(services.rules.links.default)) * SECOND
    if actor.source not in TOKEN_SOURCES or actor.expires is None:
        return wanted
    end = int(actor.expires * SECOND)
    if asked is not None and wanted > end:
        raise InvalidParameterValue(
            f"Member 'expires_in' is {asked}, but your token ends at {moment.text(end)}, and the link with it; ask for "
            "less, or leave it out."
        )
    return min(wanted, end)


def _network(text: str | None) -> IPv4Network | IPv6Network | None:
    if text is None:
        return None
    try:
        return ip_network(text)
    except ValueError:
        raise InvalidParameterValue(
            f"Member 'network' is {quoted(text)}, but it must be an address or a network such as 192.0.2.0/24, with no "
            "bits set beyond its prefix."
        ) from None


def _project(actor: Actor, asked: str | None) -> str:
    project = asked or actor.project
    if actor.anonymous or project is None:
        raise Forbidden("Links belong to projects, and your request names none; use a token of a project.")
    return project


def _find(services: Services, connection: Connection, actor: Actor, link_id: str, rule: str) -> Link:
    found = find(connection, link_id)
    missing = NotFound(f"There is no link '{link_id[:40]}' that you may see; list them at /links.")
    if found is None:
        raise missing
    if actor.project != found.project and not services.policy.allows(rule, actor, {"owner": found.project}):
        raise missing
    services.policy.require(rule, actor, {"owner": found.project})
    return found


def find(connection: Connection, link_id: str) -> Link | None:
    """The link of this id."""
    if len(link_id) > 36 or not link_id.isascii() or "\0" in link_id:
        return None  # No id is like this, and databases refuse to compare with it.
    return rows.find(connection, link_id)


def _note(services: Services, connection: Connection, actor: Actor, action: str, link: Link) -> None:
    event = Event(action, link.project, link.type_name, link.artifact_id, None, services.clock())
    audit.noted(connection, actor, [event], target=link.id, detail={"blob": link.path})
