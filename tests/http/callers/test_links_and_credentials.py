"""Links end with the credential that they were made with, and are limited as that is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from glare.app import build_services, close, create_application
from glare.cli.main import main
from glare.db.callers import links as rows
from glare.db.callers import tokens as token_rows
from glare.db.callers.links import Wanted
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.moment import SECOND
from glare.identity.pipeline import Pipeline
from glare.identity.token_file import TokenFile
from support.identities import Asked
from support.origins.egress import resolve
from support.service import ActorClient, Glare, Json, running
from support.token_nodes import SINCE, TokenNodes, token_nodes

HOUR = 3600
MEMBER = frozenset({"member"})


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenNodes]:
    """Both nodes, shared by the tests of this module: each has projects of its own."""
    with token_nodes(tmp_path_factory.mktemp("links")) as found:
        yield found


def image(who: ActorClient, name: str = "linked") -> Json:
    return who.upload(who.create("images", name=name), "image", b"bytes")


def try_link(who: ActorClient, artifact: Json, **members: Any) -> httpx2.Response:
    return who.request("POST", "/links", json={"artifact": artifact["id"], "blob": "image", **members})


def link_to(who: ActorClient, artifact: Json, **members: Any) -> Json:
    answer = try_link(who, artifact, **members)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def follow(glare: Glare, link: Json, address: str = "127.0.0.1") -> int:
    """The status that a reader at this address gets."""
    reader = TestClient(glare.client.app, client=(address, 50000), raise_server_exceptions=False)
    return reader.get(urlsplit(link["url"]).path, follow_redirects=False).status_code


def listed(who: ActorClient) -> list[str]:
    return [link["id"] for link in who.request("GET", "/links").json()["links"]]


def test_a_link_ends_with_its_token(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """At once, and nobody is shown it any more; the maker's other links stay. The audit log says what it went with."""
    session = f"ann:{unique()}:member"
    user = nodes.users.actor(session)
    first, second = nodes.make(session), nodes.make(session)
    artifact = image(nodes.bearer(first))
    one, two, own = (link_to(who, artifact) for who in (nodes.bearer(first), nodes.bearer(second), user))
    assert [follow(nodes.tokens, link) for link in (one, two)] == [200, 200]
    assert user.request("DELETE", f"/tokens/{first['id']}", headers=SINCE).status_code == 204
    assert [follow(nodes.tokens, link) for link in (one, two)] == [404, 200]
    assert follow(nodes.users, own) == 200
    assert listed(user) == sorted([two["id"], own["id"]])
    admin = nodes.users.admin
    [entry] = [
        one
        for one in admin.request("GET", "/audit?action=link.delete").json()["audit"]
        if one["detail"].get("made_with") == [first["id"]]
    ]
    assert (entry["user"], entry["detail"]["links"]) == ("ann", 1)


def test_a_link_ends_with_the_token_that_its_token_was_made_with(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """To know all that a leaked token has left behind, it is enough to revoke it."""
    session = f"ann:{unique()}:member,token_maker"
    parent = nodes.make(session)
    child = nodes.bearer(parent).request("POST", "/tokens", json={}, headers=SINCE).json()
    link = link_to(nodes.bearer(child), image(nodes.bearer(child)))
    assert follow(nodes.tokens, link) == 200
    assert nodes.users.actor(session).request("DELETE", f"/tokens/{parent['id']}", headers=SINCE).status_code == 204
    assert follow(nodes.tokens, link) == 404


def test_a_link_that_is_made_while_its_token_is_revoked_leads_nowhere(
    nodes: TokenNodes, unique: Callable[[], str]
) -> None:
    """Its row came a moment too late to be removed with the token's; the token is looked at whenever it is followed."""
    token = nodes.make(f"ann:{unique()}:member")
    link = link_to(nodes.bearer(token), image(nodes.bearer(token)))
    now = nodes.users.services.clock()
    revoked = nodes.users.services.db.transact(lambda connection: token_rows.revoke(connection, [token["id"]], now))
    assert len(revoked) == 1
    assert follow(nodes.tokens, link) == 404


def test_a_link_never_outlives_its_token(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """It is shown to end when the token does; who asks for more is told; and a token that is cut short ends it."""
    session = f"ann:{unique()}:member"
    ends = int(time.time()) + HOUR
    token = nodes.make(session, expires_at=moment.text(ends * SECOND))
    artifact = image(nodes.bearer(token))
    link = link_to(nodes.bearer(token), artifact)
    assert moment.read(link["expires_at"]) == ends * SECOND
    refused = try_link(nodes.bearer(token), artifact, expires_in=2 * HOUR)
    assert refused.status_code == 400
    assert token["expires_at"] in refused.text
    shorter = link_to(nodes.bearer(token), artifact, expires_in=60)
    assert moment.read(shorter["expires_at"]) < ends * SECOND
    assert moment.read(link_to(nodes.users.actor(session), artifact)["expires_at"]) > ends * SECOND
    assert follow(nodes.tokens, link) == 200
    with nodes.users.services.db.write() as connection:
        stored = token_rows.fetch(connection, token["id"])
        assert stored is not None
        token_rows.retire(connection, ends * SECOND + 1, 1000)  # As if it were long over.
    assert follow(nodes.tokens, link) == 404


def test_a_link_is_read_where_its_token_may_be_used(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """Whoever reads by it reads as the bearer of the token, who may not come from elsewhere."""
    token = nodes.make(f"ann:{unique()}:member", networks=["127.0.0.0/8"])
    link = link_to(nodes.bearer(token), image(nodes.bearer(token)))
    assert follow(nodes.tokens, link, "127.0.0.9") == 200
    assert follow(nodes.tokens, link, "192.0.2.1") == 404
    narrow = link_to(nodes.bearer(token), image(nodes.bearer(token), "other"), network="192.0.2.0/24")
    assert [follow(nodes.tokens, narrow, address) for address in ("127.0.0.9", "192.0.2.1")] == [404, 404]


def test_a_token_for_some_types_and_names_makes_links_to_those(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """And the link ends where the artifact gets a name that the token is not for."""
    session = f"ann:{unique()}:member"
    user = nodes.users.actor(session)
    named = nodes.bearer(nodes.make(session, names=["app-*"]))
    other_type = nodes.bearer(nodes.make(session, types=["heat_templates"]))
    reader = nodes.bearer(nodes.make(session, read_only=True))
    artifact, beside = image(user, "app-1"), image(user, "secret")
    assert try_link(named, beside).status_code == 403
    assert try_link(other_type, artifact).status_code == 404
    assert try_link(reader, artifact).status_code == 403
    link = link_to(named, artifact)
    assert follow(nodes.tokens, link) == 200
    assert user.set(artifact, name="secret-2").status_code == 200
    assert follow(nodes.tokens, link) == 404
    assert user.set(artifact, name="app-2").status_code == 200
    assert follow(nodes.tokens, link) == 200


def test_a_node_that_would_not_let_the_maker_in_follows_no_link(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """Who has taken a source out of the pipeline trusts it for nothing any more."""
    session = f"ann:{unique()}:member"
    token = nodes.make(session)
    artifact = image(nodes.bearer(token))
    by_token, by_session = link_to(nodes.bearer(token), artifact), link_to(nodes.users.actor(session), artifact)
    assert [follow(node, by_token) for node in (nodes.tokens, nodes.users)] == [200, 404]
    assert [follow(node, by_session) for node in (nodes.tokens, nodes.users)] == [404, 200]


def test_a_link_of_an_older_release_lasts_until_it_expires(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """Nobody knows with what it was made; an operator can end it."""
    session = f"ann:{unique()}:member"
    link = link_to(nodes.users.actor(session), image(nodes.users.actor(session)))
    with nodes.users.services.db.write() as connection:
        stored = rows.find(connection, link["id"])
        assert stored is not None
        rows.remove(connection, stored.id)
        rows.add(connection, replace(stored, maker=replace(stored.maker, source="", credential=None)))
    assert [follow(node, link) for node in (nodes.tokens, nodes.users)] == [200, 200]
    with nodes.users.services.db.write() as connection:
        assert rows.remove_all(connection, Wanted(stored.project)) == 1
    assert follow(nodes.users, link) == 404


def within_seconds(glare: Glare, link: Json, status: int) -> bool:
    until = time.monotonic() + 5
    while follow(glare, link) != status:
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def test_a_link_ends_with_its_token_of_a_file_also_once_that_was_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it is removed from the file, and where the command has put it into the database and it is revoked there."""
    text = "[identity]\npipeline = token_file, tokens\n[tokens]\nlook_every = 0.1 s\n"
    with running(tmp_path, text) as glare:
        file = TokenFile(glare.settings.identity.token_file)
        (text_1, one), (text_2, two), (text_3, three) = (file.create("p", "ann", ("member",)) for _ in range(3))
        artifact = image(glare.actor(text_1))
        first, second = link_to(glare.actor(text_1), artifact), link_to(glare.actor(text_2), artifact)
        file.revoke(one.id)
        assert within_seconds(glare, first, 404)
        assert follow(glare, second) == 200
        options = ["--config-file", str(tmp_path / "glare.conf")]
        third = link_to(glare.actor(text_3), artifact)
        assert main(["token", "revoke", three.id, *options]) == 0
        assert within_seconds(glare, third, 404)
        assert main(["token", "import", *options]) == 0
        time.sleep(1.1)  # The file is looked at once a second.
        assert [follow(glare, link) for link in (first, second)] == [404, 200]
        assert main(["token", "revoke", two.id, *options]) == 0
        assert follow(glare, second) == 404
        with glare.services.db.read() as connection:
            assert [link.id for link in rows.page(connection, Wanted("p"), limit=9)] == [first["id"]]
    capsys.readouterr()


@contextmanager
def known_as(glare: Glare, actor: Actor) -> Iterator[Glare]:
    """A node of which every caller is this one."""
    services = build_services(glare.settings, resolve=resolve)
    identity = Pipeline([Asked("", lambda _: actor)])
    application = create_application(glare.settings, with_worker=False, services=services, identity=identity)
    with TestClient(application, raise_server_exceptions=False, client=("127.0.0.1", 50000)) as client:
        yield Glare(glare.settings, services, client)
    close(services)


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"service_roles": frozenset({"service"})}, "service acts for you"),
        ({"restricted": True}, "application credential"),
    ],
)
def test_who_is_good_for_a_request_only_makes_no_links(tmp_path: Path, members: dict[str, Any], word: str) -> None:
    """A service that acts for a user, and an application credential with access rules: nobody could ask them later."""
    usual = Actor("alice", "wonderland", MEMBER, source="asked")
    with running(tmp_path) as glare:
        artifact = image(glare.alice)
        with known_as(glare, usual) as node:
            link_to(node.alice, artifact)
        with known_as(glare, replace(usual, **members)) as node:
            refused = try_link(node.alice, artifact)
            assert (refused.status_code, word in refused.text) == (403, True)
