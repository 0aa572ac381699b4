"""What each operation costs of the database. A number that grows is time on every request where the database is far
away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from glare.egress.cancellation import Cancellation
from glare.operations.locations.verify import verify_next
from support.databases import KIND
from support.runs.jobs import Working, working
from support.runs.round_trips import Counting
from support.service import Json

DATA = b"some bytes" * 1000

Operation = Callable[[Working, Json], object]


def _image(work: Working, name: str) -> Json:
    return work.glare.alice.create(
        "images", name=name, container_format="bare", disk_format="raw", tags=["a", "b"], metadata={"k": "v"}
    )


def _empty(work: Working, name: str) -> Json:
    return _image(work, name)


def _filled(work: Working, name: str) -> Json:
    return work.glare.alice.upload(_image(work, name), "image", DATA)


def _located(work: Working, name: str) -> Json:
    return work.glare.alice.locate(_image(work, name), "image", work.origin.url("/data"))


def _asked(work: Working, name: str) -> Json:
    image = _image(work, name)
    assert work.ask(image, work.origin.url("/data")).status_code == 202
    return image


def _due(work: Working, name: str) -> Json:
    image = work.glare.alice.activate(_located(work, name))
    work.clock.forward(26 * 3600.0)
    return image


def _checked(work: Working, _: Json) -> object:
    assert verify_next(work.glare.services, Cancellation())
    return None


OPERATIONS: dict[str, tuple[Callable[[Working, str], Json], Operation]] = {
    "create": (_empty, lambda work, image: _image(work, f"another than {image['name']}")),
    "show": (_filled, lambda work, image: work.glare.alice.show(image)),
    "list": (_filled, lambda work, image: work.glare.alice.page("images", "limit=2&sort=name:asc")),
    "update": (_filled, lambda work, image: work.glare.alice.change(image, *_describe("changed"))),
    "activate": (_filled, lambda work, image: work.glare.alice.activate(image)),
    "upload": (_empty, lambda work, image: work.glare.alice.upload(image, "image", DATA)),
    "upload again": (_filled, lambda work, image: work.glare.alice.upload(image, "image", DATA)),
    "download": (_filled, lambda work, image: work.glare.alice.download(image, "image").content),
    "download an external blob": (_located, lambda work, image: work.glare.alice.download(image, "image").content),
    "add a location": (_empty, lambda work, image: work.glare.alice.locate(image, "image", work.origin.url("/data"))),
    "ask for a recording": (_empty, lambda work, image: work.ask(image, work.origin.url("/data"))),
    "do a recording": (_asked, lambda work, image: work.do()),
    "check a location": (_due, _checked),
    "delete a blob": (
        _located,
        lambda work, image: work.glare.alice.request("DELETE", f"/artifacts/images/{image['id']}/image"),
    ),
    "delete": (_filled, lambda work, image: work.glare.alice.delete(image)),
}
"""How the artifact is prepared, and the operation."""


def _describe(text: str) -> list[Json]:
    return [{"op": "replace", "path": "/description", "value": text}]


COSTS: dict[str, tuple[tuple[int, int], tuple[int, int, int]]] = {
    "create": ((1, 8), (1, 8, 3)),
    "show": ((1, 1), (1, 1, 1)),
    "list": ((1, 4), (1, 4, 5)),
    "update": ((2, 6), (2, 7, 3)),
    "activate": ((2, 6), (2, 7, 3)),
    "upload": ((3, 15), (3, 19, 11)),
    "upload again": ((6, 18), (6, 24, 17)),
    "download": ((1, 2), (1, 2, 2)),
    "download an external blob": ((6, 9), (6, 11, 9)),
    "add a location": ((6, 24), (6, 30, 20)),
    "ask for a recording": ((3, 8), (3, 10, 8)),
    "do a recording": ((17, 56), (17, 66, 50)),
    "check a location": ((8, 25), (8, 29, 23)),
    "delete a blob": ((2, 6), (2, 7, 5)),
    "delete": ((6, 15), (6, 19, 10)),
}
"""Transactions and statements on SQLite; transactions, statements and round trips on the servers.

The download of an external blob falls into another window than the one before: two accounts of reads are reported, and
two begun. Within a window it is two transactions.
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """The service, and what counts in it."""

    work: Working
    counting: Counting


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """The service, after each operation was done once: counters are there, and connections are open."""
    # What keeps attempts alive has a time of its own, which may fall into any operation.
    text = "[uploads]\nattempt_heartbeat = 10 min\nattempt_timeout = 1 h\n"
    with working(tmp_path_factory.mktemp("round-trips"), text) as work:
        work.origin.put("/data", DATA)
        with Counting(work.glare.services.db) as counting:
            for name, (prepare, operation) in OPERATIONS.items():
                operation(work, prepare(work, f"first {name}"))
            yield Measured(work, counting)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_costs_what_the_table_says(measured: Measured, name: str) -> None:
    """Transactions, statements and round trips of each operation are exactly those of the table.

    Whoever makes one cheaper writes the new number down; whoever makes one dearer has a reason.
    """
    prepare, operation = OPERATIONS[name]
    image = prepare(measured.work, f"second {name}")
    with measured.counting.cost() as cost:
        operation(measured.work, image)
    on_sqlite, on_servers = COSTS[name]
    assert cost.figures == ((*on_sqlite, 0) if KIND == "sqlite" else on_servers)
