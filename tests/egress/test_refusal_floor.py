"""How long a refusal takes when the origin chooses the moment of it."""

from __future__ import annotations

import time

import pytest

from glare.egress.client import EgressClient
from glare.errors import LocationRefused
from support.origins.crooked import Crooked, Visit
from support.origins.egress import quick, resolve

FLOOR = 0.4


def test_a_late_redirect_does_not_use_up_the_floor() -> None:
    """An origin that waits before it redirects to a forbidden address learns nothing from how fast that is refused."""
    redirected_at = 0.0

    def late_redirect(visit: Visit) -> None:
        nonlocal redirected_at
        time.sleep(FLOOR + 0.1)
        redirected_at = time.monotonic()
        visit.head(302, Location="http://10.0.0.1/", Content_Length=0)

    with Crooked(late_redirect) as crooked:
        client = EgressClient(quick(80, crooked.port, refusal_floor_seconds=FLOOR), resolve=resolve)
        with pytest.raises(LocationRefused):
            client.open(client.parse(f"http://127.0.0.1:{crooked.port}/"))
        assert time.monotonic() - redirected_at >= FLOOR - 0.05
