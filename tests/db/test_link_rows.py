"""Links as rows: what is open, what was used up, and what is forgotten when."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from sqlalchemy import Connection

from glare.db.callers import links as rows
from glare.db.callers.links import Wanted
from glare.domain.actor import Actor
from glare.domain.callers.link import Link

NOW = 1_000_000_000
HOUR = 3600 * 1_000_000


def a_link(name: str, maker: Actor | None = None, **members: object) -> Link:
    """A link of wonderland's to the blob `image`, made by alice in a session."""
    values = {
        "id": name,
        "maker": maker or Actor("alice", "wonderland", frozenset({"member"}), source="keystone"),
        "project": "wonderland",
        "type_name": "images",
        "artifact_id": "one",
        "path": "image",
        "created_at": NOW,
        "expires_at": NOW + HOUR,
        "network": None,
        "uses_left": None,
        "description": "",
    }
    return Link(**{**values, **members})  # type: ignore[arg-type]  # the members are those of the test


def fill(connection: Connection, *links: Link) -> None:
    for link in links:
        rows.add(connection, link)


def ids(connection: Connection, wanted: Wanted) -> list[str]:
    return [link.id for link in rows.page(connection, wanted, limit=100)]


def test_a_link_is_kept_as_it_was_made(connection: Connection) -> None:
    """With who vouched for its maker, and with what."""
    maker = Actor(
        "Ålice",
        "wonderland",
        frozenset({"member", "rÉader"}),
        domain="d",
        system=True,
        source="tokens",
        credential="t-1",
    )
    link = a_link("a1", maker, network=ip_network("192.0.2.0/24"), uses_left=3, description="nightly – build")
    rows.add(connection, link)
    found = rows.find(connection, "a1")
    assert found == link
    assert found is not None
    assert (found.maker.source, found.maker.credential) == ("tokens", "t-1")
    assert rows.find(connection, "a2") is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["a1", "a2", "a3", "a4"]),
        (Wanted("wonderland"), ["a1", "a2", "a4"]),
        (Wanted(artifact="one"), ["a1", "a3", "a4"]),
        (Wanted(user="alice"), ["a1", "a2", "a3"]),
        (Wanted("wonderland", "one", "alice"), ["a1"]),
        (Wanted("Wonderland"), []),
        (Wanted(user="ALICE"), []),
    ],
)
def test_what_is_wanted_is_listed_and_removed(connection: Connection, wanted: Wanted, found: list[str]) -> None:
    """By project, artifact and maker, each exactly; what is removed is what was listed."""
    bob = Actor("bob", "wonderland", frozenset({"member"}), source="keystone")
    fill(
        connection,
        a_link("a1"),
        a_link("a2", artifact_id="two"),
        a_link("a3", project="builders"),
        a_link("a4", bob),
    )
    assert ids(connection, wanted) == found
    assert rows.remove_all(connection, wanted) == len(found)
    assert ids(connection, Wanted()) == sorted({"a1", "a2", "a3", "a4"} - set(found))


def test_with_the_last_use_a_link_ends(connection: Connection) -> None:
    """Before it the time stays as it was; after it none is left."""
    fill(connection, a_link("a1", uses_left=2), a_link("a2", uses_left=2))
    seen = []
    for time in (NOW + 1, NOW + 2, NOW + 3):
        used = rows.use(connection, "a1", time)
        found = rows.find(connection, "a1")
        assert found is not None
        seen.append((used, found.uses_left, found.expires_at))
    assert seen == [(True, 1, NOW + HOUR), (True, 0, NOW + 2), (False, 0, NOW + 2)]
    other = rows.find(connection, "a2")
    assert other is not None
    assert (other.uses_left, other.expires_at) == (2, NOW + HOUR)


def test_only_links_that_can_be_used_count(connection: Connection) -> None:
    """Neither those that have expired, nor those without a use, nor those of others."""
    fill(
        connection,
        a_link("a1"),
        a_link("a2", uses_left=1),
        a_link("a3", uses_left=0),
        a_link("a4", expires_at=NOW),
        a_link("a5", project="builders"),
    )
    assert rows.count(connection, "wonderland", NOW) == (2, 4)
    rows.remove_ended(connection, "wonderland", NOW)
    assert ids(connection, Wanted()) == ["a1", "a2", "a5"]


def test_what_ended_before_is_forgotten_in_batches(connection: Connection) -> None:
    """Links that expired before the time go, so many at once; others stay."""
    fill(connection, *(a_link(f"a{number}", expires_at=NOW + number) for number in range(4)))
    assert rows.retire(connection, NOW + 3, 2) == 2
    assert rows.retire(connection, NOW + 3, 2) == 1
    assert rows.retire(connection, NOW + 3, 2) == 0
    assert ids(connection, Wanted()) == ["a3"]


def test_links_go_with_what_they_were_made_with(connection: Connection) -> None:
    """Of the sources that are named: the id of a token of another source is another token."""

    def made_with(source: str, credential: str | None) -> Actor:
        return Actor("alice", "wonderland", frozenset({"member"}), source=source, credential=credential)

    fill(
        connection,
        a_link("a1", made_with("tokens", "t-1")),
        a_link("a2", made_with("token_file", "t-1")),
        a_link("a3", made_with("oidc", "t-1")),
        a_link("a4", made_with("tokens", "t-2")),
        a_link("a5", made_with("", None)),
    )
    assert rows.remove_made_with(connection, ["tokens", "token_file"], ["t-1", "t-9"]) == 2
    assert ids(connection, Wanted()) == ["a3", "a4", "a5"]
