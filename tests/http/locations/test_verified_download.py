"""Downloading external blobs whose origin no longer serves what was recorded: no wrong byte gets through."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterator

import pytest

from glare.digest import BLOCK
from support.conversation import Answer, Conversation, eventually
from support.origins.crooked import Behaviour, Crooked, Visit, honest
from support.service import Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite  # What an origin sends is judged the same on each database.

DATA = random.Random(3).randbytes(3 * BLOCK + 5)
"""Three blocks and a part of a fourth."""

QUICK = "header_deadline = 0.5\nmax_header_bytes = 8 KiB\nminimum_throughput = 1 MiB\ntotal_time = 1\n"


@pytest.fixture(scope="module")
def crooked() -> Iterator[Crooked]:
    with Crooked(honest(DATA)) as server:
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, crooked: Crooked) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("verified"), QUICK, ports=(80, 443, crooked.port)) as service:
        yield service
        assert service.leftovers() == {}


@pytest.fixture(scope="module")
def image(api: Glare, crooked: Crooked) -> Json:
    """An image whose location was honest when it was recorded."""
    crooked.behave = honest(DATA)
    return api.alice.locate(api.alice.create("images", name="recorded"), "image", crooked.url)


def get(api: Glare, image: Json, **headers: str) -> Answer:
    """What a client receives, whether or not it is broken off."""
    with Conversation(api, "GET", f"{path_of(image)}/image", headers) as download:
        download.end()
        return download.answer()


def changed(at: int) -> bytes:
    """The content with one byte changed."""
    return DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]


def of_length(data: bytes, declared: int | None = None, after: str = "close") -> Behaviour:
    """Declare a length (None: that of the data), send the data, and then close, reset or hold."""

    def behave(visit: Visit) -> None:
        visit.head(200, Content_Length=len(data) if declared is None else declared)
        visit.send(data)
        if after == "reset":
            visit.server.crooked.stop.wait(0.2)  # A reset overtakes what was sent just before it.
            visit.reset()
        elif after == "hold":
            visit.hold()

    return behave


def chunked(data: bytes, *, ends: bool = True) -> Behaviour:
    """Send the data in chunks, with or without the last one."""

    def behave(visit: Visit) -> None:
        visit.head(200, Transfer_Encoding="chunked")
        for at in range(0, len(data), 100_000):
            piece = data[at : at + 100_000]
            visit.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        if ends:
            visit.send(b"0\r\n\r\n")

    return behave


def answering(status: int, **headers: str) -> Behaviour:
    """Answer with a status and no content."""
    return lambda visit: visit.head(status, Content_Length=0, **headers)


def ranged(first: int, last: int, data: bytes, total: int = len(DATA)) -> Behaviour:
    """Answer 206 with this Content-Range, whatever was asked."""

    def behave(visit: Visit) -> None:
        visit.head(206, Content_Length=len(data), Content_Range=f"bytes {first}-{last}/{total}")
        visit.send(data)

    return behave


def drip(visit: Visit) -> None:
    """Send a byte, and then nothing."""
    visit.head(200, Content_Length=len(DATA))
    visit.send(DATA[:1])
    visit.hold()


def garbage(visit: Visit) -> None:
    """Speak another protocol."""
    visit.send(b"220 mail.example ESMTP\r\n\r\n")


BROKEN_BEFORE: dict[str, Behaviour] = {
    "the first byte changed": honest(changed(0)),
    "the end of the first block changed": honest(changed(BLOCK - 1)),
    "other content of the same length": honest(bytes(len(DATA))),
    "one byte less": honest(DATA[:-1]),
    "one byte more": honest(DATA + b"!"),
    "nothing": honest(b""),
    "nothing where all was declared": of_length(b"", len(DATA)),
    "less than a block": of_length(DATA[:1000], len(DATA)),
    "a reset in the first block": of_length(DATA[:1000], len(DATA), "reset"),
    "a stall in the first block": drip,
    "gzip": lambda visit: visit.head(200, Content_Length=len(gzip.compress(DATA)), Content_Encoding="gzip"),
    "404": answering(404),
    "500": answering(500),
    "204": answering(204),
    "304": answering(304),
    "a redirect to a forbidden address": answering(302, Location="http://10.0.0.1/"),
    "a redirect to a closed port": answering(302, Location="http://127.0.0.1:443/"),
    "206 to a plain request": ranged(0, len(DATA) - 1, DATA),
    "chunks of other content": chunked(changed(5)),
    "too few chunks": chunked(DATA[: BLOCK - 1]),
    "another protocol": garbage,
    "hanging up": lambda visit: None,
}


@pytest.mark.parametrize("behave", BROKEN_BEFORE.values(), ids=BROKEN_BEFORE.keys())
def test_an_origin_that_is_broken_from_the_start_is_a_clean_error(
    api: Glare, crooked: Crooked, image: Json, behave: Behaviour
) -> None:
    """502 in place of an answer, with a message of no address; HEAD and the record stay as they were."""
    crooked.behave = behave
    response = api.alice.download(image, "image")
    assert response.status_code == 502
    error = response.json()["error"]
    assert "no wrong byte was sent" in error["message"]
    assert not re.search(rf"127\.|{crooked.port}|://", response.text)
    assert "repr-digest" not in response.headers
    assert response.headers["content-type"] == "application/json"
    assert api.alice.request("HEAD", f"{path_of(image)}/image").status_code == 200
    assert api.alice.show(image)["image"] == image["image"]
    crooked.behave = honest(DATA)
    assert api.alice.download(image, "image").content == DATA


BROKEN_LATER: dict[str, tuple[Behaviour, int]] = {
    "the first byte of the second block changed": (honest(changed(BLOCK)), 1),
    "a byte of the third block changed": (honest(changed(2 * BLOCK + 77)), 2),
    "the last byte changed": (honest(changed(len(DATA) - 1)), 3),
    "an end in the second block": (of_length(DATA[: BLOCK + 9], len(DATA)), 1),
    "an end between two blocks": (of_length(DATA[: 2 * BLOCK], len(DATA)), 2),
    "an end before the last byte": (of_length(DATA[:-1], len(DATA)), 3),
    "a reset in the third block": (of_length(DATA[: 2 * BLOCK + 9], len(DATA), "reset"), 2),
    "a stall in the third block": (of_length(DATA[: 2 * BLOCK + 9], len(DATA), "hold"), 2),
    "too few chunks": (chunked(DATA[:-1]), 3),
    "no last chunk": (chunked(DATA[: 2 * BLOCK], ends=False), 2),
    "chunks of other content": (chunked(changed(BLOCK + 5)), 1),
}


@pytest.mark.parametrize(("behave", "blocks"), BROKEN_LATER.values(), ids=BROKEN_LATER.keys())
def test_an_origin_that_breaks_later_breaks_the_answer_off(
    api: Glare, crooked: Crooked, image: Json, behave: Behaviour, blocks: int
) -> None:
    """What the client got is a true prefix of whole blocks, and visibly not the whole that was announced."""
    crooked.behave = behave
    answer = get(api, image)
    assert answer.status == 200
    assert answer.headers["content-length"] == str(len(DATA))
    assert not answer.complete
    assert len(answer.body) == blocks * BLOCK
    assert DATA.startswith(answer.body)


UNUSUAL: dict[str, Behaviour] = {
    "another total": lambda visit: (
        honest(DATA)
        if visit.asked(len(DATA)) is None
        else ranged(BLOCK, 2 * BLOCK - 1, DATA[BLOCK : 2 * BLOCK], total=len(DATA) + 1)
    )(visit),
    "ranges ignored": of_length(DATA),
    "chunks": chunked(DATA),
    "an allowed redirect": lambda visit: (
        honest(DATA)(visit) if visit.path != "/file" else visit.head(302, Location="/elsewhere", Content_Length=0)
    ),
    "the blocks that are not asked for changed": lambda visit: honest(
        DATA if visit.asked(len(DATA)) is None else bytes(BLOCK) + DATA[BLOCK : 2 * BLOCK] + bytes(BLOCK + 5)
    )(visit),
}


@pytest.mark.parametrize("behave", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_an_origin_may_deliver_the_right_bytes_in_unusual_ways(
    api: Glare, crooked: Crooked, image: Json, behave: Behaviour
) -> None:
    """Origins without ranges, with chunks, behind redirects: whole and ranges are right."""
    crooked.behave = behave
    assert api.alice.download(image, "image").content == DATA
    response = api.alice.download(image, "image", Range=f"bytes={BLOCK + 5}-{2 * BLOCK - 1}")
    assert response.status_code == 206
    assert response.content == DATA[BLOCK + 5 : 2 * BLOCK]


BROKEN_RANGES: dict[str, Behaviour] = {
    "another range, said so": ranged(0, 99, DATA[:100]),
    "another range, denied": ranged(BLOCK, 2 * BLOCK - 1, DATA[:BLOCK]),
    "other bytes": ranged(BLOCK, 2 * BLOCK - 1, bytes(BLOCK)),
    "too few bytes": ranged(BLOCK, 2 * BLOCK - 1, DATA[BLOCK : BLOCK + 10]),
    "no Content-Range": lambda visit: visit.head(206, Content_Length=0),
    "416": answering(416),
    "the whole of another length": of_length(DATA + b"!"),
    "the whole, changed": of_length(changed(BLOCK + 1)),
    "404": answering(404),
}


@pytest.mark.parametrize("behave", BROKEN_RANGES.values(), ids=BROKEN_RANGES.keys())
def test_a_range_of_a_broken_origin_is_a_clean_error(
    api: Glare, crooked: Crooked, image: Json, behave: Behaviour
) -> None:
    """A range whose blocks do not check is 502, however the origin lies about ranges."""
    crooked.behave = behave
    response = api.alice.download(image, "image", Range=f"bytes={BLOCK + 5}-{BLOCK + 6}")
    assert response.status_code == 502


@pytest.mark.parametrize("sent", [0, BLOCK // 2, BLOCK + 1], ids=["no byte", "half a block", "a block"])
def test_a_reader_who_goes_away_lets_go_of_the_origin(api: Glare, crooked: Crooked, image: Json, sent: int) -> None:
    """When the client hangs up while the origin stalls, the connection to the origin ends at once."""
    ended: list[bool] = []

    def behave(visit: Visit) -> None:
        visit.head(200, Content_Length=len(DATA))
        visit.send(DATA[:sent])
        visit.connection.settimeout(5)
        ended.append(visit.rfile.read(1) == b"")

    crooked.behave = behave
    before = crooked.visits
    with Conversation(api, "GET", f"{path_of(image)}/image") as download:
        download.end()
        eventually(lambda: crooked.visits > before and download.received >= sent // BLOCK)
        download.hang_up()
        eventually(lambda: ended == [True], patience=0.9)


def test_nothing_is_asked_for_nothing(api: Glare, crooked: Crooked) -> None:
    """An empty blob is served without a request: there is nothing to prove."""
    crooked.behave = honest(b"")
    image = api.alice.locate(api.alice.create("images", name="empty"), "image", crooked.url)
    crooked.behave = honest(b"not empty any more")
    before = crooked.visits
    response = api.alice.download(image, "image")
    assert (response.status_code, response.content, crooked.visits) == (200, b"", before)
