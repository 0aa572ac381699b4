"""The source of API tokens: what it remembers, when it forgets, and what it does where the database is down."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import pytest

from glare.context import PARTY
from glare.domain.actor import Actor
from glare.domain.callers.api_token import ApiToken
from glare.domain.limits import Limits
from glare.errors import TooManyRequests, Unauthorized, Unavailable
from glare.identity.base import UNDECIDED, Credentials
from glare.identity.token_text import digest_of, new_token
from glare.identity.tokens import Bounds, TokensSource
from glare.shares import Party

HOUR = 3600.0


class Rows:
    """A database of tokens: `asked` are the hashes that were looked up."""

    def __init__(self) -> None:
        self.tokens: dict[str, ApiToken] = {}
        self.revoked: list[str] = []
        self.asked: list[str] = []
        self.used_ids: list[str] = []
        self.down = False
        self.silence = threading.Event()  # set: there is none
        self.silence.set()
        self.beginning = threading.Event()
        self.all_silent = self.breaks = False

    def make(self, **members: Any) -> str:
        text = new_token()
        digest = digest_of(text)
        values = {
            "id": f"id-{len(self.tokens)}",
            "sha256": digest,
            "project": "p",
            "user": "ann",
            "roles": ("member",),
            "source": "test",
            "created_at": 0,
        }
        self.tokens[digest] = ApiToken(**{**values, **members})
        return text

    def revoke(self, text: str) -> None:
        digest = digest_of(text)
        found = self.tokens[digest]
        self.tokens[digest] = ApiToken(
            **{name: getattr(found, name) for name in ApiToken.__dataclass_fields__ if name != "revoked_at"},
            revoked_at=1,
        )
        self.revoked.append(digest)

    def revoked_since(self, revocation: int | None, *, elsewhere: bool = False) -> tuple[int, Sequence[str]]:
        if not elsewhere:
            self.beginning.set()
            assert self.silence.wait(30)
            if self.breaks:
                raise Unavailable("The database has fallen silent; retry later.")
        elif self.all_silent:
            assert self.silence.wait(30)
        self._answer()
        number = len(self.revoked)
        return number, () if revocation is None else self.revoked[revocation:]

    def find(self, digest: str) -> ApiToken | None:
        self._answer()
        self.asked.append(digest)
        return self.tokens.get(digest)

    def fetch(self, token_id: str) -> ApiToken | None:
        self._answer()
        return next((token for token in self.tokens.values() if token.id == token_id), None)

    def used(self, token_id: str, at_most_every: int) -> None:
        self._answer()
        assert at_most_every == int(HOUR) * 1_000_000
        self.used_ids.append(token_id)

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("The database does not answer; retry later.")


class World:
    """A source over `rows`, with clocks that a test moves."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - it is frozen, and the same for all
        self.rows = Rows()
        self.now = 1000.0
        self.source = TokensSource(self.rows, bounds, clock=lambda: self.now, monotonic=lambda: self.now)

    def known(self, text: str, address: str | None = "192.0.2.1") -> Any:
        return self.source.known(credentials(text, address))

    def ask(self, text: str, address: str | None = "192.0.2.1") -> Actor | None:
        """As the pipeline asks: what is known, else what is decided."""
        found = self.known(text, address)
        if found is UNDECIDED:
            return self.source.decide(credentials(text, address))
        assert found is None or isinstance(found, Actor)
        return found

    def settle(self) -> None:
        """Let what was begun beside requests end."""
        for threads in (self.source._aside, self.source._elsewhere, self.source._uses):
            threads.submit(lambda: None).result(10)


def credentials(text: str, address: str | None = "192.0.2.1") -> Credentials:
    return Credentials({"x-auth-token": text}, address, address=address)


@contextmanager
def from_network(address: str) -> Iterator[None]:
    token = PARTY.set(Party.network(address))
    try:
        yield
    finally:
        PARTY.reset(token)


@pytest.fixture
def world() -> World:
    return World()


def test_a_token_is_looked_up_once(world: World) -> None:
    """The first request asks the database, the others are answered from memory, with all that the token says."""
    text = world.rows.make(limits=Limits(read_only=True), domain="d", expires_at=2_000_000_000)
    assert world.known(text) is UNDECIDED
    actor = world.ask(text)
    assert actor == Actor("ann", "p", frozenset({"member"}), domain="d", limits=Limits(read_only=True))
    assert actor is not None
    assert (actor.source, actor.credential, actor.expires) == ("tokens", "id-0", 2000.0)
    assert world.known(text) == actor
    assert world.rows.asked == [digest_of(text)]


def test_other_credentials_are_left_to_others(world: World) -> None:
    """What does not begin as our tokens do is nobody's here, and costs no look-up."""
    assert world.known("gAAAAABmXyz") is None
    assert world.source.known(Credentials({}, None)) is None
    assert world.source.decide(Credentials({"authorization": "Basic x"}, None)) is None
    assert world.rows.asked == []


def test_a_wrong_checksum_costs_no_look_up(world: World) -> None:
    """A token that was not copied whole is refused at once."""
    text = world.rows.make()
    for wrong in (
        text[:-1],
        text + "x",
        text[:20] + "0" + text[21:] if text[20] != "0" else text[:20] + "1" + text[21:],
    ):
        with pytest.raises(Unauthorized, match="checksum is wrong"):
            world.known(wrong)
    assert world.rows.asked == []


def test_a_revoked_token_is_forgotten(world: World) -> None:
    """A second after the last look the number is read beside the request; what was revoked is refused then."""
    text, other = world.rows.make(), world.rows.make()
    world.ask(text)
    world.ask(other)
    world.rows.revoke(text)
    world.now += 1.5
    world.known(text)  # It still counts, and the number is read beside it.
    world.settle()
    with pytest.raises(Unauthorized, match="was revoked"):
        world.ask(text)
    assert isinstance(world.known(other), Actor), "what was not revoked is still remembered"


def test_what_was_not_looked_after_does_not_count(world: World) -> None:
    """After an idle time nothing is taken from memory before the number was read."""
    text = world.rows.make()
    world.ask(text)
    world.rows.revoke(text)
    world.now += 2.0
    assert world.known(text) is UNDECIDED
    with pytest.raises(Unauthorized, match="was revoked"):
        world.source.decide(credentials(text))


def test_a_token_that_is_revoked_while_it_is_read_is_not_remembered(world: World) -> None:
    """Whoever read the row before it was revoked, and comes to remember it afterwards, does not."""
    text = world.rows.make()
    world.ask(world.rows.make())
    found = world.rows.tokens[digest_of(text)]
    find = world.rows.find

    def find_slowly(digest: str) -> ApiToken | None:
        world.rows.revoke(text)
        world.now += 1.5
        world.source._read(elsewhere=False)
        find(digest)
        return found

    world.rows.find = find_slowly  # type: ignore[method-assign]  # the race that the test is about
    world.source.decide(credentials(text))
    world.rows.find = find  # type: ignore[method-assign]  # as it was
    with pytest.raises(Unauthorized, match="was revoked"):
        world.ask(text)


def test_a_database_that_is_down_ends_nobody_who_is_known(world: World) -> None:
    """Tokens that are remembered go on, until they expire; others are "not now", and never "wrong"."""
    text = world.rows.make(expires_at=int((world.now + 100) * 1_000_000))
    world.ask(text)
    unknown = world.rows.make()
    world.rows.down = True
    for _ in range(5):
        world.now += 5
        assert isinstance(world.ask(text), Actor)
    with pytest.raises(Unavailable):
        world.ask(unknown)
    world.now += 100
    with pytest.raises(Unauthorized, match="has expired"):
        world.ask(text)
    world.rows.down = False
    world.now += 30
    assert isinstance(world.ask(unknown), Actor)


def test_what_was_revoked_while_the_database_was_away_is_refused_after(world: World) -> None:
    """The first look that works finds what was revoked meanwhile."""
    text = world.rows.make()
    world.ask(text)
    world.rows.down = True
    world.now += 5
    assert isinstance(world.ask(text), Actor)
    world.rows.revoke(text)
    world.rows.down = False
    world.now += 1.5
    world.known(text)
    world.settle()
    with pytest.raises(Unauthorized, match="was revoked"):
        world.ask(text)


@pytest.mark.parametrize("breaks", [False, True])
def test_a_silent_database_keeps_nobody_waiting_who_is_known(world: World, breaks: bool) -> None:
    """However long it says nothing: after a moment whoever is remembered goes on without a thread, and whoever is not
    hears "not now" from the database. When it speaks again, or breaks off, what was revoked meanwhile is refused.
    """
    text, doomed, unknown = world.rows.make(), world.rows.make(), world.rows.make()
    for token in (text, doomed):
        assert isinstance(world.ask(token), Actor)
    world.settle()
    world.rows.beginning.clear()
    world.rows.all_silent, world.rows.breaks = True, breaks
    world.rows.silence.clear()
    try:
        world.now += 1
        assert isinstance(world.known(text), Actor)
        assert world.rows.beginning.wait(10)
        world.now += 1.5
        assert world.known(text) is UNDECIDED, "it may answer any moment"
        for _ in range(30):
            world.now += 1
            assert isinstance(world.known(text), Actor)
        world.rows.down = True
        with pytest.raises(Unavailable):
            world.ask(unknown)
        world.now += 3600
        world.rows.down = False
        world.rows.revoke(doomed)
    finally:
        world.rows.silence.set()
    world.rows.all_silent = world.rows.breaks = False
    world.settle()
    world.now += 11
    with pytest.raises(Unauthorized, match="revoked"):
        world.ask(doomed)
    assert isinstance(world.ask(text), Actor)


def test_one_connection_that_is_silent_hides_no_revocation(world: World) -> None:
    """Requests are served by others: by one of them the number is read too, within the five seconds."""
    text = world.rows.make()
    assert isinstance(world.ask(text), Actor)
    world.settle()
    world.rows.beginning.clear()
    world.rows.silence.clear()
    try:
        world.now += 1
        world.known(text)
        assert world.rows.beginning.wait(10)
        world.rows.revoke(text)
        for _ in range(3):
            world.now += 1
            world.known(text)
        world.source._elsewhere.submit(lambda: None).result(10)
        with pytest.raises(Unauthorized, match="revoked"):
            world.ask(text)
    finally:
        world.rows.silence.set()


def test_one_connection_that_breaks_hides_no_revocation(world: World) -> None:
    """A server that grants none for this, and serves requests, is asked by one of theirs."""
    text = world.rows.make()
    assert isinstance(world.ask(text), Actor)
    world.settle()
    world.rows.breaks = True
    world.rows.revoke(text)
    world.now += 1
    world.known(text)
    world.settle()
    with pytest.raises(Unauthorized, match="revoked"):
        world.ask(text)


def test_nothing_is_remembered_before_the_number_was_read(world: World) -> None:
    """Where the number could not be read, a token that was found all the same is not kept: nobody would look after
    it.
    """
    text = world.rows.make()
    revoked_since = world.rows.revoked_since

    def fail(revocation: int | None, *, elsewhere: bool = False) -> tuple[int, Sequence[str]]:
        raise Unavailable("not now")

    world.rows.revoked_since = fail  # type: ignore[method-assign]  # the failure that the test is about
    assert isinstance(world.ask(text), Actor)
    world.rows.revoke(text)
    world.rows.revoked_since = revoked_since  # type: ignore[method-assign]  # as it was
    with pytest.raises(Unauthorized, match="was revoked"):
        world.ask(text)


def test_a_restored_database_is_asked_anew(world: World) -> None:
    """Where the number goes back, a copy was restored, and nothing that is remembered counts."""
    text, other = world.rows.make(), world.rows.make()
    world.rows.revoke(other)
    world.ask(text)
    world.rows.revoked = []
    del world.rows.tokens[digest_of(text)]
    world.now += 2
    assert world.ask(text) is None


def test_unknown_tokens_are_looked_up_once_in_a_while(world: World) -> None:
    """The same unknown token costs one look-up in ten seconds, and is left to other sources."""
    text = new_token()
    assert [world.ask(text) for _ in range(3)] == [None, None, None]
    assert len(world.rows.asked) == 1
    world.now += 10
    world.ask(text)
    assert len(world.rows.asked) == 2


def test_a_network_has_its_share_of_unknown_tokens() -> None:
    """Who sends ever new tokens is refused without a look-up; others, and those who have a token, do not notice."""
    world = World(Bounds(unknown=5))
    mine = world.rows.make()
    with from_network("192.0.2.1"):
        assert [world.ask(new_token()) for _ in range(5)] == [None] * 5
        asked = len(world.rows.asked)
        with pytest.raises(TooManyRequests) as refused:
            world.ask(new_token())
        assert refused.value.retry_after is not None
        assert len(world.rows.asked) == asked
    with from_network("198.51.100.1"):
        assert isinstance(world.ask(mine), Actor)
        assert world.ask(new_token()) is None
    with from_network("192.0.2.1"):
        assert isinstance(world.ask(mine), Actor)
        world.now += 61
        assert world.ask(new_token()) is None


def test_memory_is_bounded() -> None:
    """However many tokens come, known or not, only so many are remembered."""
    world = World(Bounds(remembered=100, unknown=10_000))
    for _ in range(150):
        world.ask(world.rows.make())
        world.ask(new_token())
    assert len(world.source._known) == 100
    assert len(world.source._unknown) == 100


def test_networks_are_told_by_the_clients_address(world: World) -> None:
    """An IPv4 address in its IPv6 form is the same; who has no address is nowhere."""
    text = world.rows.make(networks=(ip_network("192.0.2.0/28"), ip_network("2001:db8::/32")))
    for address in ("192.0.2.15", "::ffff:192.0.2.15", "2001:db8::7"):
        assert isinstance(world.ask(text, address), Actor)
    for elsewhere in ("192.0.2.16", "2001:db9::7", None, "unix", "::1"):
        with pytest.raises(Unauthorized, match="from your address"):
            world.ask(text, elsewhere)


def test_use_is_recorded_once_an_hour(world: World) -> None:
    """Of many uses the first in an hour is recorded; one that cannot be recorded is no reason to refuse."""
    text = world.rows.make()
    for _ in range(3):
        world.ask(text)
        world.settle()
    assert world.rows.used_ids == ["id-0"]
    world.now += HOUR
    world.rows.down = True
    assert isinstance(world.ask(text), Actor)
    world.settle()
    assert world.rows.used_ids == ["id-0"]
