"""What a scrape asks of the database walks indexes, and stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from glare.operations.upkeep.depths import depths
from support.service import running

pytestmark = pytest.mark.sqlite


def test_no_gauge_scans_a_table_or_sorts(tmp_path: Path) -> None:
    """Each gauge is read out of an index, in its order, and with a limit: a scrape costs the same however much there
    is.
    """
    seen: list[tuple[str, Any]] = []
    with running(tmp_path) as glare:
        engine = glare.services.aside.engine
        event.listen(engine, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
        assert depths(glare.services)["glare_database_up"] == 1
        asked = list(seen)
        with glare.services.aside.read() as connection:
            plans = {
                statement: [
                    str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                ]
                for statement, parameters in asked
                if statement.startswith("SELECT")
            }
    assert len(plans) >= 15
    for statement, plan in plans.items():
        assert "LIMIT" in statement or "FROM stores" in statement, statement
        for line in plan:
            scanned = line.startswith("SCAN") and "INDEX" not in line and not line.startswith(_MADE)
            assert not scanned, f"{statement}: {plan}"
            assert "FOR ORDER BY" not in line, f"{statement}: {plan}"


_MADE = ("SCAN anon_", "SCAN (subquery", "SCAN CONSTANT")
"""What a statement has counted off already: bounded by its limit."""
