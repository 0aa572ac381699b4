from __future__ import annotations

import gc
import hashlib
import threading
import time
import tracemalloc
from concurrent.futures import Executor
from pathlib import Path

import pytest

from glare.digest import BLOCK
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.egress.measure import Bound, Caller, Measured, measure
from glare.errors import ClientDisconnected, LocationRefused, RequestEntityTooLarge
from support.origins.egress import quick
from support.origins.hostile import CONTENT, Hostile
from support.origins.origin import Origin


def take(
    client: EgressClient, url: str, pool: Executor, limit: int | None = None, counts: list[int] | None = None
) -> Measured:
    progress = [] if counts is None else counts
    bound = Bound(limit, RequestEntityTooLarge)
    return measure(client, client.parse(url), pool, bound, caller=Caller(progress=progress.append))


@pytest.mark.parametrize("behaviour", ["honest", "chunked", "interim_once"])
def test_measured_content(client: EgressClient, hostile: Hostile, pool: Executor, behaviour: str) -> None:
    """Size, digests and block digests are those of the bytes that came."""
    content = take(client, hostile.url(behaviour), pool, len(CONTENT)).content
    assert content.size == len(CONTENT)
    assert content.digests.md5 == hashlib.md5(CONTENT).hexdigest()
    assert content.digests.sha1 == hashlib.sha1(CONTENT).hexdigest()
    assert content.digests.sha256 == hashlib.sha256(CONTENT).hexdigest()
    blocks = (CONTENT[at : at + BLOCK] for at in range(0, len(CONTENT), BLOCK))
    assert content.blocks == b"".join(hashlib.sha256(block).digest() for block in blocks)


def test_metadata(client: EgressClient, origin: Origin, hostile: Hostile, pool: Executor) -> None:
    """Media type without parameters, validators as sent and the final URL are kept."""
    origin.put("/a", b"1", content_type="Image/X-Raw; q=1", etag='W/"1"')
    measured = take(client, hostile.url("redirect", to=origin.url("/a")), pool)
    assert (measured.content_type, measured.etag) == ("image/x-raw", 'W/"1"')
    assert measured.last_modified is not None
    assert measured.last_modified.endswith("GMT")
    assert measured.final_url.text == origin.url("/a")


def test_malformed_metadata(client: EgressClient, hostile: Hostile, pool: Executor) -> None:
    """A media type, tag or date that is none is not kept."""
    measured = take(client, hostile.url("odd_headers"), pool)
    assert (measured.content_type, measured.etag, measured.last_modified) == ("application/octet-stream", None, None)


@pytest.mark.parametrize(
    "behaviour",
    [
        *("short", "long", "reset", "gzipped", "loop", "lost", "drip_headers", "drip_body", "stall", "interim"),
        *("interim_drip", "huge_header", "many_headers", "partial", "both_framings", "two_lengths", "no_length"),
        *(
            "chunked_cut",
            "chunked_broken",
            "not_http",
            "switch",
            "silent",
            "hang_up",
            "missing",
            "not_modified",
        ),
    ],
)
def test_hostile_origins(impatient: EgressClient, hostile: Hostile, pool: Executor, behaviour: str) -> None:
    """No hostile behaviour is measured; each is refused with a sentence for the user that holds no address."""
    with pytest.raises(LocationRefused) as caught:
        take(impatient, hostile.url(behaviour), pool)
    assert "nothing was stored" in caught.value.message
    assert "127.0.0.1" not in caught.value.message


def test_changed_bytes_measure_differently(client: EgressClient, hostile: Hostile, pool: Executor) -> None:
    """The same length and ETag do not hide changed bytes."""
    first, second = (take(client, hostile.url("changing"), pool) for _ in range(2))
    assert first.etag == second.etag
    assert first.content.size == second.content.size
    assert first.content.digests.sha256 != second.content.digests.sha256


def test_declared_size_over_the_limit(client: EgressClient, hostile: Hostile, pool: Executor) -> None:
    """A declared length over the limit is refused before a byte of the body is read."""
    counts: list[int] = []
    with pytest.raises(RequestEntityTooLarge):
        take(client, hostile.url("stall"), pool, len(CONTENT) - 1, counts)
    assert counts == []


def test_endless_body_stops_at_the_limit(client: EgressClient, hostile: Hostile, pool: Executor) -> None:
    """A body without declared length is refused as soon as it crosses the limit."""
    counts: list[int] = []
    with pytest.raises(RequestEntityTooLarge):
        take(client, hostile.url("endless"), pool, 1 << 20, counts)
    assert 1 << 20 < sum(counts) < 2 << 20


def test_progress_counts_what_was_read(client: EgressClient, hostile: Hostile, pool: Executor) -> None:
    """Every byte that was read is reported, also of a body that is refused in the end."""
    counts: list[int] = []
    take(client, hostile.url("honest"), pool, counts=counts)
    assert sum(counts) == len(CONTENT)
    counts.clear()
    with pytest.raises(LocationRefused):
        take(client, hostile.url("short"), pool, counts=counts)
    assert sum(counts) == 2 * (len(CONTENT) - 10)  # It has begun anew.


def test_cancelled(hostile: Hostile, pool: Executor) -> None:
    """A client that has gone away ends the measuring soon, also while the origin says nothing."""
    client = EgressClient(quick(hostile.port, grace_seconds=20.0))
    gone = Cancellation()
    timer = threading.Timer(0.2, gone.cancel)
    timer.start()
    began = time.monotonic()
    url = client.parse(hostile.url("stall"))
    with pytest.raises(ClientDisconnected):
        measure(client, url, pool, Bound(None, RequestEntityTooLarge), caller=Caller(gone))
    assert time.monotonic() - began < 1.5
    timer.join()


def test_memory_is_flat(client: EgressClient, origin: Origin, pool: Executor, tmp_path: Path) -> None:
    """Measuring 96 MiB takes a few MiB of memory, and nothing on disk."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(96 << 20)
    origin.put("/big", path, etag='"big"')
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert take(client, origin.url("/big"), pool).content.size == 96 << 20
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20  # The origin's copy buffer of 1 MiB runs in this process too.
