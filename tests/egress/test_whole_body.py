"""Measuring what an origin sends in more than one piece: it goes on where a strong entity tag says that it may, else it
begins anew.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Executor

import pytest

from glare.egress.client import EgressClient
from glare.egress.measure import NOTHING, Bound, Expected, Measured, measure
from glare.errors import Cause, LocationRefused, OriginBusy
from support.origins.crooked import Crooked, Visit
from support.origins.egress import quick

DATA = random.Random(9).randbytes(1_500_000)
OTHER = random.Random(10).randbytes(1_200_000)
STRONG, WEAK = '"v1"', 'W/"v1"'

Asked = tuple[str | None, str | None]
"""``Range`` and ``If-Range`` of a request."""


class Serving:
    """Serves each request with the next of `answers`, and notes what it asked for."""

    def __init__(self, *answers: Callable[[Visit], None]) -> None:
        self.asked: list[Asked] = []
        self._answers = iter(answers)

    def __call__(self, visit: Visit) -> None:
        self.asked.append((visit.headers.get("Range"), visit.headers.get("If-Range")))
        next(self._answers)(visit)


def whole(data: bytes, cut: int | None = None, /, **headers: str) -> Callable[[Visit], None]:
    """The whole, of which only the first `cut` bytes come."""

    def answer(visit: Visit) -> None:
        visit.head(200, Content_Length=len(data), **headers)
        visit.send(data[:cut])

    return answer


def rest(
    data: bytes, first: int, cut: int | None = None, last: int | None = None, /, **headers: str
) -> Callable[[Visit], None]:
    """The range from `first` on."""
    end = len(data) if last is None else last + 1

    def answer(visit: Visit) -> None:
        reported = f"bytes {first}-{end - 1}/{len(data)}"
        visit.head(206, Content_Length=end - first, Content_Range=reported, **headers)
        visit.send(data[first : end if cut is None else first + cut])

    return answer


def chunked(data: bytes, cut: int | None = None, /, **headers: str) -> Callable[[Visit], None]:
    """The whole in one chunk, without the last one where it is cut."""

    def answer(visit: Visit) -> None:
        visit.head(200, Transfer_Encoding="chunked", **headers)
        visit.send(b"%x\r\n%b\r\n" % (len(data[:cut]), data[:cut]))
        if cut is None:
            visit.send(b"0\r\n\r\n")

    return answer


@pytest.fixture
def crooked() -> Iterator[Crooked]:
    with Crooked(lambda visit: None) as server:
        yield server


Read = Callable[..., Measured]


@pytest.fixture
def read(crooked: Crooked, pool: Executor) -> Read:
    """Measures what the origin serves."""

    def measured(
        serving: Serving, expected: Expected = NOTHING, limit: int | None = None, **changes: object
    ) -> Measured:
        crooked.behave = serving
        client = EgressClient(quick(crooked.port, **changes))
        return measure(client, client.parse(crooked.url), pool, Bound(limit, lambda: MemoryError()), expected)

    return measured


def is_data(measured: Measured, data: bytes = DATA) -> bool:
    return (measured.content.size, measured.content.digests.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("begin", [whole, chunked])
def test_it_goes_on_under_a_strong_tag(read: Read, begin: Callable[..., Callable[[Visit], None]]) -> None:
    """What was hashed stays, and the rest is asked for under the condition that the content is the same."""
    serving = Serving(
        begin(DATA, 700_000, ETag=STRONG), rest(DATA, 700_000, 300_000, ETag=STRONG), rest(DATA, 1_000_000, ETag=STRONG)
    )
    assert is_data(read(serving))
    assert serving.asked == [(None, None), ("bytes=700000-", STRONG), ("bytes=1000000-", STRONG)]


@pytest.mark.parametrize("headers", [{}, {"ETag": WEAK}, {"Last_Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}])
def test_without_a_strong_tag_it_begins_anew_once(read: Read, headers: dict[str, str]) -> None:
    """A weak tag or a date does not say that two parts are of one content (RFC 9110, 13.1.5)."""
    serving = Serving(whole(DATA, 700_000, **headers), whole(DATA, **headers))
    assert is_data(read(serving))
    serving = Serving(whole(DATA, 700_000, **headers), whole(DATA, 800_000, **headers))
    with pytest.raises(LocationRefused, match="800000 of 1500000"):
        read(serving)
    assert serving.asked == [(None, None)] * 2


def test_a_content_that_has_changed_is_measured_whole(read: Read) -> None:
    """The origin answers the condition with the whole of its new content: not a byte of the old one is in the
    record.
    """
    serving = Serving(whole(DATA, 700_000, ETag=STRONG), whole(OTHER, ETag='"v2"'))
    assert is_data(read(serving), OTHER)
    assert len(serving.asked) == 2


@pytest.mark.parametrize("headers", [{}, {"ETag": '"v2"'}, {"ETag": WEAK}])
def test_a_part_of_something_else_is_not_joined(read: Read, headers: dict[str, str]) -> None:
    """A 206 without the same strong tag belongs to nothing that is known."""
    serving = Serving(whole(DATA, 700_000, ETag=STRONG), rest(OTHER, 700_000, **headers), whole(OTHER, ETag='"v2"'))
    assert is_data(read(serving), OTHER)
    assert serving.asked[-1] == (None, None)


def test_a_part_may_be_answered_in_parts(read: Read) -> None:
    """The origin may send less of a range than was asked for."""
    serving = Serving(
        whole(DATA, 700_000, ETag=STRONG),
        rest(DATA, 700_000, None, 899_999, ETag=STRONG),
        rest(DATA, 900_000, ETag=STRONG),
    )
    assert is_data(read(serving))


def part(first: int, last: int, reported: object, /, *, crowded: bool = False) -> Callable[[Visit], None]:
    """The bytes `first` to `last`, under the length of the whole that is `told`; `crowded` in a chunk that has more of
    them.
    """

    def answer(visit: Visit) -> None:
        named = f"bytes {first}-{last}/{reported}"
        if crowded:
            visit.head(206, Transfer_Encoding="chunked", Content_Range=named, ETag=STRONG)
            data = DATA[first:]
            visit.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
            return
        visit.head(206, Content_Length=last - first + 1, Content_Range=named, ETag=STRONG)
        visit.send(DATA[first : last + 1])

    return answer


LAST = len(DATA) - 1


def test_a_part_that_names_no_whole_is_measured_by_the_first_length(read: Read) -> None:
    """The first answer has said where the content ends; a part that ends before is not the last one."""
    serving = Serving(whole(DATA, 700_000, ETag=STRONG), part(700_000, 799_999, "*"), part(800_000, LAST, "*"))
    assert is_data(read(serving))
    assert serving.asked[-1] == ("bytes=800000-", STRONG)
    again = whole(DATA, 700_000)
    with pytest.raises(LocationRefused, match="700000 of 1500000"):
        read(Serving(whole(DATA, 700_000, ETag=STRONG), part(700_000, 799_999, "*"), again), resumptions=1)


@pytest.mark.parametrize(("last", "reported"), [(799_999, 800_000), (LAST + 1, "*"), (LAST, LAST + 2)])
def test_a_part_that_contradicts_the_length_is_not_joined(read: Read, last: int, reported: object) -> None:
    """One content has one length: the reading begins anew, once, and then has failed."""
    serving = Serving(whole(DATA, 700_000, ETag=STRONG), part(700_000, last, reported), whole(DATA))
    assert is_data(read(serving))
    assert serving.asked[-1] == (None, None)
    serving = Serving(whole(DATA, 700_000, ETag=STRONG), part(700_000, last, reported), whole(DATA, 700_000))
    with pytest.raises(LocationRefused) as caught:
        read(serving)
    assert caught.value.cause is Cause.INCOMPLETE


def test_a_later_part_may_not_contradict_an_earlier_one(read: Read) -> None:
    """Where the first answer names no length, the first part that does counts."""
    serving = Serving(
        chunked(DATA, 700_000, ETag=STRONG),
        part(700_000, 799_999, len(DATA)),
        part(800_000, 899_999, 900_000),
        whole(DATA),
    )
    assert is_data(read(serving))


def test_where_nobody_tells_the_length(read: Read) -> None:
    """A part proves no end: the reading begins anew, but for who can prove the bytes."""
    serving = Serving(chunked(DATA, 700_000, ETag=STRONG), part(700_000, 799_999, "*"), whole(DATA))
    assert is_data(read(serving))
    assert serving.asked[-1] == (None, None)
    serving = Serving(chunked(DATA, 700_000, ETag=STRONG), part(700_000, 799_999, "*"), part(800_000, LAST, "*"))
    assert is_data(read(serving, PROVED))


def test_a_part_that_is_longer_than_its_range(read: Read) -> None:
    """What it has more belongs to nothing."""
    serving = Serving(chunked(DATA, 700_000, ETag=STRONG), part(700_000, 799_999, len(DATA), crowded=True))
    with pytest.raises(LocationRefused, match="more than the range"):
        read(serving)


def test_no_progress_ends_it(read: Read) -> None:
    """An origin that sends nothing more is not asked again."""
    serving = Serving(whole(DATA, 700_000, ETag=STRONG), rest(DATA, 700_000, 0, ETag=STRONG))
    with pytest.raises(LocationRefused) as caught:
        read(serving)
    assert caught.value.cause is Cause.INCOMPLETE
    assert len(serving.asked) == 2


def test_resumptions_are_bounded(read: Read) -> None:
    """However often it breaks off, an origin is asked so many times, and once more from the beginning."""
    serving = Serving(
        whole(DATA, 10, ETag=STRONG), *(rest(DATA, at, 10, ETag=STRONG) for at in (10, 20, 30)), whole(DATA, 10)
    )
    with pytest.raises(LocationRefused):
        read(serving, resumptions=3)
    assert len(serving.asked) == 5
    serving = Serving(whole(DATA, 10, ETag=STRONG))
    with pytest.raises(LocationRefused):
        read(serving, resumptions=0)


def test_a_limit_holds_over_all_answers(read: Read) -> None:
    """The bytes of all parts count together."""
    serving = Serving(chunked(DATA, 700_000, ETag=STRONG), rest(DATA, 700_000, ETag=STRONG))
    with pytest.raises(MemoryError):
        read(serving, limit=800_000)


def unframed(data: bytes, *, reset: bool = False, status: int = 200, **headers: str) -> Callable[[Visit], None]:
    """A body that ends with the connection."""

    def answer(visit: Visit) -> None:
        visit.head(status, **headers)
        visit.send(data)
        if reset:
            visit.server.crooked.stop.wait(0.2)  # A reset overtakes what was sent just before it.
            visit.reset()

    return answer


PROVED = Expected(len(DATA), hashlib.sha256(DATA).hexdigest())


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "None", "aws-chunked", "binary", "identity, gzip", "br"])
def test_a_coding_is_taken_with_a_proof(read: Read, coding: str) -> None:
    """Without a digest to compare with, bytes under a content coding are refused with what helps; with one they are as
    they come.
    """
    with pytest.raises(LocationRefused, match=f"content encoding '{coding}'.*give 'size' and 'sha256'"):
        read(Serving(whole(DATA, Content_Encoding=coding)))
    measured = read(Serving(whole(DATA, Content_Encoding=coding)), PROVED)
    assert is_data(measured)
    assert measured.as_sent is not None
    assert (measured.as_sent.coding, measured.as_sent.unframed) == (coding, False)


@pytest.mark.parametrize("coding", ["identity", "Identity", "", "identity, identity", ","])
def test_no_coding_needs_no_proof(read: Read, coding: str) -> None:
    """What says that nothing was coded says nothing."""
    assert read(Serving(whole(DATA, Content_Encoding=coding))).as_sent is None


@pytest.mark.parametrize("expected", [PROVED, Expected(None, PROVED.sha256)])
def test_a_body_that_ends_with_the_connection(read: Read, expected: Expected) -> None:
    """The digest of the whole proves that it was whole."""
    with pytest.raises(LocationRefused, match=r"declares no length.*give 'size' and 'sha256'"):
        read(Serving(unframed(DATA)))
    measured = read(Serving(unframed(DATA)), expected)
    assert is_data(measured)
    assert measured.as_sent is not None
    assert measured.as_sent.unframed


def test_a_body_that_ended_with_the_connection_too_early(read: Read) -> None:
    """It was broken off, which may pass; nobody is told that another content is there."""
    with pytest.raises(LocationRefused, match="after 700000 of 1500000 bytes") as caught:
        read(Serving(unframed(DATA[:700_000])), PROVED)
    assert caught.value.cause is Cause.INCOMPLETE


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (unframed(DATA[:-1]), Cause.INCOMPLETE),
        (whole(OTHER, Content_Encoding="gzip"), Cause.PROTOCOL),
        (unframed(OTHER, status=203, Content_Length=str(len(OTHER))), Cause.PROTOCOL),
    ],
)
def test_other_bytes_in_doubt_are_not_measured(read: Read, answer: Callable[[Visit], None], cause: Cause) -> None:
    """They may not be the content, or not all of it: what was claimed is not met, and not refuted."""
    with pytest.raises(LocationRefused, match=f"not the claimed {PROVED.sha256}") as caught:
        read(Serving(answer), Expected(None, PROVED.sha256))
    assert caught.value.cause is cause


def test_a_reset_after_the_last_byte(read: Read) -> None:
    """How the connection ends does not matter once all bytes are there that were claimed."""
    assert is_data(read(Serving(unframed(DATA, reset=True)), PROVED))


def test_a_proxy_that_has_changed_something(read: Read) -> None:
    """203 is a success whose bytes are not the origin's (RFC 9110, 15.3.4): with a digest nobody minds."""
    answer = unframed(DATA, status=203, Content_Length=str(len(DATA)))
    with pytest.raises(LocationRefused, match=r"\(203\); give 'size' and 'sha256'"):
        read(Serving(answer))
    measured = read(Serving(answer), PROVED)
    assert measured.as_sent is not None
    assert measured.as_sent.transformed


@pytest.mark.parametrize(
    ("status", "header", "wait"), [(429, "120", 120), (503, "7", 7), (503, None, 30), (429, "soon", 30)]
)
def test_an_origin_that_asks_for_a_pause(read: Read, status: int, header: str | None, wait: int) -> None:
    """It is no fault of who asks: the error says when to come back."""
    headers = {"Retry_After": header} if header else {}
    with pytest.raises(OriginBusy) as caught:
        read(Serving(lambda visit: visit.head(status, Content_Length=0, **headers)))
    assert (caught.value.retry_after, caught.value.cause) == (wait, Cause.THROTTLED)
