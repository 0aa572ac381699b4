"""Hints at a change: followed at once, and ever less where they were wrong; whoever asked for the check that hinted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from glare.db import checks
from glare.digest import BLOCK
from glare.domain.verification import CheckKind
from glare.egress.cancellation import Cancellation
from glare.operations.locations.verify import verify
from glare.operations.reading.check_soon import check_soon
from support.runs.jobs import working
from support.runs.verifying import DAY, HOUR, Verifying, verifying
from support.service import Json

DATA = random.Random(13).randbytes(2 * BLOCK + 77)
CHANGED = DATA[:-1] + bytes([DATA[-1] ^ 1])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Verifying]:
    """With no bytes at all for full checks, which only a first hint may pass."""
    with verifying(tmp_path, "[verification]\nspot_blocks = 1\nspot_percent = 0\ndaily_bytes = 0\n") as found:
        yield found


def whole(site: Verifying) -> int:
    """How many whole bodies were asked for."""
    return sum("range" not in seen.headers for seen in site.origin.seen)


class Nodes:
    """A CDN of two nodes that serve the same bytes with validators of their own."""

    def __init__(self, site: Verifying) -> None:
        self._site = site
        self._turn = count()

    def turn(self) -> None:
        self._site.origin.put("/a", DATA, etag=f'"node-{next(self._turn) % 2}"')


def test_validators_that_were_refuted_cause_no_more_downloads(site: Verifying) -> None:
    """The first difference is followed, past the budget; then blocks and the length speak, and no body is read for a
    month.
    """
    image, nodes = site.record("/a", DATA), Nodes(site)
    nodes.turn()
    before = whole(site)
    for _ in range(60):
        nodes.turn()
        site.later(6 * HOUR)
    assert whole(site) - before == 1
    assert site.column(image, "refuted") == 1
    kinds = [kind for kind, *_ in site.history(image)]
    assert "spot" in kinds
    assert site.state(image) == "verified"


def test_the_nodes_may_alternate_between_hint_and_proof(site: Verifying) -> None:
    """That the full check meets the node which was recorded makes the hint no less wrong."""
    image = site.record("/a", DATA)
    recorded = str(site.column(image, "etag"))
    before = whole(site)
    for _ in range(10):
        site.origin.put("/a", DATA, etag='"another-node"')
        site.clock.forward(6 * HOUR)
        location = target_of(site, image)
        verify(site.glare.services, location, CheckKind.CONDITIONAL, Cancellation())
        site.origin.put("/a", DATA, etag=recorded)
        site.work()
    assert whole(site) - before == 1


def test_a_change_is_found_though_validators_were_refuted(tmp_path: Path) -> None:
    """Blocks are compared instead of them, and what they hint at is read whole."""
    with verifying(tmp_path, "[verification]\nspot_blocks = 1\nspot_percent = 0\n") as site:
        image = site.record("/a", DATA)
        site.origin.put("/a", DATA, etag='"another-node"')
        site.later(6 * HOUR)
        assert site.column(image, "refuted") == 1
        site.origin.put("/a", bytes(255 - byte for byte in DATA), etag='"another-node"')
        site.later(6 * HOUR)
        site.later(HOUR)
        assert site.state(image) == "changed"


def test_an_origin_without_ranges_and_with_changing_validators(site: Verifying) -> None:
    """Its length is compared; it is not downloaded again and again."""
    image = site.record("/a", DATA)
    before = whole(site)
    for number in range(8):
        site.origin.put("/a", DATA, etag=f'"{number}"')
        site.clock.forward(6 * HOUR)
        verify(site.glare.services, target_of(site, image), CheckKind.CONDITIONAL, Cancellation())
        site.work()
    assert whole(site) - before == 1


def test_hints_of_readers_have_a_budget_too(site: Verifying) -> None:
    """An origin that fails readers and is well when it is checked is read whole once past the budget, and then no
    more.
    """
    image = site.record("/a", DATA)
    location = str(site.location_of(image)["id"])
    before = whole(site)
    for _ in range(40):
        site.clock.forward(HOUR / 4)
        check_soon(site.glare.services, location)
        site.work()
    assert whole(site) - before == 1


def test_within_the_budget_the_pauses_double(tmp_path: Path) -> None:
    """Over a day of a reader who is failed each minute the body is read a handful of times."""
    with verifying(tmp_path, "[verification]\nspot_blocks = 1\n") as site:
        image = site.record("/a", DATA)
        location = str(site.location_of(image)["id"])
        before = whole(site)
        for _ in range(288):
            site.clock.forward(DAY / 288)
            check_soon(site.glare.services, location)
            site.work()
        assert 4 <= whole(site) - before <= 9


def test_failed_promotions_have_a_budget_too(tmp_path: Path) -> None:
    """An origin that fails promotions and is well when it is checked is read whole once past the budget, and then no
    more.
    """
    options = "[verification]\nspot_blocks = 1\nspot_percent = 0\ndaily_bytes = 0\n"
    with working(tmp_path, options) as site:
        image = site.record("/a", DATA)
        address = f"/locations/{site.location_of(image)['id']}/promotion"
        full = 0
        for _ in range(8):
            site.origin.put("/a", CHANGED)
            assert site.glare.alice.request("POST", address).status_code == 202
            site.do()
            assert site.record_at(address)["promotion"]["status"] == "failed"
            site.origin.put("/a", DATA)
            before = whole(site)
            site.later(HOUR)
            full += whole(site) - before
        assert full == 1
        assert site.state(image) == "verified"


def target_of(site: Verifying, image: Json) -> checks.Target:
    """The location of an image as a check needs it."""
    with site.glare.services.db.read() as connection:
        found = checks.find(connection, str(site.location_of(image)["id"]))
    assert found is not None
    return found


def test_who_asked_for_a_check_makes_no_difference(site: Verifying) -> None:
    """A suspicion of `glare-server locations check`, which has no lease of the host, is followed at once by whoever
    works, and so is a failure.
    """
    image = site.record("/a", DATA)
    site.origin.put("/a", CHANGED)
    finding = verify(site.glare.services, target_of(site, image), CheckKind.CONDITIONAL, Cancellation())
    assert finding is not None
    assert finding.outcome == "suspect"
    assert site.work() == 1
    assert site.state(image) == "changed"


def test_a_failure_that_an_operator_finds_is_followed_up(site: Verifying) -> None:
    """After minutes, as one that a worker has found, and not after the hours that the host would have slept."""
    image = site.record("/a", DATA)
    site.origin.refuse("/a", 503, {})
    verify(site.glare.services, target_of(site, image), CheckKind.CONDITIONAL, Cancellation())
    assert site.later(330) == 1
    assert site.column(image, "failures") == 2
