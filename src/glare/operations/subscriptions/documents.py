"""Documents that describe subscriptions: what clients send, checked member by member."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from glare.domain.declared.coercion import shown
from glare.domain.subscription import EVENTS, Scope
from glare.errors import BadRequest, InvalidParameterValue, LocationRefused
from glare.events.webhooks import is_secret
from glare.operations.services import Services

_LONGEST: Final = 255
_SCOPES: Final = {"type_name": 64, "artifact": 36, "location": 32}


def parse_new(services: Services, body: Any) -> dict[str, Any]:
    """What a new subscription is to be: description, target, events, scope, and a secret where the client has one.

    Raises `BadRequest` that names the member.
    """
    found = _parse(services, body, _NEW)
    if "target" not in found:
        raise BadRequest("Member 'target' is required: the URL that events are sent to.")
    return {"description": "", "events": None, "scope": Scope(), **found}


def parse_changes(services: Services, body: Any) -> dict[str, Any]:
    """What is to change, by member. Raises `BadRequest` that names the member."""
    return _parse(services, body, _CHANGEABLE)


def parse_secret(services: Services, body: Any) -> str | None:
    """The secret that the client brings, None where it wants one to be made. Raises `BadRequest`."""
    found: str | None = _parse(services, body, {"secret": _secret}).get("secret")
    return found


def parse_token(body: Any) -> str:
    """The token of a confirmation. Raises `BadRequest`."""
    token = body.get("token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        raise BadRequest("The body must be a JSON object with the member 'token', as the target got it.")
    return token


def _parse(services: Services, body: Any, members: Mapping[str, Callable[[Services, Any], Any]]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadRequest(f"The body must be a JSON object with members out of {', '.join(members)}.")
    unknown = sorted(set(body) - set(members))
    if unknown:
        raise BadRequest(f"Member {shown(unknown[0])} is not known here; use {', '.join(members)}.")
    return {name: parse(services, body[name]) for name, parse in members.items() if name in body}


def _description(_: Services, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or "\0" in value:
        raise BadRequest(f"Member 'description' must be a string of at most {_LONGEST} characters without NUL.")
    return value


def _target(services: Services, value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest("Member 'target' must be a string: the URL that events are sent to.")
    try:
        return services.webhooks.parse(value).text
    except LocationRefused as refused:
        raise InvalidParameterValue(refused.message.replace("'url'", "'target'")) from refused


def _events(_: Services, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise BadRequest("Member 'events' must be an array of names of events, or null for all of them.")
    for name in value:
        if name not in EVENTS:
            raise InvalidParameterValue(
                f"Member 'events' has {shown(name)}, which is no event; there are {', '.join(EVENTS)}."
            )
    return tuple(dict.fromkeys(value))


def _scope(services: Services, value: Any) -> Scope:
    if value is None:
        return Scope()
    if not isinstance(value, dict) or len(value) > 1 or not set(value) <= set(_SCOPES):
        raise BadRequest(f"Member 'scope' must be null, or an object with one of {', '.join(_SCOPES)}.")
    for name, named in value.items():
        if not isinstance(named, str) or not 0 < len(named) <= _SCOPES[name] or not named.isascii() or "\0" in named:
            raise BadRequest(f"Member 'scope.{name}' must be a string of 1 to {_SCOPES[name]} ASCII characters.")
    type_name = value.get("type_name")
    if type_name is not None and type_name not in services.types.names:
        raise InvalidParameterValue(f"Member 'scope.type_name' is {shown(type_name)}, and no type has this name here.")
    return Scope(type_name, value.get("artifact"), value.get("location"))


def _secret(_: Services, value: Any) -> str:
    # Not shown again: it may be right but for a letter.
    if not isinstance(value, str) or not is_secret(value):
        raise BadRequest("Member 'secret' must be 'whsec_' and the base64 of 24 to 64 bytes; leave it away to get one.")
    return value


def _enabled(_: Services, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadRequest("Member 'enabled' must be true or false.")
    return value


_SAME: Final[Mapping[str, Callable[[Services, Any], Any]]] = {
    "target": _target,
    "events": _events,
    "scope": _scope,
    "description": _description,
}
_NEW: Final = {**_SAME, "secret": _secret}
_CHANGEABLE: Final = {**_SAME, "enabled": _enabled}
