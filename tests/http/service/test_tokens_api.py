"""API tokens over HTTP: who may make, see and revoke them, and what they are worth at another node."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from glare.db.audit import page as audit_page
from glare.domain.audit import AuditQuery
from glare.identity.token_text import PATTERN
from support.service import ActorClient
from support.token_nodes import SINCE, TokenNodes, token_nodes

PATIENCE = 5.0
"""Seconds within which every node has to refuse a revoked token."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenNodes]:
    """Both nodes, shared by the tests of this module: each has projects of its own."""
    with token_nodes(tmp_path_factory.mktemp("tokens"), "max_per_project = 5\n") as found:
        yield found


def listed(who: ActorClient, query: str = "") -> list[dict[str, Any]]:
    answer = who.request("GET", f"/tokens{query}", headers=SINCE)
    assert answer.status_code == 200, answer.text
    tokens: list[dict[str, Any]] = answer.json()["tokens"]
    return tokens


def is_refused(who: ActorClient) -> bool:
    """Whether a node refuses the token within the time that it has for learning of it."""
    until = time.monotonic() + PATIENCE
    while who.request("GET", "/artifacts/images").status_code != 401:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_a_token_works_at_another_node_at_once(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """Who comes with a token is its maker in its project: what it creates is theirs. It is shown once."""
    session = f"ann:{unique()}:member"
    made = nodes.make(session, description="nightly build")
    assert re.fullmatch(PATTERN, made["token"])
    assert (made["user"], made["roles"], made["description"]) == ("ann", ["member"], "nightly build")
    created = nodes.bearer(made).create("images", name="mine")
    assert created["owner"] == made["project"]
    assert nodes.users.actor(session).show(created)["name"] == "mine"
    [shown] = listed(nodes.users.actor(session))
    assert shown == {name: value for name, value in made.items() if name not in ("token", "type_name")} | {
        "last_used_at": shown["last_used_at"]
    }
    again = nodes.users.actor(session).request("GET", f"/tokens/{made['id']}", headers=SINCE)
    assert made["token"] not in again.text
    assert again.json() == shown


def test_the_answer_with_a_token_is_never_cached(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """The one answer that has the text says that nobody is to keep it."""
    answer = nodes.try_make(f"ann:{unique()}:member")
    assert answer.headers["cache-control"] == "no-store"


def test_older_versions_know_no_tokens(nodes: TokenNodes) -> None:
    """Below 1.3 there is nothing at these addresses."""
    for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("GET", "/tokens/1"), ("DELETE", "/tokens/1")):
        answer = nodes.users.alice.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code == 404, (method, path, answer.text)


def test_a_revoked_token_is_refused_by_all_nodes_within_seconds(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """A token that a node remembers is refused there soon after it was revoked at another one."""
    session = f"ann:{unique()}:member"
    made = nodes.make(session)
    bearer = nodes.bearer(made)
    assert bearer.page("images")["artifacts"] is not None
    assert nodes.users.actor(session).request("DELETE", f"/tokens/{made['id']}", headers=SINCE).status_code == 204
    assert is_refused(bearer)
    assert "was revoked" in bearer.request("GET", "/artifacts/images").text
    [shown] = listed(nodes.users.actor(session), "?state=revoked")
    assert shown["revoked_at"] is not None
    assert listed(nodes.users.actor(session), "?state=active") == []


def test_a_connection_that_hangs_hides_no_revocation(
    nodes: TokenNodes, unique: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of the last revocation is read by another connection of the node then, which requests use too."""
    session = f"ann:{unique()}:member"
    made = nodes.make(session)
    bearer = nodes.bearer(made)
    assert bearer.request("GET", "/artifacts/images").status_code == 200
    over, aside = threading.Event(), nodes.tokens.services.aside
    read = aside.read

    def hang() -> Any:
        assert over.wait(60)
        return read()

    monkeypatch.setattr(aside, "read", hang)
    try:
        revoked = nodes.users.actor(session).request("DELETE", f"/tokens/{made['id']}", headers=SINCE)
        assert revoked.status_code == 204
        assert is_refused(bearer)
    finally:
        over.set()


def test_users_see_their_own_and_managers_all(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """A member sees and revokes what is theirs; a manager of the project and an admin, what is anybody's there."""
    project = unique()
    mine = nodes.make(f"ann:{project}:member")
    theirs = nodes.make(f"bob:{project}:member")
    ann, manager, admin, stranger = (
        nodes.users.actor(session)
        for session in (f"ann:{project}:member", f"max:{project}:manager", "root:cloud:admin", "eve:elsewhere:manager")
    )
    assert [one["id"] for one in listed(ann)] == [mine["id"]]
    assert {one["id"] for one in listed(manager)} == {mine["id"], theirs["id"]}
    assert {one["id"] for one in listed(admin, f"?project={project}")} == {mine["id"], theirs["id"]}
    assert [one["id"] for one in listed(manager, "?user=bob")] == [theirs["id"]]
    assert ann.request("GET", "/tokens?user=bob", headers=SINCE).status_code == 403
    assert stranger.request("GET", f"/tokens?project={project}", headers=SINCE).status_code == 403
    for method in ("GET", "DELETE"):
        assert ann.request(method, f"/tokens/{theirs['id']}", headers=SINCE).status_code == 404
        assert stranger.request(method, f"/tokens/{theirs['id']}", headers=SINCE).status_code == 404
    assert manager.request("DELETE", f"/tokens/{theirs['id']}", headers=SINCE).status_code == 204
    assert admin.request("DELETE", f"/tokens/{mine['id']}", headers=SINCE).status_code == 204


def test_all_tokens_of_a_user_are_revoked_at_once(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """What a user's tokens can do ends with one request: one's own for everybody, others' for managers and admins."""
    project = unique()
    made = [nodes.make(f"ann:{project}:member") for _ in range(2)]
    others = nodes.make(f"bob:{project}:member")
    bob, admin = nodes.users.actor(f"bob:{project}:member"), nodes.users.admin
    body = {"user": "ann", "project": project}
    assert bob.request("POST", "/tokens/revocation", json=body, headers=SINCE).status_code == 403
    answer = admin.request("POST", "/tokens/revocation", json=body, headers=SINCE)
    assert set(answer.json()["revoked"]) == {token["id"] for token in made}
    assert all(is_refused(nodes.bearer(token)) for token in made)
    assert nodes.bearer(others).request("GET", "/artifacts/images").status_code == 200
    answer = bob.request("POST", "/tokens/revocation", json={"user": "bob"}, headers=SINCE)
    assert answer.json() == {"revoked": [others["id"]]}


@pytest.mark.parametrize(
    ("members", "status", "words"),
    [
        ({"roles": ["admin"]}, 403, "'roles' has 'admin', and you do not have that role"),
        ({"types": ["nonsense"]}, 400, "'types' has 'nonsense', which is no type here"),
        ({"networks": ["192.0.2.1/24"]}, 400, "has host bits set"),
        ({"networks": ["somewhere"]}, 400, "which is no network"),
        ({"expires_at": "soon"}, 400, "give a time such as"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 400, "which is over"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, 400, "[tokens] max_lifetime"),
        ({"names": []}, 400, "array of 1 to 64"),
        ({"description": "x" * 256}, 400, "at most 255"),
        ({"for_ever": True}, 400, "not known here"),
    ],
)
def test_a_wrong_wish_is_refused(
    nodes: TokenNodes, unique: Callable[[], str], members: dict[str, Any], status: int, words: str
) -> None:
    """Each wrong member is named, with what it may be; nothing is made."""
    session = f"ann:{unique()}:member"
    answer = nodes.try_make(session, **members)
    assert answer.status_code == status, answer.text
    assert words in answer.text
    assert listed(nodes.users.actor(session)) == []


def test_a_token_has_fewer_rights_where_its_maker_says_so(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """Of two roles it gives one, spelled as its maker has it; of an admin's token without the role nothing is left."""
    made = nodes.make(f"root:{unique()}:Admin,member", roles=["MEMBER"])
    assert made["roles"] == ["member"]
    assert nodes.bearer(made).request("GET", "/quotas").status_code == 403
    whole = nodes.make(f"root:{unique()}:Admin,member")
    assert sorted(whole["roles"]) == ["Admin", "member"]
    assert nodes.bearer(whole).request("GET", "/quotas").status_code == 200


def test_a_token_ends_when_its_maker_wants(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """It has an end in any case; a time that is asked for is kept to, and a token that is over is refused."""
    session = f"ann:{unique()}:member"
    usual = nodes.make(session)
    assert datetime.fromisoformat(usual["expires_at"]) > datetime.now(UTC) + timedelta(days=89)
    soon = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    made = nodes.make(session, expires_at=soon.isoformat())
    assert datetime.fromisoformat(made["expires_at"]) == soon
    assert is_refused(nodes.bearer(made))
    assert "has expired" in nodes.bearer(made).request("GET", "/artifacts/images").text
    assert {one["id"] for one in listed(nodes.users.actor(session), "?state=expired")} == {made["id"]}


def test_a_project_has_a_number_of_tokens(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """The sixth is refused, until one is revoked."""
    session = f"ann:{unique()}:member"
    made = [nodes.make(session) for _ in range(5)]
    answer = nodes.try_make(session)
    assert answer.status_code == 409
    assert "has its 5 tokens" in answer.text
    nodes.users.actor(session).request("DELETE", f"/tokens/{made[0]['id']}", headers=SINCE)
    nodes.make(session)


def test_a_members_token_makes_no_tokens(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """Who finds a member's token cannot make others with it; one with the role for it can, and they end with it."""
    project = unique()
    refused = nodes.bearer(nodes.make(f"ann:{project}:member")).request("POST", "/tokens", json={}, headers=SINCE)
    assert refused.status_code == 403
    assert "token:create_with_token" in refused.text
    soon = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    parent = nodes.make(f"ann:{project}:member,token_maker", expires_at=soon.isoformat(), networks=["127.0.0.0/8"])
    child = nodes.bearer(parent).request("POST", "/tokens", json={"roles": ["member"]}, headers=SINCE).json()
    assert (child["made_with"], child["expires_at"]) == (parent["id"], parent["expires_at"])
    assert child["networks"] == ["127.0.0.0/8"]
    assert nodes.bearer(child).request("GET", "/artifacts/images").status_code == 200
    for members, words in (
        ({"expires_at": (soon + timedelta(hours=1)).isoformat()}, "your own token ends at"),
        ({"networks": None}, "for some networks only"),
        ({"networks": ["127.0.0.0/7"]}, "no network"),
        ({"networks": ["10.0.0.0/8"]}, "may not be used from 10.0.0.0/8"),
        ({"roles": ["admin"]}, "you do not have that role"),
    ):
        answer = nodes.bearer(parent).request("POST", "/tokens", json=members, headers=SINCE)
        assert answer.status_code in (400, 403), answer.text
        assert words in answer.text
    nodes.users.actor(f"ann:{project}:member").request("DELETE", f"/tokens/{parent['id']}", headers=SINCE)
    assert is_refused(nodes.bearer(child))


def test_limited_tokens_make_no_tokens(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """Whatever roles it gives, a token that may do less than its maker makes none that may do more."""
    session = f"root:{unique()}:admin"
    for limits in ({"read_only": True}, {"types": ["images"]}, {"names": ["a*"]}):
        answer = nodes.bearer(nodes.make(session, **limits)).request("POST", "/tokens", json={}, headers=SINCE)
        assert answer.status_code == 403, (limits, answer.text)


def test_callers_without_a_project_or_a_user_have_no_tokens(nodes: TokenNodes) -> None:
    """Nobody would own such a token."""
    for session, words in ((":nowhere:member", "your request names none"),):
        answer = nodes.try_make(session)
        assert answer.status_code == 403
        assert words in answer.text
    assert nodes.users.anonymous.request("POST", "/tokens", json={}, headers=SINCE).status_code == 403
    assert nodes.users.anonymous.request("GET", "/tokens", headers=SINCE).status_code == 403


def test_what_happens_to_tokens_is_recorded(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """Making and revoking are events of the project and entries of the audit log, without the token and its hash."""
    session = f"ann:{unique()}:member"
    before = nodes.users.events()
    made = nodes.make(session, names=["nightly-*"])
    nodes.users.actor(session).request("DELETE", f"/tokens/{made['id']}", headers=SINCE)
    assert nodes.users.events()[len(before) :] == ["token.created", "token.revoked"]
    with nodes.users.services.db.read() as connection:
        entries = [one for one in audit_page(connection, AuditQuery(limit=20)) if one.target == made["id"]]
    assert [entry.action for entry in entries] == ["token_revoke", "token_create"]
    assert {entry.user for entry in entries} == {"ann"}
    assert entries[0].detail["names"] == ["nightly-*"]
    assert made["token"] not in repr(entries)


def test_use_is_recorded_off_the_requests_way(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """After it was used, a token shows when."""
    session = f"ann:{unique()}:member"
    made = nodes.make(session)
    assert made["last_used_at"] is None
    nodes.bearer(made).page("images")
    until = time.monotonic() + PATIENCE
    while listed(nodes.users.actor(session))[0]["last_used_at"] is None:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_an_address_outside_of_its_networks_is_refused(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """A token for some networks is refused from elsewhere, and the address is that of the connection, whatever headers
    say.
    """
    session = f"ann:{unique()}:member"
    here = nodes.make(session, networks=["127.0.0.1", "2001:db8::/32"])
    there = nodes.make(session, networks=["192.0.2.0/24"])
    assert nodes.bearer(here).request("GET", "/artifacts/images").status_code == 200
    for headers in ({}, {"X-Forwarded-For": "192.0.2.7"}):
        answer = nodes.bearer(there).request("GET", "/artifacts/images", headers=headers)
        assert answer.status_code == 401
        assert "may not be used from your address" in answer.text


def test_text_that_is_no_token_is_401(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """A mistyped token, an unknown one and a text of any other kind are refused, with what to do."""
    made = nodes.make(f"ann:{unique()}:member")["token"]
    mistyped = made[:-7] + ("a" if made[-7] != "a" else "b") + made[-6:]
    for text, words in (
        (mistyped, "its checksum is wrong"),
        ("glare_" + "A" * 43, "not known here"),
        ("nonsense", "not known here"),
    ):
        answer = nodes.tokens.actor(text).request("GET", "/artifacts/images")
        assert answer.status_code == 401
        assert words in answer.text
        assert "Bearer" in answer.headers["www-authenticate"]
