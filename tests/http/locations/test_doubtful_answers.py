"""Origins whose headers leave in doubt what their bytes are, or where they end: a claim that is met takes the doubt
away, for later reads too.
"""

from __future__ import annotations

import gzip
import hashlib
import random
from collections.abc import Iterator

import pytest

from glare.db import checks
from glare.digest import BLOCK
from glare.domain.verification import CheckKind, Finding, Outcome
from glare.egress.cancellation import Cancellation
from glare.operations.locations.check import check
from glare.operations.locations.jobs import do_next
from support.origins.crooked import Behaviour, Crooked, Visit, honest
from support.service import Glare, Json, running

pytestmark = pytest.mark.sqlite  # What an origin sends is judged the same on each database.

DATA = gzip.compress(random.Random(2).randbytes(2 * BLOCK), mtime=0)
"""An archive, whose origin takes its name for a coding."""

PROOF = {"size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}


def answering(data: bytes, status: int = 200, *, framed: bool = True, ranges: bool = True, **headers: str) -> Behaviour:
    """Serves the data with these headers, with a length or without one."""

    def behave(visit: Visit) -> None:
        asked = visit.asked(len(data)) if ranges else None
        first, last = asked or (0, len(data) - 1)
        reported: dict[str, object] = {"Content_Length": last - first + 1} if framed else {}
        if asked:
            reported["Content_Range"] = f"bytes {first}-{last}/{len(data)}"
        visit.head(206 if asked else status, **reported, **headers)
        visit.send(data[first : last + 1])

    return behave


def old(visit: Visit) -> None:
    """HTTP/1.0, whose bodies end with the connection."""
    visit.send(b"HTTP/1.0 200 OK\r\n\r\n" + DATA)


def sent(coding: str | None = None, *, ends: bool = False, transformed: bool = False) -> Json:
    return {"content_encoding": coding, "ends_with_connection": ends, "transformed": transformed}


DOUBTFUL: dict[str, tuple[Behaviour, Json]] = {
    **{
        coding: (answering(DATA, Content_Encoding=coding), sent(coding))
        for coding in ("gzip", "x-gzip", "None", "aws-chunked", "utf-8")
    },
    "no length": (answering(DATA, framed=False), sent(ends=True)),
    "no length, no ranges": (answering(DATA, framed=False, ranges=False), sent(ends=True)),
    "HTTP/1.0": (old, sent(ends=True)),
    "no length, and a coding": (answering(DATA, framed=False, Content_Encoding="gzip"), sent("gzip", ends=True)),
    "a transforming proxy": (answering(DATA, 203), sent(transformed=True)),
}


@pytest.fixture(scope="module")
def crooked() -> Iterator[Crooked]:
    with Crooked(honest(DATA)) as server:
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, crooked: Crooked) -> Iterator[Glare]:
    settings = "[verification]\nspot_blocks = 1\n"
    with running(tmp_path_factory.mktemp("doubtful"), settings, ports=(80, 443, crooked.port)) as service:
        yield service


@pytest.fixture
def image(api: Glare, request: pytest.FixtureRequest) -> Json:
    return api.alice.create("images", name=request.node.name, container_format="bare", disk_format="raw")


def location(api: Glare, image: Json) -> Json:
    """The image's location as its owner sees it."""
    [found] = api.alice.request("GET", f"/locations?artifact={image['id']}").json()["locations"]
    document: Json = found
    return document


def checked(api: Glare, image: Json, kind: CheckKind) -> Finding:
    with api.services.db.read() as connection:
        target = checks.find(connection, location(api, image)["id"])
    assert target is not None
    return check(api.services, target, kind, Cancellation())


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_claim_that_is_met_is_a_proof(api: Glare, crooked: Crooked, image: Json, name: str) -> None:
    """Recorded with claims, and refused with the remedy without; downloads, ranges, checks and promotion know how it is
    read.
    """
    crooked.behave, as_sent = DOUBTFUL[name]
    refused = api.alice.try_locate(image, "image", crooked.url)
    assert refused.status_code == 400
    assert "give 'size' and 'sha256'" in refused.json()["error"]["message"]
    assert api.alice.locate(image, "image", crooked.url, **PROOF)["image"]["size"] == len(DATA)
    assert location(api, image)["as_sent"] == as_sent
    assert api.alice.download(image, "image").content == DATA
    part = api.alice.download(image, "image", Range=f"bytes={BLOCK - 5}-{BLOCK + 5}")
    assert part.content == DATA[BLOCK - 5 : BLOCK + 6]
    for kind in CheckKind:
        assert checked(api, image, kind).outcome is Outcome.EQUAL
    image = api.alice.activate(image)
    address = f"/locations/{location(api, image)['id']}/promotion"
    assert api.alice.request("POST", address).status_code == 202
    assert do_next(api.services, Cancellation()) is not None
    assert api.alice.request("GET", address).json()["promotion"]["status"] == "done"


def test_what_leaves_no_doubt_is_recorded_so(api: Glare, crooked: Crooked, image: Json) -> None:
    """An ordinary answer has nothing to say."""
    crooked.behave = honest(DATA)
    api.alice.locate(image, "image", crooked.url, **PROOF)
    assert location(api, image)["as_sent"] is None


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_claim_that_is_not_met_refuses(api: Glare, crooked: Crooked, image: Json, name: str) -> None:
    """Other bytes are not taken for the content, however they are sent."""
    crooked.behave, _ = DOUBTFUL[name]
    refused = api.alice.try_locate(image, "image", crooked.url, size=len(DATA), sha256="0" * 64)
    assert refused.status_code == 400
    assert "sha256" in refused.json()["error"]["message"]
    assert api.alice.show(image)["image"] is None


def test_an_md5_proves_nothing(api: Glare, crooked: Crooked, image: Json) -> None:
    """Old clients always send one, and anybody can make two contents with the same."""
    crooked.behave = answering(DATA, Content_Encoding="gzip")
    claims = {"md5": hashlib.md5(DATA, usedforsecurity=False).hexdigest(), "size": len(DATA)}
    assert api.alice.try_locate(image, "image", crooked.url, **claims).status_code == 400


@pytest.mark.parametrize("reported", ["*", "short", "whole"])
@pytest.mark.parametrize("cut", [True, False])
def test_what_breaks_off_is_recorded_whole_or_not_at_all(
    api: Glare, crooked: Crooked, image: Json, reported: str, cut: bool
) -> None:
    """Whatever its parts say of the length, a content that ends before what its origin has declared is not recorded."""

    def behave(visit: Visit) -> None:
        asked = visit.headers.get("Range")
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        end = min(first + 100, len(DATA) - 1) if cut else len(DATA)
        if asked:
            named = {"*": "*", "short": end, "whole": len(DATA)}[reported]
            visit.head(206, Content_Range=f"bytes {first}-{end - 1}/{named}", Content_Length=end - first, ETag='"1"')
            visit.send(DATA[first:end])
            return
        visit.head(200, Content_Length=len(DATA), ETag='"1"')
        visit.send(DATA[: len(DATA) // 2])

    crooked.behave = behave
    answer = api.alice.try_locate(image, "image", crooked.url)
    assert answer.status_code == (400 if cut else 200)
    document = api.alice.show(image)["image"]
    assert document is None if cut else document["sha256"] == PROOF["sha256"]


def test_a_redirect_to_a_long_url(api: Glare, crooked: Crooked, image: Json) -> None:
    """What a redirect leads to may be longer than what is recorded, at every step: takedowns are asked about it, and it
    is read.
    """
    target = f"/there?X-Signature={'s3cr3t' * 2000}&empty=&?"

    def behave(visit: Visit) -> None:
        if visit.path == target:
            honest(DATA)(visit)
        else:
            visit.head(302, Location=target, Content_Length=0)

    crooked.behave = behave
    api.alice.locate(image, "image", crooked.url)
    assert api.alice.download(image, "image").content == DATA
    assert checked(api, image, CheckKind.FULL).outcome is Outcome.EQUAL
    assert "s3cr3t" not in str(location(api, image))


@pytest.fixture
def recorded(api: Glare, crooked: Crooked, image: Json) -> Json:
    """An image whose origin ends its body with the connection, under a coding."""
    crooked.behave = answering(DATA, framed=False, ranges=False, Content_Encoding="gzip")
    api.alice.locate(image, "image", crooked.url, **PROOF)
    return image


def test_what_was_cut_has_not_changed(api: Glare, crooked: Crooked, recorded: Json) -> None:
    """A shorter body that ends with the connection was broken off, as far as anybody can tell."""
    crooked.behave = answering(DATA[:-1], framed=False, ranges=False, Content_Encoding="gzip")
    found = checked(api, recorded, CheckKind.FULL)
    assert (found.outcome, found.reason) == (Outcome.FAILED, "incomplete")


@pytest.mark.parametrize(
    ("behave", "outcome", "reason"),
    [
        # Another coding than the recorded one says nothing of the content; the recorded one does.
        (answering(gzip.compress(DATA), Content_Encoding="br"), Outcome.FAILED, "protocol"),
        (answering(bytes(len(DATA)), Content_Encoding="br"), Outcome.FAILED, "protocol"),
        (answering(bytes(len(DATA)), 203, ranges=False), Outcome.FAILED, "protocol"),
        (answering(bytes(len(DATA)), Content_Encoding="gzip"), Outcome.CHANGED, "digest"),
        (answering(DATA + b"!", Content_Encoding="gzip"), Outcome.CHANGED, "size"),
        (answering(DATA + b"!", framed=False, Content_Encoding="gzip"), Outcome.CHANGED, "size"),
        # However it is sent now, equal is equal.
        (answering(DATA), Outcome.EQUAL, None),
        (answering(DATA, Content_Encoding="br"), Outcome.EQUAL, None),
        (answering(DATA, 203, ranges=False), Outcome.EQUAL, None),
    ],
)
def test_what_a_full_check_finds(
    api: Glare, crooked: Crooked, recorded: Json, behave: Behaviour, outcome: Outcome, reason: str | None
) -> None:
    """Digests decide; where they differ, the recorded coding decides whether that says anything."""
    crooked.behave = behave
    found = checked(api, recorded, CheckKind.FULL)
    assert (found.outcome, found.reason) == (outcome, reason)


def test_what_was_recorded_as_transformed_can_change(api: Glare, crooked: Crooked, image: Json) -> None:
    """An origin that always says 203 cannot keep out of the quarantine with that; one that says 200 now was recorded in
    another way.
    """
    crooked.behave = answering(DATA, 203, ranges=False)
    api.alice.locate(image, "image", crooked.url, **PROOF)
    crooked.behave = answering(bytes(len(DATA)), 203, ranges=False)
    found = checked(api, image, CheckKind.FULL)
    assert (found.outcome, found.reason) == (Outcome.CHANGED, "digest")
    crooked.behave = answering(DATA + b"!", 203, ranges=False)
    found = checked(api, image, CheckKind.FULL)
    assert (found.outcome, found.reason) == (Outcome.CHANGED, "size")
    crooked.behave = answering(bytes(len(DATA)), ranges=False)
    found = checked(api, image, CheckKind.FULL)
    assert (found.outcome, found.reason) == (Outcome.FAILED, "protocol")


def in_parts(most: int, total: int = len(DATA)) -> Behaviour:
    """Answers a range with no more than `most` bytes of it."""

    def behave(visit: Visit) -> None:
        first, last = visit.asked(total) or (0, total - 1)
        if first >= total:
            visit.head(416, Content_Length=0, Content_Range=f"bytes */{total}")
            return
        last = min(last, first + most - 1)
        reported = f"bytes {first}-{last}/{total}"
        visit.head(206, Content_Length=last - first + 1, Content_Range=reported)
        visit.send(DATA[first : last + 1])

    return behave


@pytest.mark.parametrize(
    ("behave", "outcome", "reason"),
    [
        (in_parts(BLOCK // 3), Outcome.EQUAL, None),
        (in_parts(1), Outcome.FAILED, "protocol"),
        # A content that is shorter now is not the content, although the last range that it has is another one.
        (in_parts(BLOCK, total=100), Outcome.SUSPECT, "size"),
        (lambda visit: visit.head(416, Content_Length=0, Content_Range="bytes */0"), Outcome.SUSPECT, "size"),
    ],
)
def test_what_a_spot_check_finds(
    api: Glare, crooked: Crooked, image: Json, behave: Behaviour, outcome: Outcome, reason: str | None
) -> None:
    """A block may come in parts; an origin that has fewer bytes now is one to look at whole."""
    crooked.behave = honest(DATA)
    api.alice.locate(image, "image", crooked.url)
    crooked.behave = behave
    found = checked(api, image, CheckKind.SPOT)
    assert (found.outcome, found.reason) == (outcome, reason)


def test_an_empty_origin_is_suspect(api: Glare, crooked: Crooked, image: Json) -> None:
    """The first byte of nothing cannot be had (416), whatever validators say."""
    crooked.behave = honest(DATA)
    api.alice.locate(image, "image", crooked.url)
    crooked.behave = lambda visit: visit.head(416, Content_Length=0, Content_Range="bytes */0")
    found = checked(api, image, CheckKind.CONDITIONAL)
    assert (found.outcome, found.reason) == (Outcome.SUSPECT, "size")


@pytest.mark.parametrize(("status", "waits"), [(429, "120"), (503, "17")])
def test_an_origin_that_is_busy(api: Glare, crooked: Crooked, image: Json, status: int, waits: str) -> None:
    """What the origin asks for is passed on: 503, and when to come back."""
    crooked.behave = lambda visit: visit.head(status, Content_Length=0, Retry_After=waits)
    refused = api.alice.try_locate(image, "image", crooked.url)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, waits)
    assert refused.headers["X-Glare-Error-Code"] == "OriginBusy"
    assert api.alice.show(image)["image"] is None
    assert api.leftovers() == {}


def test_a_download_from_a_busy_origin(api: Glare, crooked: Crooked, image: Json) -> None:
    """A reader is told as well."""
    crooked.behave = honest(DATA)
    api.alice.locate(image, "image", crooked.url)
    crooked.behave = lambda visit: visit.head(429, Content_Length=0, Retry_After="90")
    answer = api.alice.request("GET", f"/artifacts/images/{image['id']}/image")
    assert (answer.status_code, answer.headers["Retry-After"]) == (502, "90")
