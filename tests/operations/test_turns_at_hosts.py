"""A host that several projects have locations at: whose turn it is, and whose failures keep whom waiting."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, event, select, update

from glare.db.tables import blobs, location_hosts, location_turns
from glare.digest import BLOCK
from glare.egress.cancellation import Cancellation
from glare.egress.race import begin_connect
from glare.operations.locations.verify import claim_check, verify_next
from support.runs.verifying import HOUR, Verifying, verifying
from support.service import Json

DATA = random.Random(14).randbytes(BLOCK + 77)
OPTIONS = "[verification]\nspot_blocks = 1\n"
SHARED = "mirror.site1.example"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Verifying]:
    with verifying(tmp_path, OPTIONS) as found:
        yield found


def record(site: Verifying, name: str, project: str) -> Json:
    return site.record(f"/{name}", DATA, host=SHARED, name=name, project=project)


def step(site: Verifying) -> str | None:
    """Do one check, and return what the origin was asked for ("" where it was not)."""
    before = len(site.origin.seen)
    if not verify_next(site.glare.services, Cancellation()):
        return None
    site.clock.forward(1)
    return site.origin.seen[before].target if len(site.origin.seen) > before else ""


def test_projects_take_turns_at_a_host(site: Verifying) -> None:
    """However many locations a project has due there for however long, the next project waits for one of them."""
    for number in range(20):
        record(site, f"m{number}", "mallory")
    site.clock.forward(60)
    for name, project in (("a", "alice"), ("b", "bob")):
        record(site, name, project)
    site.clock.forward(7 * HOUR)
    asked = [step(site) for _ in range(22)]
    assert set(asked[:3]) >= {"/a", "/b"}
    assert len(set(asked)) == 22, "each once"
    assert step(site) is None


def test_new_work_of_a_project_lines_up_behind_the_others(site: Verifying) -> None:
    """Whoever has something recorded or hinted at again and again gets no turn before those that wait already."""
    record(site, "m", "mallory")
    record(site, "a", "alice")
    site.clock.forward(7 * HOUR)
    assert {step(site), step(site)} == {"/m", "/a"}
    site.clock.forward(7 * HOUR)
    for number in range(5):
        record(site, f"m{number}", "mallory")
    assert "/a" in [step(site) for _ in range(2)]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (302, {"Location": "http://mirror.site2.example:1/"}),
        (302, {"Location": "http://nowhere.example/"}),
        (302, {"Location": "http://private.test.example/"}),
        (302, {}),
        (429, {"Retry-After": "86400"}),
        (503, {"Retry-After": "86400"}),
        (429, {}),
        (500, {}),
        (200, {"Content-Encoding": "gzip"}),
    ],
)
@pytest.mark.sqlite
def test_what_a_host_answers_to_one_project_keeps_no_other_waiting(
    site: Verifying, status: int, headers: dict[str, str]
) -> None:
    """A redirect that leads nowhere, an answer that it is busy, a broken body: the host has answered, and the checks of
    others go on at its usual pace.
    """
    bad = [record(site, f"m{number}", "mallory") for number in range(4)]
    good = [record(site, f"a{number}", "alice") for number in range(4)]
    for number in range(4):
        site.origin.refuse(f"/m{number}", status, headers)
    site.clock.forward(7 * HOUR)
    asked = [step(site) for _ in range(8)]
    assert {f"/a{number}" for number in range(4)} <= set(asked)
    assert [state_of(site, image, "failures") for image in good] == [0] * 4
    assert any(state_of(site, image, "failures") for image in bad)
    with site.glare.services.db.read() as connection:
        assert connection.execute(select(location_hosts.c.failures)).scalars().all() == [0]


def state_of(site: Verifying, image: Json, column: str) -> Any:
    return site.column(image, column)


@pytest.mark.sqlite
def test_a_busy_answer_has_the_project_wait_a_little_and_the_location_as_long_as_it_asks(site: Verifying) -> None:
    """The other locations of the project at this host wait for `busy_most`, the one that was refused for a day."""
    for name in ("m0", "m1"):
        record(site, name, "mallory")
        site.clock.forward(1)
    site.origin.refuse("/m0", 429, {"Retry-After": "86000"})
    site.clock.forward(7 * HOUR)
    assert step(site) == "/m0"
    assert step(site) is None
    site.clock.forward(58)
    assert step(site) is None
    site.clock.forward(2)
    assert step(site) == "/m1"
    site.clock.forward(7 * HOUR)
    assert step(site) == "/m1"
    assert step(site) is None


@pytest.mark.sqlite
def test_silence_to_one_project_keeps_no_other_waiting(tmp_path: Path) -> None:
    """A path that takes requests and never answers backs off with its project's other locations there, not with
    others'.
    """
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        verifying(tmp_path, f"answer_timeout = 1 s\n{OPTIONS}") as site,
    ):
        mallory, alice = record(site, "m", "mallory"), record(site, "a", "alice")
        record(site, "m2", "mallory")
        silencing(site, silent.getsockname()[1])
        site.clock.forward(7 * HOUR)
        assert {step(site), step(site)} == {"", "/a"}
        assert [site.column(image, "failures") for image in (mallory, alice)] == [1, 0]
        assert step(site) is None
        with site.glare.services.db.read() as connection:
            turns = connection.execute(select(location_turns.c.project, location_turns.c.failures)).all()
        assert {row.project: row.failures for row in turns} == {"mallory": 1, "alice": 0}


def silencing(site: Verifying, port: int) -> None:
    """Have the checks of Mallory's locations connect to a port where nobody answers."""
    connector = site.glare.services.egress.connector
    reach = connector.reach

    def reached(url: Any, *args: Any) -> Any:
        vars(connector)["_connect"] = lambda address, real: begin_connect(address, port if "/m" in url.target else real)
        return reach(url, *args)

    vars(connector)["reach"] = reached


def test_a_turn_without_locations_is_passed_on(site: Verifying) -> None:
    """What was deleted keeps nobody waiting; nor does a line that another release has left behind."""
    images = [record(site, f"m{number}", f"gone{number}") for number in range(3)]
    site.clock.forward(60)
    record(site, "a", "alice")
    for image in images:
        assert site.glare.admin.delete(image).status_code == 204
    site.clock.forward(7 * HOUR)
    assert step(site) == "/a"
    with site.glare.services.db.read() as connection:
        assert connection.execute(select(location_turns.c.project)).scalars().all() == ["alice"]


def test_locations_that_the_release_before_has_recorded_have_their_turns(site: Verifying) -> None:
    """It keeps no turns: its locations get one when their host is looked at."""
    record(site, "a", "alice")
    record(site, "b", "bob")
    with site.glare.services.db.write() as connection:
        connection.execute(delete(location_turns))
    site.clock.forward(7 * HOUR)
    assert {step(site), step(site)} == {"/a", "/b"}
    with site.glare.services.db.write() as connection:
        connection.execute(delete(location_turns).where(location_turns.c.project == "bob"))
    site.clock.forward(7 * HOUR)
    assert {step(site), step(site)} == {"/a", "/b"}


@pytest.mark.sqlite
def test_what_is_nobodys_has_a_turn_too(site: Verifying) -> None:
    """Rows of old releases may name no project."""
    record(site, "a", "alice")
    with site.glare.services.db.write() as connection:
        connection.execute(update(blobs).values(project=None))
        connection.execute(delete(location_turns))
    site.clock.forward(7 * HOUR)
    assert step(site) == "/a"
    site.clock.forward(7 * HOUR)
    assert step(site) == "/a"


@pytest.mark.sqlite
def test_a_turn_costs_the_same_however_many_locations_there_are(site: Verifying) -> None:
    """Claiming and releasing walk indexes and sort nothing."""
    for name, project in (("a", "alice"), ("b", "bob")):
        record(site, name, project)
    site.clock.forward(7 * HOUR)
    seen: list[tuple[str, Any]] = []

    def noted(*args: Any) -> None:
        seen.append((args[2], args[3]))

    engine = site.glare.services.db.engine
    event.listen(engine, "before_cursor_execute", noted)
    assert step(site) is not None
    event.remove(engine, "before_cursor_execute", noted)
    about = [(text, values) for text, values in seen if "location_turns" in text or "check_at" in text]
    assert len(about) >= 6
    with site.glare.services.db.read() as connection:
        for text, values in about:
            if not text.startswith("SELECT"):
                continue
            plan = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
            for line in plan:
                assert not line.startswith("SCAN ") or " INDEX " in line or "CONSTANT" in line, (text, plan)
                assert "TEMP B-TREE" not in line, (text, plan)


@pytest.mark.sqlite
def test_hosts_of_a_full_project_are_passed_over_in_an_index(site: Verifying) -> None:
    """However many hosts of it are due, a claim for another project looks at none of them."""
    for number in range(4):
        host = f"mirror.site{number}.example"
        site.record(f"/m{number}", DATA, host=host, name=f"m{number}", project="mallory")
    site.clock.forward(60)
    site.record("/a", DATA, host="mirror.site4.example", name="a", project="alice")
    site.clock.forward(7 * HOUR)
    seen: list[tuple[str, Any]] = []

    def noted(*args: Any) -> None:
        seen.append((args[2], args[3]))

    engine = site.glare.services.db.engine
    event.listen(engine, "before_cursor_execute", noted)
    claimed = claim_check(site.glare.services, frozenset({"mallory"}))
    event.remove(engine, "before_cursor_execute", noted)
    assert claimed is not None
    assert claimed.due is not None
    assert claimed.due.project == "alice"
    walks = [(text, values) for text, values in seen if "JOIN location_turns" in text]
    assert len(walks) == 1
    with site.glare.services.db.read() as connection:
        plan = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {walks[0][0]}", walks[0][1])]
    assert "COVERING INDEX ix_location_turns_line (due_at<?)" in plan[0]
    assert plan[1].startswith("SEARCH location_hosts"), "only where the turn is not passed over"


@pytest.mark.sqlite
def test_turns_at_a_host_that_is_away_are_not_due(site: Verifying) -> None:
    """A host to which no connection can be made waits, and so do the turns of all projects there: nobody looks at them
    again and again.
    """
    for name, project in (("a", "alice"), ("b", "bob")):
        record(site, name, project)
    site.clock.forward(7 * HOUR)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    vars(site.glare.services.egress.connector)["_connect"] = lambda address, _: begin_connect(address, port)
    assert step(site) == ""
    with site.glare.services.db.read() as connection:
        host = connection.execute(select(location_hosts.c.due_at, location_hosts.c.failures)).one()
        turns = connection.execute(select(location_turns.c.due_at)).scalars().all()
    assert host.failures == 1
    assert host.due_at > site.clock.micros
    assert [due_at >= host.due_at for due_at in turns] == [True, True]


@pytest.mark.sqlite
def test_two_workers_take_turns_of_two_hosts(site: Verifying) -> None:
    """One host has one check at a time, whoever's turn it is."""
    for name, project in (("a", "alice"), ("b", "bob")):
        record(site, name, project)
    site.clock.forward(7 * HOUR)
    done: list[bool] = []
    threads = [
        threading.Thread(target=lambda: done.append(verify_next(site.glare.services, Cancellation()))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, False, True]
