"""What looks like an outage of ours: who can bring it about, and what becomes of what was found meanwhile."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from glare.db import checks
from glare.db.tables import location_hosts
from glare.digest import BLOCK
from glare.domain.verification import CheckKind, Finding
from glare.egress.cancellation import Cancellation
from glare.egress.race import begin_connect
from glare.errors import Contact, Phase
from glare.operations.locations.check import check
from support.origins.egress import NAMES
from support.origins.origin import Origin
from support.runs.verifying import DAY, HOUR, Verifying, verifying
from support.service import Json

DATA = random.Random(12).randbytes(2 * BLOCK + 77)
CHANGED = DATA[:-1] + bytes([DATA[-1] ^ 1])
OPTIONS = "[verification]\nspot_blocks = 1\n"
VICTIM = 13


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Verifying]:
    with verifying(tmp_path, OPTIONS) as found:
        yield found


def host(number: int) -> str:
    return f"mirror.site{number}.example"


def recorded(site: Verifying, numbers: range, *projects: str) -> list[Json]:
    """Images at hosts of these numbers, of the projects by turns."""
    return [
        site.record(f"/{number}", DATA, host=host(number), name=f"n{number}", project=projects[number % len(projects)])
        for number in numbers
    ]


def admins_state(site: Verifying, image: Json) -> tuple[str, str | None]:
    """State and reason of an image's location, whoever owns it."""
    page = site.glare.admin.request("GET", f"/locations?artifact={image['id']}").json()
    return page["locations"][0]["state"], page["locations"][0]["reason"]


@pytest.mark.parametrize("scattered", [False, True])
def test_hosts_of_one_tenant_switch_no_quarantine_off(site: Verifying, scattered: bool) -> None:
    """A dozen locations of one project answer 503 when they like, in one network or in many: a changed origin of others
    is quarantined.
    """
    if scattered:
        site.scatter()
    recorded(site, range(12), "mallory")
    victim = site.record("/victim", DATA, host=host(VICTIM), name="victim")
    site.later(6 * HOUR)
    for number in range(12):
        site.origin.refuse(f"/{number}", 503, {})
    site.origin.put("/victim", CHANGED)
    site.later(6 * HOUR)
    assert site.state(victim) == "changed"
    assert site.glare.alice.download(victim, "image").status_code == 409


EVIL = ("a.evil.example", "b.evil.example", "a.worse.example")


@pytest.mark.parametrize("own_first", [True, False])
def test_addresses_that_do_not_answer_are_no_networks(
    site: Verifying, monkeypatch: pytest.MonkeyPatch, own_first: bool
) -> None:
    """Hosts that name addresses of others beside their own one are in one network, that of the server which answers for
    all.
    """
    for number, name in enumerate(EVIL):
        addresses = ["127.0.0.1", f"1.{number}.0.9"]
        monkeypatch.setitem(NAMES, name, addresses if own_first else addresses[::-1])
    monkeypatch.setattr(site.glare.services.egress.connector, "_connect", only_here)
    for name, project in zip(EVIL, ("mallory", "malcolm", "mordred"), strict=True):
        site.record(f"/{name}", DATA, host=name, name=name, project=project)
    victim = site.record("/victim", DATA, host=host(VICTIM), name="victim")
    site.later(6 * HOUR)
    for name in EVIL:
        site.origin.put(f"/{name}", CHANGED)
    site.clock.forward(6 * HOUR)
    site.work()
    site.origin.put("/victim", CHANGED)
    answer = site.glare.alice.request("POST", f"/locations/{site.location_of(victim)['id']}/checks")
    assert answer.status_code == 202
    site.work()
    assert site.state(victim) == "changed"


def only_here(address: str, port: int) -> socket.socket:
    """Connects to this machine, and to nothing else."""
    if address != "127.0.0.1":
        raise OSError("no such network")
    return begin_connect(address, port)


def nowhere(_: str, port: int) -> socket.socket:
    """Connects to nothing."""
    raise OSError(f"nothing listens on {port}")


def test_errors_of_others_are_no_witnesses_for_a_mismatch(site: Verifying) -> None:
    """A body that differs came from somebody who answered: that hosts of many projects fail at the same time makes it
    no less of one.
    """
    site.scatter()
    recorded(site, range(12), "mallory", "malcolm", "mordred", "morgan")
    victim = site.record("/victim", DATA, host=host(VICTIM), name="victim")
    site.later(6 * HOUR)
    for number in range(12):
        site.origin.refuse(f"/{number}", 503, {})
    site.origin.put("/victim", CHANGED)
    site.later(6 * HOUR)
    assert site.state(victim) == "changed"


def test_an_outage_delays_a_state_and_forgets_nothing(site: Verifying) -> None:
    """A portal answers for all: once there are witnesses nothing is quarantined. When it is over, what has changed is,
    and the rest is well.
    """
    site.scatter()
    images = recorded(site, range(6), "one", "two", "three")
    site.later(6 * HOUR)
    for number in range(6):
        site.origin.put(f"/{number}", b"<html>log in</html>")
    site.later(6 * HOUR)
    site.later(400)
    states = [admins_state(site, image) for image in images]
    assert states.count(("verified", "size")) == 3, "the first three had no witnesses yet, and recover"
    for number in range(5):
        site.origin.put(f"/{number}", DATA)
    site.origin.put("/5", CHANGED)
    for _ in range(3):
        site.later(2 * HOUR)
    assert admins_state(site, images[5])[0] == "changed"
    site.later(8 * HOUR)
    site.later(8 * HOUR)
    assert {admins_state(site, image)[0] for image in images[:5]} == {"verified"}


def test_a_finding_waits_only_for_so_long(site: Verifying) -> None:
    """Tenants of enough projects can make an outage of ours likely; after `outage_patience` what was found counts all
    the same.
    """
    site.scatter()
    recorded(site, range(12), "mallory", "malcolm", "mordred")
    victim = site.record("/victim", DATA, host=host(VICTIM), name="victim")
    site.later(6 * HOUR)
    for number in range(12):
        site.origin.put(f"/{number}", CHANGED)
    site.clock.forward(6 * HOUR)
    site.work()
    site.origin.put("/victim", CHANGED)
    answer = site.glare.alice.request("POST", f"/locations/{site.location_of(victim)['id']}/checks")
    assert answer.status_code == 202
    site.work()
    assert site.state(victim) == "verified"
    assert site.location_of(victim)["reason"] == "digest"
    waited = 0.0
    while site.state(victim) == "verified":
        site.later(330)
        waited += 330
        assert waited <= 2 * HOUR + 330
    assert site.state(victim) == "changed"


@pytest.mark.sqlite
def test_a_mismatch_that_waits_is_not_refuted_by_less(site: Verifying) -> None:
    """After one in an outage only a whole body says that all is well, whatever the budget is and whatever the origin
    says of its validators.
    """
    site.scatter()
    recorded(site, range(6), "one", "two", "three")
    victim = site.record("/victim", DATA, host=host(VICTIM), name="victim", project="four")
    site.later(6 * HOUR)
    for number in range(6):
        site.origin.put(f"/{number}", CHANGED)
    site.origin.put("/victim", CHANGED)
    site.later(6 * HOUR)
    for number in range(6):
        site.origin.put(f"/{number}", DATA)
    site.later(330)
    found = site.glare.admin.request("GET", f"/locations?artifact={victim['id']}").json()["locations"][0]["id"]
    checks = site.glare.admin.request("GET", f"/locations/{found}/checks").json()["checks"]
    assert {check["kind"] for check in checks if check["outcome"] == "changed"} == {"full"}
    site.later(HOUR)
    site.later(HOUR)
    assert admins_state(site, victim)[0] == "changed"


def test_one_equal_answer_does_not_clear_a_mismatch_that_waits(site: Verifying) -> None:
    """An origin that serves the right bytes to one check after the outage is quarantined for the next mismatch, and
    well again only after two proofs, an hour apart.
    """
    site.scatter()
    recorded(site, range(6), "one", "two", "three")
    victim = site.record("/victim", DATA, host=host(VICTIM), name="victim")
    site.later(6 * HOUR)
    for number in range(6):
        site.origin.put(f"/{number}", CHANGED)
    site.clock.forward(6 * HOUR)
    site.work()
    site.origin.put("/victim", CHANGED)
    assert site.glare.alice.request("POST", f"/locations/{site.location_of(victim)['id']}/checks").status_code == 202
    site.work()
    assert (site.state(victim), site.column(victim, "withheld")) == ("verified", "changed")
    site.origin.put("/victim", DATA)
    site.later(1000)
    assert site.history(victim)[0][:2] == ("full", "equal")
    assert (site.state(victim), site.column(victim, "withheld")) == ("verified", "changed")
    assert site.location_of(victim)["reason"] == "digest"
    site.later(HOUR)
    assert site.history(victim)[0][:2] == ("full", "equal")
    assert (site.column(victim, "withheld"), site.location_of(victim)["reason"]) == (None, None)


@pytest.mark.sqlite
def test_beacons_decide_alone(tmp_path: Path) -> None:
    """While the operator's beacons answer no number of failing hosts is an outage; while they do not, one finding
    is.
    """
    with (
        Origin() as beacon,
        verifying(tmp_path, f"{OPTIONS}beacons = {beacon.url('/')}\n") as site,
    ):
        open_port(site, beacon.port)
        beacon.put("/", b"here")
        site.scatter()
        images = recorded(site, range(6), "one", "two", "three")
        site.later(6 * HOUR)
        for number in range(5):
            site.origin.put(f"/{number}", CHANGED)
        site.later(6 * HOUR)
        assert {admins_state(site, image)[0] for image in images[:5]} == {"changed"}
        beacon.refuse("/", 503, {})
        site.origin.put("/5", CHANGED)
        site.later(6 * HOUR)
        for _ in range(30):
            site.later(HOUR / 4)
        assert admins_state(site, images[5]) == ("verified", "digest"), "as long as it takes"
        beacon.put("/", b"here again")
        site.later(HOUR)
        assert admins_state(site, images[5])[0] == "changed"


def open_port(site: Verifying, port: int) -> None:
    """Let the service reach this port, too."""
    settings = site.glare.services.egress.settings
    object.__setattr__(settings, "ports", settings.ports | {port})


@pytest.mark.sqlite
def test_beacons_are_asked_seldom_and_only_when_it_matters(tmp_path: Path) -> None:
    """Not for checks that end well, and once in an interval for those that do not."""
    with (
        Origin() as beacon,
        verifying(tmp_path, f"{OPTIONS}beacons = {beacon.url('/')}, {beacon.url('/gone')}\n") as site,
    ):
        open_port(site, beacon.port)
        beacon.put("/", b"here")
        for number in range(3):
            site.record(f"/{number}", DATA, name=f"n{number}")
        site.later(6 * HOUR)
        assert beacon.count("/") == 0
        for number in range(3):
            site.origin.put(f"/{number}", CHANGED)
        assert site.later(6 * HOUR) >= 3
        assert beacon.count("/") == 1
        site.later(12 * HOUR)
        assert beacon.count("/") == 2
        assert beacon.count("/gone") == 2


@pytest.mark.sqlite
def test_a_beacon_that_sends_elsewhere_is_none(tmp_path: Path) -> None:
    """A portal that redirects to itself is no sign of the world."""
    with Origin() as beacon, verifying(tmp_path, f"{OPTIONS}beacons = {beacon.url('/')}\n") as site:
        open_port(site, beacon.port)
        beacons = site.glare.services.beacons
        beacon.put("/log-in", b"who are you?")
        beacon.refuse("/", 302, {"Location": beacon.url("/log-in", "mirror.test.example")})
        assert beacons.cut_off(Cancellation()) is True
        site.clock.forward(61)
        beacon.refuse("/", 302, {"Location": "/log-in"})
        assert beacons.cut_off(Cancellation()) is False
        site.clock.forward(61)
        beacon.refuse("/", 511, {})
        assert beacons.cut_off(Cancellation()) is True


def test_a_host_that_is_out_of_reach_backs_off_as_a_host(site: Verifying, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many locations and projects it has, a connection is tried after five minutes, ten, twenty … up to an
    hour; once it answers, it is asked at its usual pace.
    """
    for number in range(8):
        site.record(f"/{number}", DATA, name=f"n{number}", project=f"project{number % 3}")
    site.later(6 * HOUR)
    tried = []

    def refused(address: str, port: int) -> socket.socket:
        tried.append(address)
        raise OSError("no route")

    with monkeypatch.context() as patch:
        patch.setattr(site.glare.services.egress.connector, "_connect", refused)
        site.clock.forward(6 * HOUR)
        counted = []
        for _ in range(150):  # Six hours.
            site.later(144)
            counted.append(len(tried))
    assert counted[int(HOUR / 144)] <= 4, "in the first hour"
    assert counted[-1] <= 4 + 5
    before = len(site.origin.seen)
    site.later(HOUR)
    assert len(site.origin.seen) - before >= 8


def test_a_file_that_is_gone_is_no_failure_of_its_host(site: Verifying) -> None:
    """The other locations of the host are checked as ever."""
    gone, image = site.record("/a", DATA, name="gone"), site.record("/b", DATA)
    site.origin.remove("/a")
    site.later(6 * HOUR)
    assert site.history(gone)[0][1:3] == ("failed", "gone")
    assert site.history(image)[0][1] == "equal"


def test_a_wish_passes_the_back_off_of_a_host(site: Verifying, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody asks for is checked at once."""
    image = site.record("/a", DATA)
    monkeypatch.setitem(vars(site.glare.services.egress.connector), "_connect", nowhere)
    site.later(6 * HOUR)
    monkeypatch.undo()
    assert site.later(60) == 0
    assert site.glare.alice.request("POST", f"/locations/{site.location_of(image)['id']}/checks").status_code == 202
    assert site.work() == 1
    assert site.location_of(image)["reason"] is None
    assert site.later(DAY) >= 1


def test_the_network_of_a_host_is_that_of_the_answer_which_was_judged(
    site: Verifying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with addresses in two networks: what another request to it met meanwhile is not taken for what this check
    met.
    """
    egress = site.glare.services.egress
    now_at = ["127.1.1.1"]
    monkeypatch.setattr(egress.names, "_resolve", lambda _: [ip_address(now_at[0])])
    monkeypatch.setattr(egress.connector, "_connect", lambda _, port: begin_connect("127.0.0.1", port))
    site.record("/a", DATA, host=host(1))

    def overtaken(*args: Any) -> Finding:
        now_at[0] = "127.1.1.1"
        found = check(*args)
        now_at[0] = "127.1.2.1"
        egress.open(egress.parse(site.origin.url("/a", host(1)))).close()
        return found

    monkeypatch.setattr("glare.operations.locations.verify.check", overtaken)
    assert site.later(6 * HOUR) == 1
    with site.glare.services.db.read() as connection:
        assert connection.execute(select(location_hosts.c.network)).scalars().all() == ["127.1.1.0/24"]


def test_the_network_of_a_host_that_redirects_is_its_own(site: Verifying) -> None:
    """Who redirects to a mirror in another network does not borrow that; a finding names the hop that it is about."""
    site.scatter()
    image = site.record("/a", DATA, host=host(1))
    site.origin.put("/b", DATA)
    site.origin.refuse("/a", 302, {"Location": site.origin.url("/b", host(2))})
    with site.glare.services.db.read() as connection:
        target = checks.find(connection, site.location_of(image)["id"])
    assert target is not None
    found = check(site.glare.services, target, CheckKind.FULL, Cancellation())
    assert found.contact == Contact(1, Phase.ANSWER, f"127.1.{sorted(NAMES).index(host(1))}.0/24")
    site.origin.remove("/b")
    found = check(site.glare.services, target, CheckKind.FULL, Cancellation())
    assert (found.reason, found.contact and found.contact.hop) == ("gone", 1)
    site.origin.refuse("/a", 302, {"Location": "http://127.0.0.1:80/"})
    found = check(site.glare.services, target, CheckKind.FULL, Cancellation())
    assert found.outcome == "failed"
    assert found.contact is not None
    assert found.contact.hop == 1
    assert found.contact.network is not None
