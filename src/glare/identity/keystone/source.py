"""Tokens of Keystone, checked by keystonemiddleware; see docs/explanation/identity-keystone.md."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec

from glare.domain.actor import Actor
from glare.domain.limits import UNLIMITED, Limits
from glare.errors import Unauthorized, Unavailable
from glare.identity.base import UNDECIDED, Credentials, Undecided, of_a_domain
from glare.identity.keystone.library import Middleware, environ
from glare.identity.keystone.memory import ActorMemory, TokenMemory
from glare.identity.token_text import PREFIX

LOG = logging.getLogger(__name__)

_FERNET: Final = "gAAAA"
"""How every Fernet token begins: version 0x80, and a time of this century."""
_SHARED_SECONDS: Final = 5.0
"""How long a process remembers what memcached may have had for most of its time there."""
_REST_SECONDS: Final = 1.0
"""How long Keystone is left alone when it did not answer."""
_LONGEST: Final = 2048
"""Bytes of a token. Keystone makes none beyond 1024, and a web server before it may break off a request that has more,
which would look as if it were down."""
_RENEWAL: Final = "Get a new one with: openstack token issue."


class KeystoneSource:
    """Takes ``X-Auth-Token`` (and Swift's older ``X-Storage-Token``), but for tokens of another form: Glare's own, and
    JWTs that Keystone did not make.
    """

    name = "keystone"
    remedy = "Send a token of Keystone in the X-Auth-Token header, as from: openstack token issue."

    def __init__(
        self,
        middleware: Middleware,
        tokens: TokenMemory,
        *,
        remembered: int,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._middleware = middleware
        self._tokens = tokens
        self._clock = clock
        self._wall_clock = wall_clock
        self._actors = ActorMemory(remembered, clock, wall_clock)
        self._rests_until = -math.inf

    @property
    def challenges(self) -> tuple[str, ...]:
        return (self._middleware.challenge,)

    def known(self, credentials: Credentials) -> Actor | Undecided | None:
        token = _user_token(credentials.headers)
        if not _may_be_keystones(token):
            return None
        return self._actors.get(_digest(token, credentials.headers)) or UNDECIDED

    def decide(self, credentials: Credentials) -> Actor | None:
        token = _user_token(credentials.headers)
        if not _may_be_keystones(token):
            return None
        service = credentials.headers.get("x-service-token")
        if service and not _can_be_sent(service.strip()):
            raise Unauthorized("The X-Service-Token header holds no token of Keystone; leave it out, or send one.")
        if self._clock() < self._rests_until:
            raise Unavailable("Keystone did not answer a moment ago, and says who is calling; retry later.")
        request = self._middleware.request_class(self._environ(credentials))
        with self._tokens.watched() as seen:
            confirmed = self._confirmed(request)
        if not confirmed:
            if "x-auth-token" in credentials.headers and not token.startswith(_FERNET) and not _is_jws(token):
                return None
            raise Unauthorized(
                "Keystone does not accept this token for this request: it has expired or was revoked, its access rules "
                f"do not allow the request, or the service token beside it is none. {_RENEWAL}"
            )
        actor, ends = self._actor(request)
        rules = _application_credential(request).get("access_rules")
        actor = actor if rules is None else replace(actor, restricted=True)
        until = seen.until
        if self._middleware.shared:
            until = self._clock() + min(_SHARED_SECONDS, self._middleware.cache_time)
        if rules is None and until < math.inf:
            self._actors.put(_digest(token, credentials.headers), actor, until, ends)
        return actor

    def again(self, actor: Actor, _: str | None) -> Actor | None:
        """Keystone tells of tokens that it is shown, and of nobody else."""
        return actor if actor.source == self.name else None

    def _confirmed(self, request: Any) -> bool:
        """What `AuthProtocol.__call__` does before it calls the application: whether it would call it.

        Raises `Unavailable` where Keystone has not said.
        """
        try:
            response = self._middleware.protocol.process_request(request)
        except self._middleware.refusals as refusal:
            if getattr(refusal, "code", None) == 401:
                return False
            raise self._down(refusal.__context__ or refusal) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody has said who is calling
            raise self._down(error) from None
        return response is None and bool(request.user_token_valid)

    def _down(self, error: BaseException) -> Unavailable:
        """Leave a Keystone that does not answer alone for a moment. The words of errors may hold tokens, and are not
        logged.
        """
        if isinstance(error, self._middleware.unreachable):
            self._rests_until = self._clock() + _REST_SECONDS
        LOG.error("Keystone cannot be asked about a token (%s), which is answered 503", type(error).__name__)
        return Unavailable("Keystone, which says who is calling, cannot be reached or is in trouble; retry later.")

    def _actor(self, request: Any) -> tuple[Actor, float]:
        """The caller, and when the word of Keystone ends, in seconds since the epoch."""
        user = request.token_auth.user
        service = request.token_auth.service if request.service_token and request.service_token_valid else None
        if user.domain_id and not user.project_id:
            raise of_a_domain()
        now = self._wall_clock()
        ends = _timestamp(user.expires)
        actor = Actor(
            user=user.user_id,
            project=user.project_id,
            roles=frozenset(name.strip() for name in user.role_names),
            domain=user.project_domain_id,
            system=bool(user.system_scoped and user.system.get("all")),
            service_roles=frozenset(name.strip() for name in service.role_names) if service else frozenset(),
            limits=_limits(_application_credential(request)),
            expires=ends,
            source=self.name,
            credential=_id_of(request),
        )
        # A token that has ended already was taken on the word of a service, and is taken for as long as that holds.
        bounds = [moment for moment in (ends, _timestamp(service.expires) if service else math.inf) if moment > now]
        return actor, min(bounds, default=now)

    def _environ(self, credentials: Credentials) -> dict[str, Any]:
        """The request as WSGI has it. Of its headers only the tokens: nothing else of a caller's has a say."""
        headers = credentials.headers
        path = credentials.path.encode("utf-8", "surrogateescape").decode("latin-1")
        sent = {
            f"HTTP_{name.upper().replace('-', '_')}": headers[name]
            for name in ("x-auth-token", "x-storage-token", "x-service-token")
            if name in headers
        }
        return {
            "REQUEST_METHOD": credentials.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "glare",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            **sent,
            **environ(self._tokens),
        }


def _application_credential(request: Any) -> Mapping[str, Any]:
    """What Keystone says of the application credential that a token is of; empty where it is of none."""
    found: Mapping[str, Any] = request.token_info["token"].get("application_credential") or {}
    return found


def _limits(credential: Mapping[str, Any]) -> Limits:
    """What an application credential lets make: other credentials only where its user has made it unrestricted, as in
    Keystone itself; and none where it has access rules, which these would not have.
    """
    if not credential or (credential.get("restricted") is False and not credential.get("access_rules")):
        return UNLIMITED
    return Limits(delegates=False)


def _id_of(request: Any) -> str | None:
    """What Keystone calls the credential: the id of the application credential where the token was made with one, else
    the audit id of the token, by which the logs of Keystone name it.
    """
    audit_ids = request.token_info["token"].get("audit_ids") or ()
    return _application_credential(request).get("id") or next(iter(audit_ids), None)


def _user_token(headers: Mapping[str, str]) -> str:
    return headers.get("x-auth-token", headers.get("x-storage-token", "")).strip()


def _digest(token: str, headers: Mapping[str, str]) -> bytes:
    """What callers are remembered by: both tokens, since the one decides what the other may do."""
    service = headers.get("x-service-token")
    parts = (token,) if service is None else (token, service.strip())
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).digest()


def _may_be_keystones(token: str) -> bool:
    if not _can_be_sent(token) or token.startswith(PREFIX):
        return False
    return token.count(".") != 2 or _is_jws(token)


def _can_be_sent(token: str) -> bool:
    return 0 < len(token) <= _LONGEST and token.isascii() and token.isprintable() and " " not in token


class _Claims(msgspec.Struct):
    openstack_methods: Any = None


def _is_jws(token: str) -> bool:
    """Whether a token is a JWT that Keystone makes. Others are somebody's who has not meant them for Keystone."""
    parts = token.split(".")
    if len(parts) != 3:
        return False
    try:
        claims = msgspec.json.decode(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), type=_Claims)
    except (ValueError, msgspec.DecodeError):
        return False
    return claims.openstack_methods is not None


def _timestamp(moment: datetime) -> float:
    return moment.timestamp()
