"""Taking down a content, a host or a URL, and undoing it. What that means for everybody else is in
`glare.operations.takedowns.lookup`.
"""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy import Connection

from glare.context import REQUEST_ID
from glare.db import audit as audit_rows
from glare.db import takedowns as rows
from glare.documents import takedowns as documents
from glare.documents.takedowns import NewTakedown, TakedownKind, TakedownQuery
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.audit import AuditEntry
from glare.domain.takedown import Takedown
from glare.domain.wording import visible_url
from glare.egress.url import ANY_URL, parse
from glare.errors import Conflict, InvalidParameterValue, LocationRefused, NotFound
from glare.operations.page import Page, page_of
from glare.operations.services import Services

_MAX_USER: Final = 255
_SCHEME: Final = "http"
_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}\Z")


def create_takedown(services: Services, actor: Actor, asked: NewTakedown) -> Takedown:
    """Take down what the document names. Raises `PolicyException`, and what `take_down` raises."""
    services.policy.require("takedown:create", actor, {})
    return take_down(services, actor, asked)


def take_down(services: Services, actor: Actor, asked: NewTakedown) -> Takedown:
    """Block a content, host or URL from now on, for a caller that may.

    Raises `InvalidParameterValue` for a value of the wrong form, `Conflict` where it is taken down already.
    """
    user = actor.user[:_MAX_USER] if actor.user is not None else None
    value = _normalised(asked.kind, asked.value)
    takedown = Takedown(services.new_id(), asked.kind, value, asked.reason, services.clock(), user)

    def store(connection: Connection) -> Takedown:
        present = rows.add(connection, takedown)
        if present is not None:
            raise Conflict(f"This {takedown.kind} is taken down already, by takedown '{present}'.")
        _note(connection, actor, "takedown_create", takedown, takedown.created_at)
        return takedown

    return services.db.transact(store, done=lambda connection: rows.find(connection, takedown.id))


def list_takedowns(services: Services, actor: Actor, query: TakedownQuery) -> Page[Takedown]:
    """One page, by id. Raises `PolicyException`, and `InvalidParameterValue` naming the parameter."""
    services.policy.require("takedown:list", actor, {})
    return read_takedowns(services, query)


def read_takedowns(services: Services, query: TakedownQuery) -> Page[Takedown]:
    """One page, for a caller that may see it. Raises `InvalidParameterValue`."""
    after = query.marker
    if after is not None and not _may_be_id(after):
        raise InvalidParameterValue(f"Parameter 'marker' is '{after[:40]}'; take it from 'next' of an earlier page.")
    limit = min(query.limit, services.rules.query.max_page)
    with services.db.look() as connection:
        found = rows.page(connection, limit=limit, kind=query.kind, after=after)
    return page_of(found, limit, lambda takedown: takedown.id)


def show_takedown(services: Services, actor: Actor, takedown_id: str) -> Takedown:
    """One takedown. Raises `PolicyException`, `NotFound`."""
    services.policy.require("takedown:get", actor, {})
    with services.db.look() as connection:
        return _find(connection, takedown_id)


def delete_takedown(services: Services, actor: Actor, takedown_id: str) -> None:
    """Undo a takedown. Raises `PolicyException`, `NotFound`."""
    services.policy.require("takedown:delete", actor, {})
    give_back(services, actor, takedown_id)


def give_back(services: Services, actor: Actor, takedown_id: str) -> Takedown:
    """Undo a takedown, for a caller that may: what it was about is there again at once. Raises `NotFound`."""

    def remove(connection: Connection) -> Takedown:
        takedown = _find(connection, takedown_id)
        if not rows.remove(connection, takedown_id):
            raise _missing(takedown_id)
        _note(connection, actor, "takedown_delete", takedown, services.clock())
        return takedown

    return services.db.transact(remove)


def represent_takedown(takedown: Takedown) -> documents.Takedown:
    """A takedown as the API shows it to those who may see it."""
    return documents.Takedown(
        id=takedown.id,
        kind=takedown.kind,
        value=takedown.value,
        reason=takedown.reason,
        created_at=moment.text(takedown.created_at),
        created_by=takedown.created_by,
    )


def _normalised(kind: TakedownKind, value: str) -> str:
    """The one spelling of `value` that is stored. Raises `InvalidParameterValue`.

    What may be requested has no say: a URL that was recorded under other rules is taken down too.
    """
    if kind is TakedownKind.DIGEST:
        if not _SHA256.match(value):
            raise InvalidParameterValue("'value' of a digest must be a sha256 of 64 hexadecimal digits.")
        return value.lower()
    try:
        if kind is TakedownKind.URL:
            return parse(value, ANY_URL).text
        url = parse(f"{_SCHEME}://{_bracketed(value)}", ANY_URL)
    except LocationRefused as refused:
        why = refused.message.removeprefix("The value of 'url' cannot be used: ")
        raise InvalidParameterValue(f"'value' of a {kind} cannot be used: {why}") from None
    if "/" in value or "?" in value or url.redacted != f"{_SCHEME}://{_bracketed(url.host)}":
        raise InvalidParameterValue("'value' of a host must be a name or an address alone, such as files.example.org.")
    return url.host


def _bracketed(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _find(connection: Connection, takedown_id: str) -> Takedown:
    found = rows.find(connection, takedown_id) if _may_be_id(takedown_id) else None
    if found is None:
        raise _missing(takedown_id)
    return found


def _may_be_id(text: str) -> bool:
    return len(text) <= 36 and text.isascii() and "\0" not in text


def _note(connection: Connection, actor: Actor, action: str, takedown: Takedown, now: int) -> None:
    """The audit log says what was done to which takedown. It holds no URL beyond its host."""
    of_url = takedown.kind is TakedownKind.URL
    value = visible_url(takedown.value, confidential=True, full=False) if of_url else takedown.value
    entry = AuditEntry(
        now,
        action,
        actor,
        target=takedown.id,
        detail={"kind": takedown.kind.value, "value": value},
        request_id=REQUEST_ID.get(),
    )
    audit_rows.record(connection, [entry])


def _missing(takedown_id: str) -> NotFound:
    return NotFound(f"There is no takedown '{takedown_id[:40]}'; list them at /takedowns.")
