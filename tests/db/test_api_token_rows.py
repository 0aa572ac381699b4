"""API tokens as rows: what is in force, what is revoked with what, and the number that tells of it."""

from __future__ import annotations

from collections.abc import Sized
from ipaddress import ip_network

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import IntegrityError

from glare.db.callers import tokens as rows
from glare.db.callers.tokens import Wanted
from glare.documents.tokens import TokenState
from glare.domain.callers.api_token import ApiToken
from glare.domain.limits import Limits

NOW = 1_000_000_000
HOUR = 3600 * 1_000_000


def a_token(name: str, **members: object) -> ApiToken:
    """A token of alice in wonderland, whose id and hash are made of a name."""
    values = {
        "id": name,
        "sha256": name.rjust(64, "0"),
        "project": "wonderland",
        "user": "alice",
        "roles": ("member",),
        "source": "test",
        "created_at": NOW,
    }
    return ApiToken(**{**values, **members})  # type: ignore[arg-type]  # the members are those of the test


def test_a_token_is_kept_as_it_was_made(connection: Connection) -> None:
    """All members survive the way into the row and back, by id and by hash."""
    token = a_token(
        "a1",
        roles=("Member", "rÉader"),
        description="nightly – build",
        limits=Limits(True, frozenset({"images"}), ("ubuntu-*", "ünï*")),
        networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::7")),
        domain="default",
        parent="b1",
        expires_at=NOW + HOUR,
        notify_at=NOW + 1,
    )
    rows.add(connection, [token])
    assert rows.fetch(connection, "a1") == token
    assert rows.by_digest(connection, token.sha256) == token
    assert rows.fetch(connection, "a2") is None
    assert rows.fetch(connection, "é\0") is None


def test_two_tokens_never_share_a_hash(connection: Connection) -> None:
    """The hash is unique: a look-up finds one token or none."""
    rows.add(connection, [a_token("a1")])
    with pytest.raises(IntegrityError), connection.begin_nested():
        rows.add(connection, [a_token("a2", sha256="a1".rjust(64, "0"))])


def test_expired_and_revoked_tokens_are_not_in_force(connection: Connection) -> None:
    """Only tokens that are accepted count, and each state has its list."""
    rows.add(
        connection,
        [
            a_token("a1"),
            a_token("a2", expires_at=NOW + 1),
            a_token("a3", expires_at=NOW),
            a_token("a4"),
            a_token("a5", project="builders"),
        ],
    )
    rows.revoke(connection, ["a4"], NOW)
    assert rows.in_force(connection, "wonderland", NOW) == 2
    listed = {
        state: {token.id for token in rows.page(connection, Wanted("wonderland", None, state), NOW, 10)}
        for state in TokenState
    }
    assert listed == {
        TokenState.ACTIVE: {"a1", "a2"},
        TokenState.EXPIRED: {"a3"},
        TokenState.REVOKED: {"a4"},
    }
    assert rows.active_ids(connection, Wanted("wonderland", "alice"), NOW) == ["a1", "a2"]
    assert rows.active_ids(connection, Wanted(None, "alice"), NOW) == ["a1", "a2", "a5"]
    assert rows.active_ids(connection, Wanted("wonderland", "bob"), NOW) == []


def test_revoking_ends_what_was_made_with_a_token(connection: Connection) -> None:
    """Children and grandchildren end with a token; each revocation has a number, by which it is found."""
    rows.add(
        connection,
        [a_token("a1"), a_token("b1", parent="a1"), a_token("c1", parent="b1"), a_token("d1")],
    )
    before = rows.revocations(connection)
    assert rows.lock(connection) == before
    ended = rows.revoke(connection, ["a1"], NOW + 5)
    assert {token.id for token in ended} == {"a1", "b1", "c1"}
    assert rows.revocations(connection) == before + 1
    assert set(rows.revoked_since(connection, before)) == {name.rjust(64, "0") for name in ("a1", "b1", "c1")}
    assert rows.revoked_since(connection, before + 1) == []
    kept = rows.fetch(connection, "b1")
    assert kept is not None
    assert kept.revoked_at == NOW + 5
    assert rows.revoke(connection, ["a1"], NOW + 6) == []
    assert rows.revocations(connection) == before + 1


def test_any_number_of_tokens_is_revoked_at_once(connection: Connection) -> None:
    """No statement has all of them: PostgreSQL takes 65535 values at most, and an operator's users have more."""
    made = [a_token(f"a{number}", parent=f"a{number - 1000}" if number >= 1000 else None) for number in range(1500)]
    rows.add(connection, made)
    sizes = []

    def see(_: object, __: object, ___: object, parameters: Sized, *____: object) -> None:
        sizes.append(len(parameters))

    event.listen(connection, "before_cursor_execute", see)
    ended = rows.revoke(connection, [token.id for token in made[:1000]], NOW)
    event.remove(connection, "before_cursor_execute", see)
    assert {token.id for token in ended} == {token.id for token in made}
    assert len(ended) == len(made)
    assert max(sizes) < 1100
    assert rows.active_ids(connection, Wanted(None, "alice"), NOW) == []


def test_use_is_recorded_at_most_once_in_an_hour(connection: Connection) -> None:
    """A second use within the hour leaves the time of the first."""
    rows.add(connection, [a_token("a1")])
    for now, expected in ((NOW, NOW), (NOW + HOUR - 1, NOW), (NOW + HOUR, NOW + HOUR)):
        rows.used(connection, "a1", now, HOUR)
        found = rows.fetch(connection, "a1")
        assert found is not None
        assert found.last_used_at == expected


def test_pages_are_newest_first_and_follow_each_other(connection: Connection) -> None:
    """Pages of two have every token once, also where some were made at the same moment."""
    rows.add(connection, [a_token(f"a{number}", created_at=NOW + number // 2) for number in range(5)])
    listed: list[str] = []
    after = None
    while page := rows.page(connection, Wanted("wonderland"), NOW, 2, after):
        listed += [token.id for token in page]
        after = (page[-1].created_at, page[-1].id)
    assert listed == ["a4", "a3", "a2", "a1", "a0"]


def test_tokens_that_expire_soon_are_found_once(connection: Connection) -> None:
    """What is due is found until it was told; what was revoked is not told."""
    rows.add(
        connection,
        [a_token("a1", notify_at=NOW), a_token("a2", notify_at=NOW + 1), a_token("a3", notify_at=NOW)],
    )
    rows.revoke(connection, ["a3"], NOW)
    assert [token.id for token in rows.expiring(connection, NOW, 10)] == ["a1"]
    rows.told(connection, ["a1"])
    assert rows.expiring(connection, NOW, 10) == []
    assert [token.id for token in rows.expiring(connection, NOW + 1, 10)] == ["a2"]


def test_what_is_long_over_is_forgotten(connection: Connection) -> None:
    """Tokens that were revoked or expired before the time go, others stay."""
    rows.add(
        connection, [a_token("a1"), a_token("a2", expires_at=NOW), a_token("a3", expires_at=NOW + HOUR), a_token("a4")]
    )
    rows.revoke(connection, ["a4"], NOW)
    assert rows.retire(connection, NOW + 1, 1) == 1
    assert rows.retire(connection, NOW + 1, 10) == 1
    assert rows.retire(connection, NOW + 1, 10) == 0
    assert {token.id for token in rows.page(connection, Wanted(), NOW, 10)} == {"a1", "a3"}
