"""External locations after they were recorded: checked, quarantined, recovered."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from glare.db import checks
from glare.db import location_hosts as hosts
from glare.db.tables import content_blocks, location_hosts, outbox
from glare.digest import BLOCK
from glare.domain.verification import CheckKind
from glare.egress.cancellation import Cancellation
from glare.operations.locations.verify import tell_stale, verify, verify_next
from glare.operations.reading.check_soon import check_soon
from support.policies import ruled
from support.runs.verifying import DAY, HOUR, Verifying, verifying

DATA = random.Random(11).randbytes(2 * BLOCK + 77)
CHANGED = DATA[:-1] + bytes([DATA[-1] ^ 1])

OPTIONS = "[verification]\nspot_blocks = 1\n"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Verifying]:
    """A fresh service, so that nothing else is due."""
    with verifying(tmp_path, OPTIONS) as found:
        yield found


def test_what_was_recorded_is_checked_when_it_is_due(site: Verifying) -> None:
    """Nothing happens before the time; then cheap checks move `seen_at`, and a full one moves `proven_at`."""
    image = site.record("/a", DATA)
    recorded = site.location_of(image)
    assert recorded["state"] == "verified"
    assert site.work() == 0
    assert site.later(6 * HOUR) == 1
    seen = site.location_of(image)
    assert seen["proven_at"] == recorded["proven_at"]
    assert seen["seen_at"] > recorded["seen_at"]
    assert site.later(31 * DAY) == 1
    assert site.location_of(image)["proven_at"] > recorded["proven_at"]
    assert site.history(image) == [("full", "equal", None, 1), ("conditional", "equal", None, 1)]
    assert site.events(image) == []


@pytest.mark.sqlite
def test_cheap_checks_ask_for_little(site: Verifying) -> None:
    """A conditional check sends the validator and reads no body, a spot check reads one block by Range."""
    image = site.record("/a", DATA)
    site.later(6 * HOUR)
    asked = site.origin.seen[-1].headers
    assert asked["if-none-match"] == site.column(image, "etag")
    site.luck(0.1)
    site.later(6 * HOUR)
    first, last = site.origin.seen[-1].headers["range"].removeprefix("bytes=").split("-")
    assert int(first) % BLOCK == 0
    assert int(last) - int(first) < BLOCK
    assert "if-none-match" not in site.origin.seen[-1].headers
    assert [entry[0] for entry in site.history(image)] == ["spot", "conditional"]


def test_a_change_is_quarantined_and_told(site: Verifying) -> None:
    """A cheap check hints, a full one proves: changed, one event each, downloads 409, and nothing is deleted."""
    image = site.record("/a", DATA)
    site.origin.put("/a", CHANGED)
    assert site.later(6 * HOUR) == 2
    location = site.location_of(image)
    assert (location["state"], location["reason"]) == ("changed", "digest")
    assert site.events(image) == ["location.changed", "artifact.last_good_location_lost"]
    assert site.history(image) == [
        ("full", "changed", "digest", 1),
        ("conditional", "suspect", "validators", 1),
    ]
    assert site.glare.alice.download(image, "image").status_code == 409
    assert site.glare.alice.show(image)["status"] == "active"


@pytest.mark.sqlite
def test_no_validator_can_hide_a_change(site: Verifying) -> None:
    """An origin that says 304 for changed bytes is caught by the blocks that a spot check reads."""
    image = site.record("/a", DATA)
    other = bytes(255 - byte for byte in DATA)
    site.origin.put("/a", other, etag=str(site.column(image, "etag")))
    assert site.later(6 * HOUR) == 1
    assert site.state(image) == "verified"
    site.luck(0.1)
    assert site.later(6 * HOUR) == 2
    assert site.state(image) == "changed"
    assert site.history(image)[1] == ("spot", "suspect", "digest", 1)


def test_recovery_takes_two_proofs(site: Verifying) -> None:
    """Repaired bytes come back after two full checks an hour apart, with an event, and downloads go on."""
    image = site.record("/a", DATA)
    site.origin.put("/a", CHANGED)
    site.later(6 * HOUR)
    site.origin.put("/a", DATA)
    assert site.later(7 * HOUR) == 1
    assert site.state(image) == "changed"
    assert site.later(HOUR) == 1
    assert site.state(image) == "verified"
    assert site.events(image)[-1] == "location.recovered"
    assert site.glare.alice.download(image, "image").content == DATA


def test_unreachable_after_several_failures_and_still_tried(site: Verifying) -> None:
    """A file that is gone makes its location unreachable at the third check, not before; a reader of it gets 502."""
    image = site.record("/a", DATA)
    site.origin.remove("/a")
    states = []
    for wait in (6 * HOUR, 6 * 60, 11 * 60):
        assert site.later(wait) == 1
        states.append(site.state(image))
    assert states == ["verified", "verified", "unreachable"]
    assert site.location_of(image)["reason"] == "gone"
    assert site.events(image) == ["location.unreachable", "artifact.last_good_location_lost"]
    assert site.glare.alice.download(image, "image").status_code == 502
    assert site.history(image)[0] == ("conditional", "failed", "gone", 1)
    assert site.history(image)[1] == ("conditional", "failed", "gone", 2)


@pytest.mark.sqlite
def test_retry_after_is_obeyed(site: Verifying) -> None:
    """An origin that asks for two hours gets them."""
    image = site.record("/a", DATA)
    site.origin.refuse("/a", 503, {"Retry-After": "7200"})
    assert site.later(6 * HOUR) == 1
    assert site.history(image)[0][2] == "throttled"
    assert site.later(HOUR) == 0
    assert site.later(HOUR) == 1


def test_our_own_outage_changes_nothing(site: Verifying) -> None:
    """When many unrelated hosts fail together no location becomes unreachable; a single one would have."""
    site.scatter()
    images = [
        site.record(f"/{number}", DATA, host=f"mirror.site{number}.example", name=f"n{number}") for number in range(4)
    ]
    for number in range(4):
        site.origin.refuse(f"/{number}", 500, {})
    site.later(6 * HOUR)
    for _ in range(6):
        assert site.later(330) == 4
    assert {site.state(image) for image in images} == {"verified"}
    assert [event for image in images for event in site.events(image)] == []
    for number in range(1, 4):
        site.origin.put(f"/{number}", DATA)
    for _ in range(5):
        site.later(HOUR)
    assert [site.state(image) for image in images] == ["unreachable", "verified", "verified", "verified"]


@pytest.mark.sqlite
def test_full_checks_keep_to_the_budget(tmp_path: Path) -> None:
    """What would read more than the day's bytes waits for the next day, while cheap checks go on and hints are
    followed.
    """
    with verifying(tmp_path, f"{OPTIONS}daily_bytes = {len(DATA)}\nfull_interval = 1 d\n") as site:
        first, second = site.record("/a", DATA), site.record("/b", DATA, name="other")
        site.clock.forward(26 * HOUR)
        assert site.work() == 2
        kinds = {site.history(image)[0][0] for image in (first, second)}
        assert kinds == {"full", "conditional"}
        site.origin.put("/a", CHANGED)
        site.origin.put("/b", CHANGED)
        site.later(7 * HOUR)
        assert {site.state(first), site.state(second)} == {"changed"}


def test_a_host_is_asked_by_one_worker_at_a_time_and_not_too_often(site: Verifying) -> None:
    """Two locations of one host are checked one after the other with the interval between, even by four workers."""
    for number in range(2):
        site.record(f"/{number}", DATA, name=f"n{number}")
    site.clock.forward(7 * HOUR)

    def attempt(_: int) -> bool:
        return verify_next(site.glare.services, Cancellation())

    with ThreadPoolExecutor(4) as workers:
        assert sum(workers.map(attempt, range(4))) == 1
    assert not verify_next(site.glare.services, Cancellation())
    site.clock.forward(1)
    assert verify_next(site.glare.services, Cancellation())


def test_the_lease_of_a_dead_worker_is_taken_over(site: Verifying) -> None:
    """A host whose worker was killed is checked once the lease is over, and not before."""
    image = site.record("/a", DATA)
    site.clock.forward(7 * HOUR)
    db, now = site.glare.services.db, site.clock.micros
    assert db.transact(lambda connection: hosts.lease_host(connection, "dead", now, now + 60_000_000)) is not None
    assert site.work() == 0
    assert site.later(61) == 1
    assert site.history(image) == [("conditional", "equal", None, 1)]
    with db.read() as connection:
        assert connection.execute(select(location_hosts.c.claimed_by)).scalar_one() is None


def test_a_result_applies_only_to_the_record_that_was_read(site: Verifying) -> None:
    """A check that was under way while the location was replaced leaves the new record alone."""
    image = site.glare.alice.create("images", name="draft")
    site.origin.put("/a", DATA)
    site.glare.alice.locate(image, "image", site.origin.url("/a"))
    db = site.glare.services.db
    with db.read() as connection:
        old = checks.find(connection, site.location_of(image)["id"])
    assert old is not None
    site.origin.put("/a", CHANGED)
    site.glare.alice.request("DELETE", f"/artifacts/images/{image['id']}/image")
    site.glare.alice.locate(image, "image", site.origin.url("/a"))
    site.origin.put("/a", DATA)
    verify(site.glare.services, old, CheckKind.FULL, Cancellation())
    assert site.state(image) == "verified"
    assert site.history(image) == []


def test_the_owner_asks_for_a_check_and_several_share_one(site: Verifying) -> None:
    """POST answers 202, the worker reads the whole body once for all who asked, and the history shows it."""
    image = site.record("/a", DATA)
    url = f"/locations/{site.location_of(image)['id']}/checks"
    before = site.origin.count("/a")
    for _ in range(3):
        assert site.glare.alice.request("POST", url).status_code == 202
    assert site.work() == 1
    assert site.origin.count("/a") == before + 1
    assert site.history(image) == [("full", "equal", None, 1)]
    assert site.glare.alice.request("POST", url).status_code == 202
    assert site.later(2) == 1
    assert site.history(image) == [("full", "equal", None, 2)]


@pytest.mark.sqlite
def test_asking_is_for_the_owner_and_within_limits(tmp_path: Path) -> None:
    """Others get 403 or 404, an unknown id 404, and a project that has used up its measurements 429."""
    with verifying(tmp_path, OPTIONS.replace("[verification]", "[verification]\nhost_interval = 0")) as site:
        image = site.record("/a", DATA)
        url = f"/locations/{site.location_of(image)['id']}"
        assert site.glare.bob.request("POST", f"{url}/checks").status_code == 404
        assert site.glare.bob.request("GET", url).status_code == 404
        site.glare.admin.publish(image)
        assert site.glare.bob.request("POST", f"{url}/checks").status_code == 403
        assert site.glare.bob.request("GET", url).status_code == 200
        for wrong in ("0" * 32, "x", "%00" * 32, "é" * 32):
            assert site.glare.alice.request("GET", f"/locations/{wrong}").status_code == 404
        rules = site.glare.services.rules
        tight = replace(rules, outbound=replace(rules.outbound, requests=2))
        object.__setattr__(site.glare.services, "rules", tight)
        assert site.glare.alice.request("POST", f"{url}/checks").status_code == 202
        site.work()
        refused = site.glare.alice.request("POST", f"{url}/checks")
        assert refused.status_code == 429
        assert "2 measurements" in refused.json()["error"]["message"]


@pytest.mark.sqlite
def test_policies_decide_who_sees_and_checks(site: Verifying, tmp_path: Path) -> None:
    """`location:get` and `location:check` are asked."""
    image = site.record("/a", DATA)
    url = f"/locations/{site.location_of(image)['id']}"
    with ruled(site.glare, tmp_path, {"location:get": "role:admin"}):
        assert site.glare.alice.request("GET", url).status_code == 403
        assert site.glare.alice.request("GET", f"{url}/checks").status_code == 403
    with ruled(site.glare, tmp_path, {"location:check": "role:admin"}):
        assert site.glare.alice.request("POST", f"{url}/checks").status_code == 403
        assert site.glare.admin.request("POST", f"{url}/checks").status_code == 202
    site.work()


def test_lists_show_ones_own_and_page(site: Verifying) -> None:
    """A project lists its own locations, page by page; an admin lists all, and filters them."""
    images = [site.record(f"/{number}", DATA, name=f"n{number}") for number in range(3)]
    mine = site.glare.alice.request("GET", "/locations?limit=2").json()
    rest = site.glare.alice.request("GET", mine["next"]).json()
    found = [location["artifact"] for location in mine["locations"] + rest["locations"]]
    assert sorted(found) == sorted(image["id"] for image in images)
    assert site.glare.bob.request("GET", "/locations").json()["locations"] == []
    assert len(site.glare.admin.request("GET", "/locations?host=127.0.0.1&state=verified").json()["locations"]) == 3
    assert site.glare.admin.request("GET", "/locations?state=changed").json()["locations"] == []
    assert site.glare.alice.request("GET", "/locations?host=127.0.0.1").status_code == 403
    for wrong in ("state=odd", "limit=0", "colour=red", "state=changed&state=changed", "host=%00"):
        assert site.glare.admin.request("GET", f"/locations?{wrong}").status_code == 400
    assert site.glare.anonymous.request("GET", "/locations").status_code == 403


@pytest.mark.sqlite
def test_a_failed_download_has_the_location_checked(site: Verifying) -> None:
    """A hint makes a full check due at once; not for a proof that is younger than the interval, nor for a failing
    one.
    """
    image = site.record("/a", DATA)
    location = site.location_of(image)["id"]
    check_soon(site.glare.services, location)
    assert site.work() == 0
    site.clock.forward(600)
    check_soon(site.glare.services, location)
    assert site.work() == 1
    assert site.history(image) == [("full", "equal", None, 1)]
    site.origin.remove("/a")
    site.later(7 * HOUR)
    check_soon(site.glare.services, location)
    assert site.later(1) == 0


@pytest.mark.sqlite
def test_an_old_proof_is_called_stale_and_told_once(site: Verifying) -> None:
    """Past the age it shows as stale, with one event; a new proof ends that."""
    image = site.record("/a", DATA)
    site.clock.forward(91 * DAY)
    assert site.location_of(image)["stale"] is True
    tell_stale(site.glare.services)
    tell_stale(site.glare.services)
    assert site.events(image) == ["location.stale"]
    site.work()
    assert site.location_of(image)["stale"] is False
    site.clock.forward(91 * DAY)
    tell_stale(site.glare.services)
    assert site.events(image) == ["location.stale", "location.stale"]


@pytest.mark.sqlite
def test_events_carry_no_secret_and_what_a_subscriber_needs(site: Verifying) -> None:
    """An event has the artifact and the location; of a confidential URL its scheme and host only, of networks
    nothing.
    """
    site.origin.put("/a?token=hush", DATA)
    image = site.glare.alice.create("images", name="secret")
    site.glare.alice.locate(image, "image", site.origin.url("/a?token=hush"))
    site.origin.put("/a?token=hush", CHANGED)
    site.later(7 * HOUR)
    with site.glare.services.db.read() as connection:
        raw = connection.execute(select(outbox.c.payload).where(outbox.c.event_type == "location.changed")).scalar_one()
    assert b"hush" not in raw
    payload = json.loads(raw)
    assert payload["id"] == image["id"]
    assert (payload["location"]["state"], payload["location"]["reason"]) == ("changed", "digest")
    assert payload["location"]["url"] == f"http://{site.origin.host}"


@pytest.mark.sqlite
def test_a_fault_of_our_own_does_not_hold_up_the_host(site: Verifying) -> None:
    """A location whose digests are missing here is put off, with nothing held against it; the next one of its host is
    checked.
    """
    broken, image = site.record("/a", DATA), site.record("/b", CHANGED, name="other")
    with site.glare.services.db.write() as connection:
        connection.execute(delete(content_blocks).where(content_blocks.c.sha256 == site.location_of(broken)["sha256"]))
    site.luck(0.1)
    site.clock.forward(7 * HOUR)
    assert site.work() == 2
    assert (site.state(broken), site.history(broken)) == ("verified", [])
    assert site.history(image) == [("spot", "equal", None, 1)]


def test_what_is_deleted_is_asked_for_no_more(site: Verifying) -> None:
    """After the deletion of an artifact, at once or delayed, no request goes out."""
    image = site.record("/a", DATA)
    assert site.glare.alice.delete(image).status_code == 204
    before = site.origin.count("/a")
    site.later(31 * DAY)
    assert site.origin.count("/a") == before
    with site.glare.services.db.read() as connection:
        assert connection.execute(select(location_hosts.c.host)).all() == []
