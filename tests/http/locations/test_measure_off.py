"""`[locations] measure = off`: what was claimed is recorded, nobody takes it for true, and a worker measures it
later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.origins.crooked import Behaviour, Crooked, Visit, honest
from support.runs.jobs import Working, working
from support.service import path_of

pytestmark = pytest.mark.sqlite  # What an origin sends is judged the same on each database.

DATA = bytes(range(256)) * 5000
MD5 = hashlib.md5(DATA).hexdigest()
SHA256 = hashlib.sha256(DATA).hexdigest()
OFF = "measure = off\n"


@pytest.fixture
def off(tmp_path: Path) -> Iterator[Working]:
    with working(tmp_path, OFF) as service:
        yield service


def test_claims_are_recorded_as_they_are(off: Working) -> None:
    """The blob is active with the given checksums and no size; nothing is asked of the origin, and nothing is called
    verified.
    """
    image = off.image()
    blob = off.glare.alice.locate(image, "image", off.origin.url("/raw"), md5=MD5, size=len(DATA))["image"]
    assert (blob["status"], blob["external"], blob["md5"]) == ("active", True, MD5)
    assert {blob[name] for name in ("size", "sha1", "sha256", "content_type")} == {None}
    assert off.state(image) == "unverified"
    assert off.location_of(image)["proven_at"] is None
    assert off.origin.count("/raw") == 0
    assert off.glare.alice.download(image, "image").status_code == 409
    off.glare.alice.activate(image)
    assert off.glare.usage("wonderland") == (1, 0)


def test_a_worker_measures_it_later(off: Working) -> None:
    """Equal claims become measured values; then it is served, and checked like any other."""
    off.origin.put("/raw", DATA)
    image = off.image()
    off.glare.alice.locate(image, "image", off.origin.url("/raw"), md5=MD5, size=len(DATA))
    image = off.glare.alice.activate(image)
    assert off.do() == ["wonderland"]
    assert off.state(image) == "verified"
    document = off.glare.alice.show(image)["image"]
    assert (document["size"], document["sha256"]) == (len(DATA), SHA256)
    assert off.events(image) == ["location.verified"]
    assert off.glare.alice.download(image, "image").content == DATA
    assert off.later(7 * 3600) == 1


@pytest.mark.parametrize("claims", [{"md5": "0" * 32}, {"sha256": "0" * 64}, {"size": 1}])
def test_claims_that_are_wrong_are_told(off: Working, claims: dict[str, object]) -> None:
    """The location has changed, for the reason that it is not what was claimed, and an event says so."""
    off.origin.put("/raw", DATA)
    image = off.image()
    off.glare.alice.locate(image, "image", off.origin.url("/raw"), **claims)
    off.do()
    reported = off.location_of(image)
    assert (reported["state"], reported["reason"]) == ("changed", "claim_mismatch")
    assert off.events(image) == ["location.changed"]
    assert off.glare.alice.download(image, "image").status_code == 409
    assert off.do() == []


def test_an_origin_that_is_away_is_asked_until_it_answers(off: Working) -> None:
    """It stays unverified however often it fails, and is measured once it can be."""
    image = off.image()
    off.glare.alice.locate(image, "image", off.origin.url("/raw"), md5=MD5)
    for _ in range(8):
        off.do()
        assert off.state(image) == "unverified"
        off.clock.forward(3600)
    off.origin.put("/raw", DATA)
    off.do()
    assert off.state(image) == "verified"


def sending(data: bytes, status: int = 200, **headers: str) -> Behaviour:
    """Answers with the data, and a length only where `headers` name one."""

    def behave(visit: Visit) -> None:
        visit.head(status, **headers)
        visit.send(data)

    return behave


@pytest.mark.parametrize(
    ("doubtful", "then"),
    [
        (sending(DATA[:-1]), sending(DATA)),
        (sending(b"other", Content_Encoding="gzip", Content_Length="5"), honest(DATA)),
        (sending(b"other", 203, Content_Length="5"), honest(DATA)),
        (sending(b"", Content_Encoding="gzip", Content_Length=str(1 << 60)), honest(DATA)),
        (sending(b"", 203, Content_Length=str(1 << 60)), honest(DATA)),
    ],
    ids=["cut", "encoded", "transformed", "encoded, too large", "transformed, too large"],
)
def test_an_answer_in_doubt_refutes_nothing(tmp_path: Path, doubtful: Behaviour, then: Behaviour) -> None:
    """What may not be the content, or not all of it, leaves the location unverified; it is measured again."""
    with Crooked(doubtful) as crooked, working(tmp_path, OFF, port=crooked.port) as off:
        image = off.image()
        off.glare.alice.locate(image, "image", crooked.url, sha256=SHA256)
        off.do()
        assert crooked.visits == 1
        assert off.state(image) == "unverified"
        assert off.events(image) == []
        crooked.behave = then
        off.clock.forward(3600)
        off.do()
        assert off.state(image) == "verified"


def test_its_owner_may_ask_for_measuring(tmp_path: Path) -> None:
    """Where workers do not measure by themselves, a check that is asked for does."""
    with working(tmp_path, OFF + "measure_later = false\n") as off:
        off.origin.put("/raw", DATA)
        image = off.image()
        off.glare.alice.locate(image, "image", off.origin.url("/raw"), sha256=SHA256)
        assert (off.do(), off.work()) == ([], 0)
        address = f"/locations/{off.location_of(image)['id']}/checks"
        assert off.glare.alice.request("POST", address).status_code == 202
        assert off.glare.alice.request("POST", address).status_code == 202
        assert off.do() == ["wonderland"]
        assert off.state(image) == "verified"
        assert off.history(image) == [("full", "equal", None, 1)]


@pytest.mark.sqlite
def test_what_is_deleted_is_not_measured(off: Working) -> None:
    """The job ends with its location or its artifact."""
    off.origin.put("/raw", DATA)
    first, second = off.image("first"), off.image("second")
    for image in (first, second):
        off.glare.alice.locate(image, "image", off.origin.url("/raw"), md5=MD5)
    off.glare.alice.request("DELETE", f"/artifacts/images/{first['id']}/image")
    off.glare.alice.delete(second)
    off.do()
    assert off.origin.count("/raw") == 0
    assert sorted(state for _, state, _ in off.rows()) == ["done", "failed"]


@pytest.mark.sqlite
def test_promotion_wants_a_measured_location(off: Working) -> None:
    """What nobody has measured is not copied."""
    image = off.image()
    off.glare.alice.locate(image, "image", off.origin.url("/raw"), md5=MD5)
    answer = off.glare.alice.request("POST", f"/locations/{off.location_of(image)['id']}/promotion")
    assert answer.status_code == 409


@pytest.mark.sqlite
def test_replicas_that_differ_are_found_out(off: Working) -> None:
    """Claims fix nothing; of two members that are measured later, the second must be the same."""
    image = off.glare.alice.create("images", name="replicas", container_format="bare", disk_format="raw")
    off.origin.put("/a", DATA)
    off.origin.put("/b", DATA + b"!")
    for key in "ab":
        body = b'{"url": "%s"}' % off.origin.url(f"/{key}").encode()
        answer = off.glare.alice.request(
            "PUT",
            f"/artifacts/images/{image['id']}/locations/{key}",
            content=body,
            headers={
                "Content-Type": "application/vnd+openstack.glare-custom-location+json",
                "OpenStack-API-Version": "artifact 1.2",
            },
        )
        assert answer.status_code == 200, answer.text
    off.do()
    assert sorted(off.location_of(image, f"locations/{key}")["state"] for key in "ab") == ["changed", "verified"]


@pytest.mark.sqlite
def test_only_a_redirect_serves_it_before(tmp_path: Path) -> None:
    """Where the operator allows redirects, who asks for one is sent to the origin, without a digest; never to a
    confidential one.
    """
    with working(tmp_path, "measure = off\nmeasure_later = false\nredirect = true\n") as off:
        image, secret = off.image(), off.image("secret")
        off.glare.alice.locate(image, "image", off.origin.url("/raw"), md5=MD5)
        off.glare.alice.locate(secret, "image", off.origin.url("/raw"), md5=MD5, confidential=True)
        url = f"{path_of(image)}/image?redirect=true"
        for method in ("GET", "HEAD"):
            answer = off.glare.alice.request(method, url)
            assert (answer.status_code, answer.headers["location"]) == (302, off.origin.url("/raw"))
            assert "digest" not in answer.headers
        assert off.glare.alice.download(image, "image").status_code == 409
        assert off.glare.alice.request("GET", f"{path_of(secret)}/image?redirect=true").status_code == 409
        taken = {"kind": "host", "value": "127.0.0.1", "reason": "law"}
        off.glare.admin.request("POST", "/takedowns", json=taken)
        assert off.glare.alice.request("GET", url).status_code == 451
