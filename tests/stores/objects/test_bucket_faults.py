"""A relay before each store cuts, delays, answers 500 and 503, and lies: nothing wrong is stored or read, and nothing
is left.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import replace
from urllib.parse import unquote

import pytest

from glare.errors import GlareError, StoreFailed, Unavailable
from glare.stores.base import Store
from glare.stores.contract import ObjectFailed
from glare.stores.objects.layout import MIB, SMALL
from glare.stores.objects.options import PlaceOptions
from support.origins.http_relay import Change, HttpRelay, Request, Spoiled, flipped
from support.spoiled_stores import Matches, Times, begins, completes, makes_object, notes, reads, removes, sends_part
from support.stores import NAME, behind, got, keys_in, put, store_in, uploads_in, whole_keys_in

LARGE = SMALL + 4 * MIB


@pytest.fixture
def store(bucket: PlaceOptions, relay: HttpRelay) -> Store:
    """A store behind the relay, which spoils nothing yet."""
    store = store_in(behind(bucket, relay))
    store.check()
    return store


FAULTS = {"503": Spoiled(status=503), "500 and lost": Spoiled(status=500, lost=True), "cut": Spoiled(cut=0)}
REQUESTS: list[tuple[Matches, int]] = [
    *((makes_object, 100), (makes_object, LARGE), (sends_part, LARGE), (completes, LARGE)),
    (notes, LARGE),
]
BEGUN = (begins, LARGE)
OF_KINDS: dict[str, list[tuple[Matches, int]]] = {
    "s3": [*REQUESTS, BEGUN],
    "azure": REQUESTS,
    "gcs": [*REQUESTS, BEGUN],
    "swift": REQUESTS,
}
"""The requests of a store; nothing begins an upload where blocks are sent as they come."""


@pytest.mark.parametrize(
    ("kind", "matches", "size", "fault"),
    [
        pytest.param(kind, matches, size, name, id=f"{kind}-{matches.__name__}-{size}-{name}")
        for kind, requests in OF_KINDS.items()
        for matches, size in requests
        for name in FAULTS
        # What is not known to have arrived is not begun twice; see below.
        if (matches, name) != (begins, "cut")
    ],
    indirect=["kind"],
)
def test_a_request_that_fails_for_a_while_is_repeated(
    store: Store, bucket: PlaceOptions, relay: HttpRelay, fault: str, matches: Matches, size: int
) -> None:
    """One 503, one answer that is lost, one connection that breaks before the answer: the object is stored once, whole,
    and nothing is left beside it but an upload that was begun and whose answer was lost.
    """
    data = secrets.token_bytes(size)
    once = relay.spoil = Times(matches, FAULTS[fault], 1)
    put(store, NAME, data)
    assert once.spoiled == 1
    assert got(store, NAME) == data
    assert [(entry.name, entry.size) for entry in store.entries()] == [(NAME, size)]
    keys = whole_keys_in(bucket)
    assert len(keys) == (1 if size == 100 else 2)
    assert not [key for key in keys if key.startswith("unfinished/")]
    assert len(uploads_in(bucket)) <= (matches is begins)


@pytest.mark.parametrize(
    ("kind", "matches", "size"),
    [
        pytest.param(kind, matches, size, id=f"{kind}-{matches.__name__}-{size}")
        for kind, requests in OF_KINDS.items()
        for matches, size in requests
    ],
    indirect=["kind"],
)
def test_a_store_that_goes_on_failing_is_said_and_leaves_nothing(
    store: Store, bucket: PlaceOptions, relay: HttpRelay, matches: Matches, size: int
) -> None:
    """After the last try the upload fails as the store's fault; no key and no upload of it is left."""
    fault = relay.spoil = Times(matches, Spoiled(status=503))
    with pytest.raises(Unavailable, match="503"):
        put(store, NAME, secrets.token_bytes(size))
    assert 1 + bucket.times.retries <= fault.spoiled <= 2 * (1 + bucket.times.retries)  # Two parts go at a time.
    assert keys_in(bucket) == []
    assert uploads_in(bucket) == []


@pytest.mark.parametrize("kind", ["s3"], indirect=True)
def test_an_upload_that_is_not_known_to_have_begun_leaves_nothing(
    store: Store, bucket: PlaceOptions, relay: HttpRelay
) -> None:
    """A connection that breaks at the beginning of a multipart upload ends it, and the upload that the store knows of
    is aborted.
    """
    relay.spoil = Times(begins, Spoiled(cut=0), 1)
    with pytest.raises(Unavailable, match="out of reach"):
        put(store, NAME, secrets.token_bytes(LARGE))
    assert keys_in(bucket) == []
    assert uploads_in(bucket) == []


def test_an_object_whose_last_answers_are_all_lost_is_not_there(
    store: Store, bucket: PlaceOptions, relay: HttpRelay
) -> None:
    """Where nobody knows whether it was made, it is taken back before the error arrives."""
    relay.spoil = Times(makes_object, Spoiled(status=500, lost=True))
    for size in (100, LARGE):
        with pytest.raises(Unavailable):
            put(store, NAME, secrets.token_bytes(size))
        assert keys_in(bucket) == []


@pytest.mark.parametrize("kind", ["s3", "swift"], indirect=True)
@pytest.mark.parametrize(("matches", "size"), [(makes_object, 100), (makes_object, LARGE), (sends_part, LARGE)])
def test_bytes_that_change_on_their_way_are_refused_by_the_store(
    store: Store, bucket: PlaceOptions, relay: HttpRelay, matches: Matches, size: int
) -> None:
    """A bit that flips on the way to the store meets the checksum there: nothing is stored."""
    relay.spoil = Times(matches, Spoiled(before=flipped(50)))
    with pytest.raises(GlareError):
        put(store, NAME, secrets.token_bytes(size))
    assert keys_in(bucket) == []
    assert uploads_in(bucket) == []


@pytest.mark.parametrize("kind", ["s3"], indirect=True)
def test_the_checksum_is_what_refuses_them(store: Store, bucket: PlaceOptions, relay: HttpRelay) -> None:
    """Not only the signature of the body: where that is taken from what arrived, the checksum still tells."""
    relay.spoil = Times(makes_object, Spoiled(before=lambda head, body: (head, body[::-1])))
    with pytest.raises(StoreFailed, match="other bytes than were sent"):
        put(store, NAME, secrets.token_bytes(100))


def test_a_key_that_is_shorter_than_what_was_written_is_no_object(
    store: Store, bucket: PlaceOptions, relay: HttpRelay
) -> None:
    """A store that says that all is well and has less is found out before anybody sees the object."""

    def shorter(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return re.sub(rb"(?i)(content-length: )%d" % LARGE, rb"\g<1>7", head), body

    def looks(request: Request) -> bool:
        return request.method == "HEAD" and "/data/" in unquote(request.path)

    relay.spoil = Times(looks, Spoiled(after=shorter))
    with pytest.raises(StoreFailed, match="other bytes than were written"):
        put(store, NAME, secrets.token_bytes(LARGE))
    assert keys_in(bucket) == []


@pytest.mark.parametrize(("size", "cut"), [(SMALL, 300_001), (SMALL, 2 * MIB + 17), (LARGE, 2 * MIB + 17)])
def test_a_download_goes_on_where_it_broke_off(store: Store, relay: HttpRelay, size: int, cut: int) -> None:
    """Connections that break in the middle cost requests and no byte, as long as each of them brings some: also more
    of them than the library repeats by itself.
    """
    data = secrets.token_bytes(size)
    put(store, NAME, data)
    fault = relay.spoil = Times(reads, Spoiled(cut=cut))
    assert got(store, NAME) == data
    assert fault.spoiled >= size // cut


def test_a_download_that_brings_nothing_more_is_given_up(store: Store, bucket: PlaceOptions, relay: HttpRelay) -> None:
    """A store that breaks off at the same byte again and again does not deliver its object, which is what is said."""
    data = secrets.token_bytes(SMALL)
    put(store, NAME, data)
    fault = relay.spoil = Times(reads, Spoiled(cut=0))
    with pytest.raises((ObjectFailed, Unavailable)):
        got(store, NAME)
    assert fault.spoiled < 40


def test_a_body_that_is_shorter_than_its_length_is_no_object(store: Store, relay: HttpRelay) -> None:
    """A store that announces fewer bytes than it has of an object is not believed to have sent it."""

    def half(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        kept = body[: len(body) // 2]
        return re.sub(rb"(?i)(content-length: )%d" % len(body), rb"\g<1>%d" % len(kept), head), kept

    data = secrets.token_bytes(2 * MIB)
    put(store, NAME, data)
    relay.spoil = Times(reads, Spoiled(after=half))
    with pytest.raises(ObjectFailed):
        got(store, NAME, 0, 2 * MIB)


def test_a_silent_store_is_waited_for_only_so_long(bucket: PlaceOptions, relay: HttpRelay, store: Store) -> None:
    """A store that takes requests and answers none is out of reach after the time-outs, not after for ever."""
    put(store, NAME, b"bytes")
    times = replace(bucket.times, request=0.5, stall=0.5, retries=1)
    hasty = store_in(behind(replace(bucket, times=times), relay))
    hasty.check()
    relay.spoil = Times(lambda _: True, Spoiled(delay=30))
    begun = time.monotonic()
    for call in (lambda: put(hasty, "abcdef01", b"x"), lambda: got(hasty, NAME), lambda: hasty.size(NAME), hasty.check):
        with pytest.raises(Unavailable, match="out of reach"):
            call()
    assert time.monotonic() - begun < 20


def replaces(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """As a store answers that takes no notice of If-None-Match."""
    if not re.match(rb"HTTP/1.1 (409|412) ", head):
        return head, body
    return b'HTTP/1.1 201 Created\r\nETag: "0123456789abcdef0123456789abcdef"\r\nContent-Length: 0\r\n\r\n', b""


def forgets_ranges(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """As a store answers that takes no notice of Range, but for the bytes."""
    head = head.replace(b" 206 Partial Content", b" 200 OK")
    return re.sub(rb"(?im)^content-range:.*\r\n", b"", head), body


def shifts_ranges(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """As a store answers that has other bytes there."""
    return flipped(0)(head, body) if b" 206 " in head.partition(b"\r\n")[0] else (head, body)


@pytest.mark.parametrize(
    ("lie", "told"), [(replaces, "If-None-Match"), (forgets_ranges, "ranges"), (shifts_ranges, "another range")]
)
def test_a_store_that_lies_is_refused_at_the_start(
    bucket: PlaceOptions, relay: HttpRelay, lie: Change, told: str
) -> None:
    """What replaces objects, or sends other bytes than those that were asked for, is no store: neither a new one nor
    one that has been in use.
    """
    relay.spoil = lambda _: Spoiled(after=lie)
    for _ in range(2):
        with pytest.raises(Unavailable, match=told):
            store_in(behind(bucket, relay))


def test_a_store_that_forgets_ranges_later_sends_nothing_wrong(store: Store, relay: HttpRelay) -> None:
    """Bytes that are not said to be those of the range are never taken for them."""
    put(store, NAME, secrets.token_bytes(3 * MIB))
    relay.spoil = Times(reads, Spoiled(after=forgets_ranges))
    with pytest.raises(GlareError):
        got(store, NAME, MIB, 10)


def test_a_delete_that_fails_is_no_deletion(store: Store, bucket: PlaceOptions, relay: HttpRelay) -> None:
    """Whoever is told that an object is gone may forget it, so nothing but that is told."""
    put(store, NAME, secrets.token_bytes(LARGE))
    relay.spoil = Times(removes, Spoiled(status=503))
    with pytest.raises(Unavailable):
        store.delete(NAME)
    relay.spoil = lambda _: None
    assert store.delete(NAME) is True
    assert keys_in(bucket) == []


def test_a_cancel_that_fails_is_finished_by_the_sweep(
    store: Store, bucket: PlaceOptions, relay: HttpRelay, kind: str
) -> None:
    """What a writer could not take back is found by its note."""
    with store.create(NAME) as writer:
        for _ in range(LARGE // MIB):
            writer.write(bytes(MIB))
        relay.spoil = Times(lambda request: removes(request) or completes(request), Spoiled(status=503))
    relay.spoil = lambda _: None
    assert len(uploads_in(bucket)) + len(whole_keys_in(bucket)) == 2  # The note, and what it is about.
    assert store.sweep_temporaries(0) == 1
    # Google cannot be asked for uploads by obstore; there a rule of the bucket ends them.
    assert len(uploads_in(bucket)) == (kind == "gcs")
    assert keys_in(bucket) == []
