"""What each answer that RFC 9110 lets an origin give to a check is taken for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from time import time

import pytest

from glare.db import checks
from glare.db.checks import Target
from glare.digest import BLOCK
from glare.domain.verification import CheckKind, Finding
from glare.egress.cancellation import Cancellation
from glare.operations.locations.check import check
from support.origins.crooked import Behaviour, Crooked, Visit
from support.service import Glare, running

pytestmark = pytest.mark.sqlite

DATA = random.Random(16).randbytes(2 * BLOCK + 77)
SIZE = len(DATA)
OTHER = DATA[:-1] + bytes([DATA[-1] ^ 1])
TAG, THEN, LATER = '"v1"', "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"

FIRST = f"bytes 0-0/{SIZE}"


def says(status: int, body: bytes = b"", **headers: object) -> Behaviour:
    """An answer that does not depend on the request."""

    def behave(visit: Visit) -> None:
        visit.head(status, **({"Content_Length": len(body)} | headers))
        visit.send(body)

    return behave


def one(**headers: object) -> Behaviour:
    """The first byte, which is what a conditional check asks for."""
    return says(206, DATA[:1], **({"Content_Range": FIRST} | headers))


def chunked(data: bytes) -> Behaviour:
    def behave(visit: Visit) -> None:
        visit.head(200, Transfer_Encoding="chunked")
        visit.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))

    return behave


def to_the_end(data: bytes) -> Behaviour:
    """A body that ends with the connection."""

    def behave(visit: Visit) -> None:
        visit.head(200)
        visit.send(data)

    return behave


def ranges(data: bytes, *, whole: int = SIZE, most: int = SIZE, **headers: object) -> Behaviour:
    """Knows ranges, and sends `most` bytes of one at once."""

    def behave(visit: Visit) -> None:
        first, last = visit.asked(SIZE) or (0, SIZE - 1)
        last = min(last, first + most - 1)
        told = {"Content_Length": last - first + 1, "Content_Range": f"bytes {first}-{last}/{whole}"}
        visit.head(206, **told, **headers)
        visit.send(data[first : last + 1])

    return behave


def reset(visit: Visit) -> None:
    visit.head(200, Content_Length=SIZE)
    visit.send(DATA[:BLOCK])
    visit.reset()


CONDITIONAL: dict[str, tuple[Behaviour, str]] = {
    # 13.1 and 15.4.5: the condition, met, ignored, or answered in the way of other methods.
    "304": (says(304), "equal"),
    "304 with the tag": (says(304, ETag=TAG), "equal"),
    "412": (says(412), "failed status"),
    "a part, same tag": (one(ETag=TAG), "equal"),
    "a part, same tag said weak": (one(ETag=f"W/{TAG}"), "equal"),
    "a part, other tag": (one(ETag='"v2"'), "suspect validators"),
    "a part, no tag, same date": (one(Last_Modified=THEN), "equal"),
    "a part, no tag, other date": (one(Last_Modified=LATER), "suspect validators"),
    "a part, same tag, other date": (one(ETag=TAG, Last_Modified=LATER), "equal"),
    "a part, no tag and no date": (one(), "equal"),
    "a part, a tag that is none": (one(ETag="v2"), "equal"),
    # 14.4: what the range says of the whole.
    "of another whole": (one(Content_Range=f"bytes 0-0/{SIZE + 1}"), "suspect size"),
    "of a whole that is not told": (one(Content_Range="bytes 0-0/*"), "equal"),
    "another range": (one(Content_Range=f"bytes 1-1/{SIZE}"), "failed protocol"),
    "other units": (one(Content_Range=f"lines 0-0/{SIZE}"), "failed protocol"),
    "no range": (one(Content_Range="none"), "failed protocol"),
    "several parts": (one(Content_Type="multipart/byteranges; boundary=x"), "failed protocol"),
    # 14.2: ranges may be ignored. 15.3.4 and 8.4: so may be what was asked of codings.
    "the whole": (says(200, DATA), "equal"),
    "another whole": (says(200, DATA + b"!"), "suspect size"),
    "a whole of no length": (chunked(DATA), "equal"),
    "another whole, coded": (says(200, b"short", Content_Encoding="gzip"), "failed protocol"),
    "another whole, transformed": (says(203, b"short"), "failed protocol"),
    # 15.5.17: nothing of it is there.
    "416": (says(416, Content_Range="bytes */0"), "suspect size"),
    "416 that says nothing": (says(416), "suspect size"),
    # 15.3 to 15.6: what is no content.
    "204": (says(204), "failed status"),
    "205": (says(205), "failed status"),
    "202": (says(202, b"soon"), "failed status"),
    "300 without a choice": (says(300, b"<a>"), "failed status"),
    "302 without a place": (says(302), "failed status"),
    "305": (says(305, Location="http://10.0.0.1/"), "failed status"),
    "401": (says(401), "failed denied"),
    "403": (says(403), "failed denied"),
    "404": (says(404), "failed gone"),
    "410": (says(410), "failed gone"),
    "451": (says(451), "failed status"),
    "500": (says(500), "failed status"),
    "429": (says(429), "failed throttled"),
    "503": (says(503), "failed throttled"),
}

SPOT: dict[str, tuple[Behaviour, str]] = {
    "the block": (ranges(DATA), "equal"),
    "the block, of a whole that is not told": (ranges(DATA, whole=SIZE), "equal"),
    "in parts": (ranges(DATA, most=BLOCK // 2), "equal"),
    "in crumbs": (ranges(DATA, most=3), "failed protocol"),
    "other bytes": (ranges(bytes(SIZE)), "suspect digest"),
    "other bytes, coded": (ranges(bytes(SIZE), Content_Encoding="gzip"), "failed protocol"),
    "of another whole": (ranges(DATA, whole=SIZE + 1), "suspect size"),
    "several parts": (ranges(DATA, Content_Type="multipart/byteranges"), "failed protocol"),
    "the whole": (says(200, DATA), "equal"),  # By its headers then.
    "another whole": (says(200, DATA + b"!"), "suspect size"),
    "416": (says(416, Content_Range="bytes */9"), "suspect size"),
    "304": (says(304), "failed status"),
    "412": (says(412), "failed status"),
    "204": (says(204), "failed status"),
}

FULL: dict[str, tuple[Behaviour, str]] = {
    "the whole": (says(200, DATA), "equal"),
    "the whole in a chunk": (chunked(DATA), "equal"),
    "the whole, to the end": (to_the_end(DATA), "equal"),
    "the whole, said to be coded": (says(200, DATA, Content_Encoding="x-gzip"), "equal"),
    "the whole, transformed": (says(203, DATA), "equal"),
    "another byte": (says(200, OTHER), "changed digest"),
    "another byte, coded": (says(200, OTHER, Content_Encoding="gzip"), "failed protocol"),
    "another byte, transformed": (says(203, OTHER), "failed protocol"),
    "more": (says(200, DATA + b"!"), "changed size"),
    "less": (says(200, DATA[:-1]), "changed size"),
    "less, in a chunk": (chunked(DATA[:-1]), "changed size"),
    "more, in a chunk": (chunked(DATA + b"!"), "changed size"),
    "less, to the end": (to_the_end(DATA[:-1]), "failed incomplete"),
    "broken off": (reset, "failed incomplete"),
    "a part that nobody has asked for": (says(206, DATA, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}"), "failed status"),
    "304": (says(304, ETag=TAG), "failed status"),
    "204": (says(204), "failed status"),
    "205": (says(205), "failed status"),
    "416": (says(416, Content_Range=f"bytes */{SIZE}"), "failed status"),
    "300 without a choice": (says(300, b"<a>"), "failed status"),
}


@dataclass(frozen=True, slots=True)
class Asking:
    """Checks of one location, whose origin answers as it is told."""

    api: Glare
    crooked: Crooked
    target: Target

    def check(self, kind: CheckKind, behave: Behaviour) -> Finding:
        self.crooked.behave = behave
        return check(self.api.services, self.target, kind, Cancellation())


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    text = "[verification]\nspot_blocks = 1\n"
    with (
        Crooked(says(200, DATA, ETag=TAG, Last_Modified=THEN)) as crooked,
        running(tmp_path_factory.mktemp("answers"), text, ports=(80, 443, crooked.port)) as api,
    ):
        artifact = api.alice.create("sample_artifact", name="checked")
        api.alice.locate(artifact, "blob", crooked.url)
        [location] = api.alice.request("GET", "/locations").json()["locations"]
        with api.services.db.read() as connection:
            target = checks.find(connection, location["id"])
        assert target is not None
        yield Asking(api, crooked, target)


def said(finding: Finding) -> str:
    return finding.outcome.value + (f" {finding.reason}" if finding.reason else "")


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_conditional_check(asking: Asking, name: str) -> None:
    """Only a validator or a length that differs is a hint; what says nothing is none, and no body is read."""
    behave, expected = CONDITIONAL[name]
    finding = asking.check(CheckKind.CONDITIONAL, behave)
    assert said(finding) == expected
    assert finding.bytes == 0


@pytest.mark.parametrize("name", SPOT)
def test_a_spot_check(asking: Asking, name: str) -> None:
    """Bytes decide, however the origin cuts them; without ranges it is a conditional check."""
    behave, expected = SPOT[name]
    assert said(asking.check(CheckKind.SPOT, behave)) == expected


@pytest.mark.parametrize("name", FULL)
def test_a_full_check(asking: Asking, name: str) -> None:
    """Only bytes that are whole and nobody's work but the origin's show a change; only all of them prove."""
    behave, expected = FULL[name]
    assert said(asking.check(CheckKind.FULL, behave)) == expected


@pytest.mark.parametrize("status", [429, 503, 500, 404])
@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        (lambda: "120", (120, 120)),
        (lambda: formatdate(time() + 120, usegmt=True), (90, 121)),
        (lambda: "Sun, 06 Nov 1994 08:49:37 GMT", (0, 0)),
        (lambda: "soon", None),
        (lambda: "-1", None),
    ],
    ids=["seconds", "date", "date that is over", "no time", "negative"],
)
def test_an_origin_that_says_when_to_come_back(
    asking: Asking, status: int, wait: Callable[[], str], seconds: tuple[int, int] | None
) -> None:
    """``Retry-After`` is a number of seconds or a date (RFC 9110, 10.2.3), with any status that is no success."""
    finding = asking.check(CheckKind.FULL, says(status, Retry_After=wait()))
    if seconds is None:
        assert finding.retry_after is None
    else:
        assert finding.retry_after is not None
        assert seconds[0] <= finding.retry_after / 1e6 <= seconds[1]
