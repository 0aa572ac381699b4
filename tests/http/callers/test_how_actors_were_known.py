"""The audit log says by which identity source and by which credential an actor was known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from glare.cli.database import somebody
from glare.db import audit as audit_rows
from glare.db.tables import audit
from glare.domain.actor import Actor
from glare.domain.audit import AuditEntry
from glare.identity.token_file import TokenFile
from glare.operations.tokens.by_operator import revoke_ids
from support.audit import entries
from support.conversation import eventually
from support.runs.jobs import Working, working
from support.service import Glare, Json, running
from support.token_nodes import token_nodes

BEFORE = {"user": "alice", "project": "wonderland", "roles": ["member"]}
"""Who asked, as jobs of the release before have it."""


ANONYMOUS = "[DEFAULT]\nallow_anonymous_access = true\n"


def known_as(entry: Json) -> tuple[str | None, str | None]:
    return entry["source"], entry["credential"]


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Working]:
    with working(tmp_path) as found:
        yield found


def test_an_api_token_is_named_by_its_id(tmp_path: Path) -> None:
    """What was made with it is told from what its user did otherwise; neither token nor hash is in the log."""
    with token_nodes(tmp_path) as nodes:
        made = nodes.make("ann:anvils:member")
        nodes.bearer(made).create("images", name="by token")
        nodes.users.actor("ann:anvils:member").create("images", name="by session")
        by_session, by_token, token_create = entries(nodes.users)
        assert known_as(by_token) == ("tokens", made["id"])
        assert known_as(by_session) == known_as(token_create) == ("test_token", None)
        [only] = entries(nodes.users, f"user=ann&credential={made['id']}")
        assert only == by_token
        assert entries(nodes.users, "source=test_token") == [by_session, token_create]
        assert made["token"] not in str(entries(nodes.users))
        revoke_ids(nodes.users.services, somebody(), [made["id"]])
        assert known_as(entries(nodes.users, "action=token_revoke")[0]) == ("command", None)


def test_a_token_of_the_file_and_a_proxy_are_told_apart(tmp_path: Path) -> None:
    """The id of the token, and nothing for a proxy's word; who is refused is known in the same way."""
    with running(tmp_path, "[identity]\npipeline = token_file, trusted_headers\n") as glare:
        file = TokenFile(glare.settings.identity.token_file)
        token, record = file.create("anvils", "ann", ("member",))
        admin, _ = file.create("cloud", "root", ("admin",))
        proxied = {"X-Identity-Status": "Confirmed", "X-User-Id": "ann", "X-Project-Id": "anvils", "X-Roles": "member"}
        assert glare.client.post("/artifacts/images", json={"name": "a"}, headers=proxied).status_code == 201
        assert glare.actor(token).request("GET", "/quotas").status_code == 403
        glare.admin = glare.actor(admin)
        eventually(lambda: len(entries(glare)) == 2)
        found = {entry["action"]: known_as(entry) for entry in entries(glare)}
        assert found == {"create": ("trusted_headers", None), "GET /quotas": ("token_file", record.id)}


def test_who_has_no_credentials_is_not_taken_for_the_service(tmp_path: Path) -> None:
    """Neither has a user; `source` tells them apart."""
    with running(tmp_path, ANONYMOUS) as glare:
        assert glare.stranger.request("GET", "/quotas").status_code == 403
        eventually(lambda: len(entries(glare)) == 1)
        own = AuditEntry(time.time_ns() // 1000, "scrub", None)
        glare.services.db.transact(lambda connection: audit_rows.record(connection, [own]))
        assert [(entry["user"], *known_as(entry)) for entry in entries(glare)] == [
            (None, None, None),
            (None, "anonymous", None),
        ]


def test_what_a_worker_does_for_somebody_is_of_how_they_were_known_when_they_asked(work: Working) -> None:
    """Also where the one who asked was known by a credential that has ended since; and jobs of the release before,
    which has not written it down, go on.
    """
    for image, older in ((work.image("a"), False), (work.image("b"), True)):
        work.origin.put(f"/{older}", b"data")
        assert work.ask(image, work.origin.url(f"/{older}")).status_code == 202
        if older:
            work.as_before(actor=BEFORE)
        work.do()
    older_entry, entry = entries(work.glare, "action=set_location")
    assert (older_entry["user"], *known_as(older_entry)) == ("alice", None, None)
    assert (entry["user"], *known_as(entry)) == ("alice", "test_token", None)


def test_entries_of_the_release_before_are_read(glare: Glare) -> None:
    """Its processes write on while an upgrade goes through the nodes, and know nothing of the columns."""
    row = {
        "occurred_at": 1_000_000,
        "user_id": "ann",
        "roles": "member",
        "action": "create",
        "outcome": "done",
        "detail": b"{}",
    }
    with glare.services.db.write() as connection:
        connection.execute(insert(audit), [row])
    [entry] = entries(glare)
    assert (entry["user"], *known_as(entry)) == ("ann", None, None)
    assert entries(glare, "source=tokens") == []


def test_what_is_longer_than_its_column_is_cut(glare: Glare) -> None:
    """An issuer gives ids of any length to its tokens, and a plugin any name to itself."""
    actor = Actor("ann", "anvils", frozenset(), source="s" * 99, credential="c\0" * 200)
    entry = AuditEntry(1_000_000, "create", actor)
    glare.services.db.transact(lambda connection: audit_rows.record(connection, [entry]))
    [found] = entries(glare)
    assert known_as(found) == ("s" * 32, ("c\ufffd" * 200)[:255])


def test_a_filter_with_a_strange_text_finds_nothing(glare: Glare) -> None:
    """And is no error on any database."""
    glare.alice.create("images", name="a")
    for query in ("credential=%F0%9F%92%A9", "credential=", "source=x"):
        assert entries(glare, query) == []
    assert glare.admin.request("GET", "/audit?source=%C3%BC").status_code == 400
    with glare.services.db.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit")).scalar() == 1
