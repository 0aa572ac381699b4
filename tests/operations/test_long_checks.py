"""A check that lasts keeps nobody's checks of its host waiting."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from glare.db.tables import location_hosts, outbound_leases
from glare.digest import BLOCK
from glare.egress.cancellation import Cancellation
from glare.errors import GlareError
from glare.operations.locations.verify import verify_next
from support.conversation import eventually
from support.origins.crooked import Crooked, Visit, honest
from support.runs.jobs import Working, working
from support.runs.verifying import DAY
from support.service import Json

DATA = random.Random(15).randbytes(2 * BLOCK + 77)
OPTIONS = "host_concurrency = 1\n[verification]\nspot_blocks = 1\nhost_turn = 0\nhost_interval = 0\n"
SHARED = "mirror.site1.example"


class Slow:
    """An origin that sends half of what is at `/m`, as a whole, and the rest when it is told `go_on`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: list[tuple[str, bool]] = []  # What was asked for, and whether that was the whole.
        self.slow = False
        self.go_on = threading.Event()

    def behave(self, visit: Visit) -> None:
        self.seen.append((visit.path, visit.asked(len(DATA)) is None))
        if not self.slow or visit.path != "/m" or visit.asked(len(DATA)):
            honest(DATA)(visit)
            return
        visit.head(200, Content_Length=len(DATA))
        visit.send(DATA[:BLOCK])
        self.go_on.wait(60)
        visit.send(DATA[BLOCK:])


@contextmanager
def site(tmp_path: Path, options: str = OPTIONS) -> Iterator[tuple[Working, Slow]]:
    with Crooked(lambda visit: visit.head(404, Content_Length=0)) as crooked:
        slow = Slow(crooked.port)
        crooked.behave = slow.behave
        with working(tmp_path, options, port=crooked.port) as service:
            try:
                yield service, slow
            finally:
                slow.go_on.set()


def record(service: Working, slow: Slow, name: str, project: str) -> Json:
    actor = service.glare.actor(f"someone:{project}:member")
    image = actor.create("images", name=name, container_format="bare", disk_format="raw")
    actor.locate(image, "image", f"http://{SHARED}:{slow.port}/{name}")
    return actor.activate(image)


def checked(service: Working, cancellation: Cancellation) -> threading.Thread:
    """Do one check in a thread."""

    def work() -> None:
        try:
            verify_next(service.glare.services, cancellation)
        except GlareError:
            assert cancellation.cancelled

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def is_aside(service: Working) -> bool:
    """Whether a long check has left its host, which nobody holds then."""
    with service.glare.services.db.read() as connection:
        places = connection.execute(select(outbound_leases.c.id)).all()
        holders = connection.execute(select(location_hosts.c.claimed_by)).scalars().all()
    return len(places) == 1 and holders == [None]


def ask(service: Working, image: Json) -> None:
    """Have a location checked as a whole, as its owner may."""
    location = service.glare.admin.request("GET", f"/locations?artifact={image['id']}").json()["locations"][0]["id"]
    assert service.glare.admin.request("POST", f"/locations/{location}/checks").status_code == 202


def test_others_are_checked_while_a_slow_origin_is_read(tmp_path: Path) -> None:
    """A body that comes slowly leaves its host to the next check, and its own check ends as ever. Of the same project
    nothing is read as a whole meanwhile, nor of others beyond the host's number, but what is asked for.
    """
    with site(tmp_path) as (service, slow):
        mine = record(service, slow, "m", "mallory")
        proven = service.column(mine, "proven_at")
        service.clock.forward(60)
        record(service, slow, "m2", "mallory")
        service.clock.forward(60)
        theirs = record(service, slow, "a", "alice")
        service.clock.forward(31 * DAY)
        slow.slow, slow.seen = True, []
        thread = checked(service, Cancellation())
        eventually(lambda: is_aside(service))
        service.clock.forward(1)
        assert service.work() == 2
        assert sorted(slow.seen[1:]) == [("/a", False), ("/m2", False)], "cheap checks"
        ask(service, theirs)
        ask(service, mine)
        assert service.work() == 2
        assert slow.seen[3:] == [("/a", True)], "its own waits"
        assert thread.is_alive()
        slow.go_on.set()
        thread.join()
        assert service.column(mine, "state") == "verified"
        assert service.column(mine, "proven_at") != proven
        service.clock.forward(DAY)
        slow.seen = []
        service.work()
        assert {path for path, _ in slow.seen} == {"/m", "/m2", "/a"}, "all are in line again"


@pytest.mark.sqlite
def test_a_long_check_that_is_broken_off_comes_again(tmp_path: Path) -> None:
    """A worker that stops gives back what it was at, also after it has left the host."""
    with site(tmp_path) as (service, slow):
        mine = record(service, slow, "m", "mallory")
        proven = service.column(mine, "proven_at")
        service.clock.forward(31 * DAY)
        slow.slow = True
        cancellation = Cancellation()
        thread = checked(service, cancellation)
        eventually(lambda: is_aside(service))
        cancellation.cancel()
        thread.join()
        assert service.column(mine, "proven_at") == proven
        slow.slow = False
        service.clock.forward(1)
        assert service.work() == 1
        assert service.column(mine, "proven_at") != proven


@pytest.mark.sqlite
def test_a_long_check_may_not_leave_where_there_is_no_place(tmp_path: Path) -> None:
    """What is read whole because it is small keeps its host where all places are taken."""
    with site(tmp_path) as (service, slow):
        record(service, slow, "m", "mallory")
        service.clock.forward(60)
        record(service, slow, "a", "alice")
        service.clock.forward(31 * DAY)
        slow.slow, slow.seen = True, []
        thread = checked(service, Cancellation())
        eventually(lambda: is_aside(service))
        object.__setattr__(service.glare.services.rules.verification, "spot_blocks", 3)
        assert service.work() == 1
        assert slow.seen == [("/m", True), ("/a", True)]
        assert is_aside(service), "one place was taken"
        slow.go_on.set()
        thread.join()
