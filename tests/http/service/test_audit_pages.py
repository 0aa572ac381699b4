"""Reading the audit log: who may, pages, filters, and what a page costs."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from glare.db.audit import page
from glare.domain.audit import AuditQuery
from support.audit import actions, entries
from support.runs.clock import Clock
from support.service import Glare


def test_only_admins_read_it(glare: Glare) -> None:
    """The rule `audit:list` decides."""
    assert glare.alice.request("GET", "/audit").status_code == 403
    assert glare.stranger.request("GET", "/audit").status_code == 401
    assert glare.admin.request("GET", "/audit").status_code == 200


def test_pages_follow_each_other(glare: Glare) -> None:
    """`next` leads through all entries, newest first, each once, although several have the same time."""
    Clock(glare)
    for number in range(7):
        glare.alice.create("images", name=f"n{number}")
    path, found, pages = "/audit?limit=3&project=wonderland", [], 0
    while path:
        answered = glare.admin.request("GET", path).json()
        found += [entry["detail"]["name"] for entry in answered["audit"]]
        assert answered["first"] == "/audit?limit=3&project=wonderland"
        path, pages = answered.get("next"), pages + 1
    assert found == [f"n{number}" for number in reversed(range(7))]
    assert pages == 3


def test_filters(glare: Glare) -> None:
    """Each filter keeps what it names; `since` is included and `until` is not."""
    clock = Clock(glare, "2030-01-01T00:00:00Z")
    artifact = glare.alice.create("images", name="a")
    clock.forward(60)
    glare.alice.upload(artifact, "image", b"x")
    other = glare.bob.create("secrets", name="b").get("id")
    request_id = entries(glare)[0]["request_id"]
    assert actions(glare, "user=alice") == actions(glare, "project=wonderland") == ["create", "upload"]
    assert actions(glare, f"artifact={artifact['id']}&action=upload") == ["upload"]
    assert [entry["artifact"] for entry in entries(glare, "type=secrets")] == [other]
    assert actions(glare, f"request_id={request_id}") == ["create"]
    assert actions(glare, "since=2030-01-01T00:01:00Z&user=alice") == ["upload"]
    assert actions(glare, "until=2030-01-01T00:01:00Z") == ["create"]
    assert actions(glare, "user=nobody") == []
    assert entries(glare)[-1]["time"] == "2030-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    "query",
    [
        *(
            "limit=0",
            "limit=x",
            "limit=-1",
            "marker=x",
            "marker=1",
            "marker=1-x",
            "since=yesterday",
            "until=2030-13-01",
        ),
        *("outcome=perhaps", "unknown=1", "user=a&user=b", f"user={'x' * 256}", "user=%00", "action=%E2%82%AC"),
        "marker=9999999999999999999-1",
    ],
)
def test_a_wrong_query_is_refused(glare: Glare, query: str) -> None:
    """400 with a message that names the parameter."""
    answer = glare.admin.request("GET", f"/audit?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["error"]["message"]


@pytest.mark.sqlite
def test_every_page_walks_an_index(glare: Glare) -> None:
    """Filters by user, project, artifact, action and outcome, and none, read the newest rows out of an index without
    sorting.
    """
    queries = [
        AuditQuery(5, after=(5, 5)),
        AuditQuery(5, user="a"),
        AuditQuery(5, project="a", since=1),
        AuditQuery(5, artifact="a", until=5),
        AuditQuery(5, action="a", after=(5, 5)),
        AuditQuery(5, outcome="done"),
    ]
    for query in queries:
        plan = plan_of(glare, query)
        assert "USING INDEX ix_audit" in plan, plan
        assert "TEMP B-TREE" not in plan, plan


def plan_of(glare: Glare, query: AuditQuery) -> str:
    """How SQLite reads a page."""
    seen: list[tuple[str, Any]] = []
    with glare.services.db.read() as connection:
        event.listen(connection, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
        page(connection, query)
        [(statement, parameters)] = seen
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    return "\n".join(str(row[3]) for row in rows)
