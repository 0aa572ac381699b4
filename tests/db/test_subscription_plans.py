"""What is asked of subscriptions all the time walks indexes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from glare.db import deliveries, outbox, subscriptions
from glare.db.engine import Database
from support.databases import database_of

pytestmark = pytest.mark.sqlite

QUERIES: dict[str, tuple[Callable[[Connection], Any], str]] = {
    "a page of a project": (
        lambda connection: subscriptions.page(connection, "p", None, (5, "x"), 10),
        "ix_subscriptions_project",
    ),
    "a page of a log": (lambda connection: deliveries.page(connection, "s", None, 5, 10), "ix_deliveries_log"),
    "failed ones of a log": (
        lambda connection: deliveries.page(connection, "s", "failed", 5, 10),
        "ix_deliveries_queue",
    ),
    "the head of a queue": (
        lambda connection: deliveries.head(connection, "s", confirming=False),
        "ix_deliveries_queue",
    ),
    "one message": (lambda connection: deliveries.fetch(connection, "s", "msg_1"), "ix_deliveries_message"),
    "events that are no messages": (lambda connection: outbox.unfanned(connection, 5), "ix_outbox_fanned_at_id"),
}


@pytest.mark.parametrize(("ask", "index"), QUERIES.values(), ids=QUERIES)
def test_no_query_of_subscriptions_sorts_or_scans(tmp_path: Path, ask: Callable[[Connection], Any], index: str) -> None:
    """Pages, heads of queues and the look for new events read an index in its order."""
    database = Database(database_of(tmp_path))
    seen: list[tuple[str, Any]] = []
    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
        ask(connection)
        [(statement, parameters)] = seen
        plan = "\n".join(
            str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        )
    database.dispose()
    assert index in plan, plan
    assert "TEMP B-TREE" not in plan


def test_due_queues_are_found_by_index(tmp_path: Path) -> None:
    """However many subscriptions sleep, only those whose queue is due are looked at."""
    database = Database(database_of(tmp_path))
    seen: list[tuple[str, Any]] = []
    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
        subscriptions.due(connection, 5, 10, frozenset({"full"}), frozenset({"present"}))
        [(statement, parameters)] = seen
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
    database.dispose()
    assert "USING INDEX ix_subscriptions_due (state=? AND next_at<?)" in plan, plan
