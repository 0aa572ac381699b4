"""Origins that answer wrongly, slowly, or not at all."""

from __future__ import annotations

import time

import pytest

from glare.egress.asked import Asked
from glare.egress.client import EgressClient, Listeners
from glare.errors import OriginFailed
from support.origins.egress import drain, quick, read, resolve
from support.origins.hostile import CONTENT, Hostile


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("short", "after"),
        ("long", "more bytes"),
        ("long_tiny", "more bytes"),
        ("reset", "broke"),
        ("chunked_cut", "ends early"),
        ("chunked_broken", "broken"),
        ("crumbs", "crumbs"),
        ("drip_body", "per second"),
        ("stall", "per second"),
    ],
)
def test_bad_bodies(client: EgressClient, hostile: Hostile, behaviour: str, said: str) -> None:
    """A body that is short, long, broken, cut, dripping or stalled is never read to a good end."""
    with client.open(client.parse(hostile.url(behaviour))) as response:
        with pytest.raises(OriginFailed, match=said):
            drain(response)
        with pytest.raises(OriginFailed, match=said):
            response.read(1)


def test_body_deadline(hostile: Hostile) -> None:
    """An endless body ends at the time that bodies may take, however fast it comes."""
    client = EgressClient(quick(hostile.port, body_seconds=0.01, grace_seconds=5.0))
    with pytest.raises(OriginFailed, match="took longer"):
        read(client, hostile.url("endless"))


def test_slow_reader_is_not_the_origins_fault(hostile: Hostile) -> None:
    """Time that the reader takes does not count against the origin's rate."""
    client = EgressClient(quick(hostile.port, grace_seconds=0.1, window_seconds=0.05, minimum_rate=10_000_000))
    with client.open(client.parse(hostile.url("honest"))) as response:
        assert response.read(10)
        time.sleep(0.4)
        drain(response)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("gzipped", "content encoding 'gzip'.*'size' and 'sha256'"),
        ("partial", "status 206"),
        ("missing", "status 404"),
        ("not_modified", "status 304"),
        ("lost", "status 302"),
        ("both_framings", "both a length"),
        ("two_lengths", "not valid HTTP"),
        ("no_length", "declares no length.*'size' and 'sha256'"),
        ("not_http", "not valid HTTP"),
        ("switch", "not valid HTTP"),
        ("hang_up", "without an answer"),
        ("huge_header", "too large"),
        ("many_headers", "too many headers"),
        ("interim", "too large"),
        ("interim_drip", "within 0.6 s"),
        ("drip_headers", "within 0.6 s"),
        ("silent", "within 0.6 s"),
        ("loop", "more than 3 times"),
    ],
)
def test_bad_answers(impatient: EgressClient, hostile: Hostile, behaviour: str, said: str) -> None:
    """An answer that is not a plain, bounded, timely 200 is refused with its reason, by the header deadline."""
    began = time.monotonic()
    with pytest.raises(OriginFailed, match=said):
        impatient.open(impatient.parse(hostile.url(behaviour)))
    assert time.monotonic() - began < 2


def test_a_body_that_ends_with_the_connection_is_taken_where_it_is_asked_for(
    client: EgressClient, hostile: Hostile
) -> None:
    """Whoever wants the status above all gets such an answer with its body; everybody else has it refused."""
    url = client.parse(hostile.url("no_length"))
    with client.open(url, Asked(provable=True)) as response:
        assert (response.status, response.length) == (200, None)
        body = bytearray()
        while data := response.read(1 << 20):
            body += data
    assert bytes(body) == CONTENT
    with pytest.raises(OriginFailed, match="declares no length"):
        client.open(url)


def test_a_body_that_is_not_wanted_is_no_failure(hostile: Hostile) -> None:
    """Dismissed after its headers an answer counts as ok, and only closed as abandoned."""
    outcomes: list[str] = []
    settings = quick(hostile.port)
    client = EgressClient(
        settings, resolve=resolve, listeners=Listeners(lambda outcome, seconds, size: outcomes.append(outcome))
    )
    url = client.parse(hostile.url("honest"))
    client.open(url).dismiss()
    client.open(url).close()
    assert outcomes == ["ok", "abandoned"]
