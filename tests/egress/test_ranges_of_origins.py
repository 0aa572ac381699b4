"""Ranges: what is asked for, and what is not taken for it."""

from __future__ import annotations

import pytest

from glare.egress.asked import Asked
from glare.egress.client import EgressClient
from glare.egress.ranges import Span
from glare.errors import OriginFailed
from support.origins.egress import read
from support.origins.hostile import CONTENT, Hostile
from support.origins.origin import Origin


def test_ranges(client: EgressClient, origin: Origin) -> None:
    """A range comes exactly as it was asked for."""
    origin.put("/a", CONTENT)
    url = origin.url("/a")
    assert read(client, url, byte_range=(1000, 2000)) == CONTENT[1000:2001]
    with client.open(client.parse(url), Asked(byte_range=(5, 9))) as response:
        assert (response.status, response.span, response.length) == (206, Span(5, 9, len(CONTENT)), 5)
    assert origin.seen[0].headers["range"] == "bytes=1000-2000"


@pytest.mark.parametrize("behaviour", ["honest", "lying_range", "no_range", "missing"])
def test_bad_ranges(client: EgressClient, hostile: Hostile, behaviour: str) -> None:
    """A range that is answered with another range, with none, with an error, or (where asked) whole is refused."""
    with pytest.raises(OriginFailed):
        client.open(client.parse(hostile.url(behaviour)), Asked(byte_range=(0, 99), whole_for_range=False))


def test_whole_for_range(client: EgressClient, hostile: Hostile) -> None:
    """An origin without ranges answers with its whole body, and the caller is told that it begins at 0."""
    with client.open(client.parse(hostile.url("honest")), Asked(byte_range=(10, 99))) as response:
        assert (response.status, response.span, response.length) == (200, None, len(CONTENT))
