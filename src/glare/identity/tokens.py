"""API tokens of the database, as an identity source: what is known already is answered without it.

A process remembers the tokens that it has looked up, and those texts that are none. While it gets requests, it reads
the number of the last revocation once a second, in a thread of its own; when that has grown, it forgets what was
revoked. What it remembers counts for twice as long, so that a revoked token is refused by all processes within seconds.
Where the database does not answer, tokens that are remembered go on until they expire, and others are "not now". That
is so where the number cannot be read by either of two connections, or does not come within twice the interval.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, Protocol, TypeVar

from glare.context import PARTY
from glare.domain.actor import Actor
from glare.domain.callers.api_token import ApiToken, Network
from glare.domain.moment import HOUR, SECOND
from glare.errors import GlareError, TooManyRequests, Unauthorized
from glare.identity.base import UNDECIDED, Credentials, Undecided, token_of
from glare.identity.token_text import PREFIX, REMEDY, digest_of, is_token
from glare.shares import Party

_log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

_TAKEN_OVER: Final = "token_file"
_USE_EVERY: Final = HOUR
_FORGET_UNKNOWN: Final = 10.0
"""Seconds for which a text that is no token is not looked up again."""

_LONG: Final = 3600.0
"""Who has not looked for so many seconds remembers nothing: what was revoked in between may be gone already."""

_MINUTE: Final = 60.0
_MOST_PARTIES: Final = 4096


class TokenRows(Protocol):
    """What the source asks the database. Each may block, and raises `Unavailable` where there is no answer."""

    def revoked_since(self, revocation: int | None, *, elsewhere: bool = False) -> tuple[int, Sequence[str]]:
        """The number of the last revocation, and the hashes of what was revoked after the one of this number (None: it
        does not matter). `elsewhere`: by another connection than usually, which may be the only one that is silent.
        """

    def find(self, digest: str) -> ApiToken | None:
        """The token that has this hash, also one that is revoked or expired."""

    def fetch(self, token_id: str) -> ApiToken | None:
        """The token of this id, also one that is revoked or expired."""

    def used(self, token_id: str, at_most_every: int) -> None:
        """Record that it is used, unless that was recorded less than `at_most_every` microseconds ago."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`look_every` in seconds; `remembered` tokens, and as many texts that are none; `unknown` of those that one
    network may have looked up in a minute.
    """

    look_every: float = 1.0
    remembered: int = 10_000
    unknown: int = 60


_USUAL: Final = Bounds()


@dataclass(slots=True)
class _Known:
    actor: Actor
    networks: tuple[Network, ...] | None
    revoked: bool
    used_at: int | None


class TokensSource:
    """Takes tokens that begin with `PREFIX`. Those whose checksum is wrong are refused without a look-up, and those
    that are not known are left to other sources.
    """

    name = "tokens"
    remedy = REMEDY
    challenges = ('Bearer realm="glare"',)

    def __init__(
        self,
        rows: TokenRows,
        bounds: Bounds = _USUAL,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._bounds = bounds
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._unknown: dict[str, float] = {}
        self._misses = _Misses(bounds.unknown, monotonic)
        self._lock = threading.Lock()  # of what is remembered
        self._revocation: int | None = None
        self._looked_at: float | None = None  # when the number was read last
        self._failed_at: float | None = None  # when it could not be read last, and could not since
        self._asked_at = 0.0
        self._is_inside = lru_cache(4096)(_is_inside)
        self._look: Future[None] | None = None  # that is under way, or was the last
        self._second: Future[None] | None = None  # the same, by another connection
        self._began_at = 0.0  # the first of both
        self._aside = ThreadPoolExecutor(1, "glare-tokens")
        self._elsewhere = ThreadPoolExecutor(1, "glare-tokens-elsewhere")
        self._uses = ThreadPoolExecutor(1, "glare-tokens-used")

    def known(self, credentials: Credentials) -> Actor | Undecided | None:
        """The caller, as far as it is remembered. Raises `Unauthorized`."""
        token = _token_in(credentials)
        if token is None:
            return None
        digest = digest_of(token)
        found = self._known.get(digest)
        if found is None:
            return None if self._is_unknown(digest) else UNDECIDED
        now = self._monotonic()
        if now - self._asked_at >= self._bounds.look_every:
            self._asked_at = now
            self._begin_look(now)
        if not self._counts(now):
            return UNDECIDED
        return self._judge(found, credentials)

    def decide(self, credentials: Credentials) -> Actor | None:
        """The caller. Raises `Unauthorized`, `Unavailable`, and `TooManyRequests` for a network that has had too many
        unknown tokens looked up.
        """
        token = _token_in(credentials)
        if token is None:
            return None
        digest = digest_of(token)
        now = self._monotonic()
        if not self._counts(now):
            with suppress(NotYet):
                self._begin_look(now).result(2 * self._bounds.look_every)
        found = self._known.get(digest)
        if found is None:
            if self._is_unknown(digest):
                return None
            found = self._find(digest)
        return None if found is None else self._judge(found, credentials)

    def again(self, actor: Actor, address: str | None) -> Actor | None:
        """Looks the token up, so that a revoked one counts nowhere from that moment on. Vouches also for those of a
        token file whose token was taken over into the database.
        """
        if actor.source not in (self.name, _TAKEN_OVER) or actor.credential is None:
            return None
        token = self._rows.fetch(actor.credential)
        if token is None or (token.user, token.project) != (actor.user, actor.project):
            return None
        if actor.source == _TAKEN_OVER and token.source != _TAKEN_OVER:
            return None  # Another one, that has got the same short id.
        if token.ends_by(int(self._clock() * SECOND)):
            return None
        found = _known_of(token)
        inside = found.networks is None or self._is_inside(address, found.networks)
        return found.actor if inside else None

    def _find(self, digest: str) -> _Known | None:
        party = PARTY.get()
        self._misses.require_room(party)
        revocation = self._revocation
        token = self._rows.find(digest)
        with self._lock:
            if token is None:
                self._misses.count(party)
                _remember(self._unknown, digest, self._monotonic(), self._bounds.remembered)
                return None
            found = _known_of(token)
            if (
                revocation is not None and self._revocation == revocation
            ):  # Else it may have been revoked after it was read.
                _remember(self._known, digest, found, self._bounds.remembered)
            return found

    def _counts(self, now: float) -> bool:
        """Whether what is remembered counts: the number was read lately, or cannot be read."""
        often = self._bounds.look_every
        if self._failed_at is not None and now - self._failed_at < 10 * often:
            return True
        if self._looked_at is not None and now - self._looked_at < 2 * often:
            return True
        return _is_under_way(self._look) and self._is_silent(now)

    def _is_silent(self, now: float) -> bool:
        return now - self._began_at >= 2 * self._bounds.look_every

    def _begin_look(self, now: float) -> Future[None]:
        """The look that is under way, else a new one. Where the database is silent, another connection is tried."""
        with self._lock:
            if self._look is None or self._look.done():
                self._began_at = now
                self._look = self._aside.submit(self._read, elsewhere=False)
            elif self._is_silent(now) and not _is_under_way(self._second):
                self._second = self._elsewhere.submit(self._read, elsewhere=True)
            return self._look

    def _read(self, *, elsewhere: bool) -> None:
        """Read the number, and forget what was revoked."""
        began = self._monotonic()
        seen = self._revocation
        try:
            try:
                number, revoked = self._rows.revoked_since(seen, elsewhere=elsewhere)
            except GlareError:
                if elsewhere:
                    raise
                # It may have no connection for this one, and some for requests.
                number, revoked = self._rows.revoked_since(seen, elsewhere=True)
        except GlareError as error:
            _log.warning("revoked tokens cannot be looked for: %s", error.message)
            with self._lock:
                if self._looked_at is None or self._looked_at < began:
                    self._failed_at = self._monotonic()
            return
        with self._lock:
            if self._looked_at is not None and self._looked_at > began:
                return  # The other connection has told more.
            if seen is None or number < seen or self._looked_at is None or began - self._looked_at > _LONG:
                self._known.clear()  # A copy of the database was restored, or it is too long ago.
            for digest in revoked:
                self._known.pop(digest, None)
            self._revocation, self._looked_at, self._failed_at = number, began, None

    def _record_use(self, token_id: str) -> None:
        try:
            self._rows.used(token_id, _USE_EVERY)
        except GlareError as error:
            _log.warning("the last use of a token is not recorded: %s", error.message, extra={"token": token_id})

    def _judge(self, found: _Known, credentials: Credentials) -> Actor:
        actor = found.actor
        if found.revoked:
            raise Unauthorized(f"This token was revoked. {REMEDY}")
        now = self._clock()
        if actor.expires is not None and now >= actor.expires:
            raise Unauthorized(f"This token has expired. {REMEDY}")
        if found.networks is not None and not self._is_inside(credentials.address, found.networks):
            raise Unauthorized(
                "This token may not be used from your address; use it from the networks that it was made for, or "
                "another one."
            )
        micros = int(now * SECOND)
        if (found.used_at is None or micros - found.used_at >= _USE_EVERY) and actor.credential is not None:
            found.used_at = micros
            self._uses.submit(self._record_use, actor.credential)
        return actor

    def _is_unknown(self, digest: str) -> bool:
        since = self._unknown.get(digest)
        return since is not None and self._monotonic() - since < _FORGET_UNKNOWN


class _Misses:
    """How many look-ups of each party found nothing, in this minute."""

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._monotonic = monotonic
        self._counts: dict[Party, tuple[float, int]] = {}

    def require_room(self, party: Party) -> None:
        """Raises `TooManyRequests` for a party that has had its share."""
        since, count = self._counts.get(party, (0.0, 0))
        left = since + _MINUTE - self._monotonic()
        if count >= self._most and left > 0:
            raise TooManyRequests(
                f"{count} unknown tokens were sent from your network within a minute; see that your token is a valid "
                "one, and retry later.",
                retry_after=int(left) + 1,
            )

    def count(self, party: Party) -> None:
        """One more."""
        now = self._monotonic()
        since, count = self._counts.get(party, (now, 0))
        if now - since >= _MINUTE:
            since, count = now, 0
        _remember(self._counts, party, (since, count + 1), _MOST_PARTIES)


def _token_in(credentials: Credentials) -> str | None:
    """The token where it is one of ours. Raises `Unauthorized` for one that was not copied whole."""
    token = token_of(credentials.headers)
    if token is None or not token.startswith(PREFIX):
        return None
    if not is_token(token):
        raise Unauthorized(f"This token is not whole: its checksum is wrong; copy all of it. {REMEDY}")
    return token


def _known_of(token: ApiToken) -> _Known:
    expires = None if token.expires_at is None else token.expires_at / SECOND
    actor = Actor(
        token.user,
        token.project,
        frozenset(token.roles),
        domain=token.domain,
        limits=token.limits,
        expires=expires,
        source=TokensSource.name,
        credential=token.id,
    )
    return _Known(actor, token.networks, token.revoked_at is not None, token.last_used_at)


def _is_inside(address: str | None, networks: tuple[Network, ...]) -> bool:
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    # A socket that listens on IPv6 shows an IPv4 client in this form.
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)


def _is_under_way(look: Future[None] | None) -> bool:
    return look is not None and not look.done()


def _remember(kept: dict[K, V], key: K, value: V, most: int) -> None:
    """Put it there, in the place of the oldest where there are `most`."""
    kept.pop(key, None)
    while len(kept) >= most:
        kept.pop(next(iter(kept)))
    kept[key] = value
