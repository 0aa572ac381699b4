"""What readers make the service fetch: ranges of origins that know none, and who is charged for which bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from glare.digest import BLOCK
from glare.errors import OutboundBusy, TooManyRequests
from glare.operations import reads
from glare.operations.reads import ReadLimits, Reads
from glare.shares import SERVICE, Party
from support.runs.jobs import Working, working
from support.service import LOCATION, Json, path_of

V2 = {"OpenStack-API-Version": "artifact 1.2"}
BLOCKS = 6
DATA = bytes(range(256)) * (BLOCKS * BLOCK // 256 - 3)
ALICE, BOB = Party.project("alice"), Party.project("bob")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Working]:
    with working(tmp_path, f"range_skip = {2 * BLOCK}\nread_network_waste = {4 * BLOCK}\n") as service:
        yield service


def public(service: Working, target: str, *, ranges: bool = True) -> Json:
    """A public image at the origin."""
    service.origin.put(target, DATA, ranges=ranges)
    image = service.image(target)
    service.glare.alice.locate(image, "image", service.origin.url(target))
    service.glare.alice.activate(image)
    return service.glare.admin.publish(image)


def fetched(service: Working) -> int:
    """Bytes that readers have had from the origin."""
    return service.glare.services.reads._account("read host 127.0.0.1").fetched


@pytest.mark.sqlite
def test_no_reader_has_more_fetched_than_is_sent(service: Working) -> None:
    """Where the origin knows no ranges, the range at the end is ignored: 200 with the whole, whose every byte is the
    reader's.
    """
    image = public(service, "/plain", ranges=False)
    sent = 0
    for _ in range(20):
        answer = service.glare.anonymous.download(image, "image", range="bytes=-1")
        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["content-digest"] == answer.headers["repr-digest"]
        assert "content-range" not in answer.headers
        sent += len(answer.content)
    assert fetched(service) == sent
    asked = [seen.headers.get("range") for seen in service.origin.seen if seen.target == "/plain"]
    assert sum(one is not None for one in asked) == 1


@pytest.mark.sqlite
@pytest.mark.parametrize("marked", [False, True])
def test_a_range_of_a_damaged_block_is_the_whole_where_origins_know_none(service: Working, marked: bool) -> None:
    """A stored replica whose late block is wrong, and an origin without ranges: 200 with the whole, before and after it
    is marked.
    """
    service.origin.put("/plain", DATA, ranges=False)
    alice = service.glare.alice
    image = alice.create("images", name="damaged late", container_format="bare", disk_format="raw")
    path = f"{path_of(image)}/locations"
    body = json.dumps({"url": service.origin.url("/plain")}).encode()
    located = alice.request("PUT", f"{path}/far", content=body, headers={"Content-Type": LOCATION, **V2})
    assert located.status_code in (200, 201), located.text
    assert alice.try_upload(image, "locations/near", DATA, headers=V2).is_success
    alice.activate(image)
    [file] = service.glare.objects()
    file.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    if marked:
        alice.request("GET", f"{path}/near", headers=V2)
    answer = alice.request("GET", f"{path}/near", headers={"Range": "bytes=-1", **V2})
    assert (answer.status_code, answer.content == DATA) == (200, True)
    assert answer.headers["content-digest"] == answer.headers["repr-digest"]
    assert answer.headers["content-length"] == str(len(DATA))
    assert "content-range" not in answer.headers


@pytest.mark.sqlite
def test_a_range_near_the_beginning_is_served(service: Working) -> None:
    """A little may be read and dropped for a range, and counts as fetched."""
    image = public(service, "/plain", ranges=False)
    answer = service.glare.alice.download(image, "image", range=f"bytes={2 * BLOCK}-{2 * BLOCK + 9}")
    assert (answer.status_code, answer.content) == (206, DATA[2 * BLOCK : 2 * BLOCK + 10])
    assert fetched(service) == 3 * BLOCK


@pytest.mark.sqlite
def test_a_network_may_not_have_much_fetched_that_it_does_not_take(service: Working) -> None:
    """Single bytes of blocks: after a while the network is refused for some time, and a project is served."""
    image = public(service, "/ranges")
    for at in range(4):
        assert service.glare.anonymous.download(image, "image", range=f"bytes={at * BLOCK}-{at * BLOCK}").content
    refused = service.glare.anonymous.download(image, "image", range=f"bytes=-{BLOCK // 2}")
    if refused.status_code == 206:  # Four bytes were taken.
        refused = service.glare.anonymous.download(image, "image", range="bytes=-1")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert service.glare.alice.download(image, "image").content == DATA


@pytest.mark.sqlite
def test_projects_have_a_window_of_bytes(tmp_path: Path) -> None:
    """Whoever has had as much fetched as a project may waits for the next window; others do not."""
    with working(tmp_path, f"read_project_bytes = {BLOCKS * BLOCK // 2}\nwindow = 1 h\n") as service:
        image = public(service, "/ranges")
        assert service.glare.alice.download(image, "image").content == DATA
        refused = service.glare.alice.download(image, "image")
        assert refused.status_code == 429
        assert service.glare.bob.download(image, "image").content == DATA
        service.clock.forward(int(refused.headers["retry-after"]))
        assert service.glare.alice.download(image, "image").content == DATA


@pytest.mark.sqlite
def test_a_host_has_a_window_of_requests(tmp_path: Path) -> None:
    """All readers together may ask a host so often: then it is the service that is busy, and no location is blamed."""
    with working(tmp_path, "read_host_requests = 1\n") as service:
        image = public(service, "/ranges")
        assert service.glare.alice.download(image, "image").content == DATA
        refused = service.glare.bob.download(image, "image")
        assert (refused.status_code, refused.headers["x-glare-error-code"]) == (503, "OutboundBusy")
        assert service.column(image, "failures") == 0


def test_nodes_learn_of_one_another(service: Working) -> None:
    """What one process has charged counts in another after a while, with few writes."""
    now = 7_200_000_000
    limits = ReadLimits(window=3600, project_bytes=100 << 20, host_bytes=300 << 20)
    db = service.glare.services.db
    one, other = (Reads(limits, db, clock=lambda: now) for _ in range(2))
    one.admit(ALICE)
    other.admit(ALICE)
    one.fetched(ALICE, "host.example", 100 << 20)
    with pytest.raises(TooManyRequests):
        one.admit(ALICE)
    other.fetched(ALICE, "host.example", 1)
    other.admit(ALICE)
    now += 31_000_000
    other.fetched(ALICE, "host.example", 1)
    other.admit(BOB)
    with pytest.raises(TooManyRequests) as refused:
        other.admit(ALICE)
    assert refused.value.retry_after == 3600 - 31
    third = Reads(limits, db, clock=lambda: now)
    with pytest.raises(TooManyRequests):
        third.admit(ALICE)
    third.fetched(SERVICE, "host.example", 200 << 20)
    with pytest.raises(OutboundBusy):
        third.begin(SERVICE, "host.example")
    now += 3_600_000_000
    third.admit(ALICE)
    third.begin(ALICE, "host.example")


def test_what_is_forgotten_was_charged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parties and hosts there are, what one of them has used in the window counts; hosts push out no
    party, and so no network's bytes that were fetched in vain.
    """
    monkeypatch.setattr(reads, "_MOST_ACCOUNTS", 2)
    limits = ReadLimits(window=3600, project_bytes=1000, network_waste=1000, host_bytes=1000)
    with working(tmp_path) as service:
        charged = Reads(limits, service.glare.services.db, clock=lambda: 1_800_000_000_000_000)
        network = Party.network("192.0.2.1")
        charged.fetched(network, "first.example", 1000)
        assert charged.now == (1, 1, 1000)
        for number in range(5):
            charged.fetched(SERVICE, f"host{number}.example", 1)
        with pytest.raises(TooManyRequests):
            charged.admit(network)
        with pytest.raises(OutboundBusy):
            charged.begin(SERVICE, "first.example")
        charged.fetched(ALICE, "first.example", 1000)
        for number in range(5):
            charged.fetched(Party.project(f"other {number}"), "second.example", 1)
        with pytest.raises(TooManyRequests):
            charged.admit(ALICE)
