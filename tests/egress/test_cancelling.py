"""A request that nobody waits for any more ends at once."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable

import pytest

from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.errors import OriginFailed
from support.origins.egress import NAME, drain, quick, resolve
from support.origins.hostile import Hostile


def test_cancel_ends_a_blocked_read(client: EgressClient, hostile: Hostile) -> None:
    """A read that waits for the origin ends at once when another thread cancels."""
    client = EgressClient(quick(hostile.port, grace_seconds=20.0))
    with client.open(client.parse(hostile.url("stall"))) as response:
        timer = threading.Timer(0.2, response.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(OriginFailed, match="cancelled"):
            drain(response)
        assert time.monotonic() - began < 1
        timer.join()


def test_cancel_over_tls(certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext) -> None:
    """Cancelling works the same over TLS."""
    with Hostile(certified(NAME)) as hostile:
        client = EgressClient(quick(hostile.port, grace_seconds=20.0), resolve=resolve, tls=trusting)
        with client.open(client.parse(hostile.url("stall", NAME))) as response:
            timer = threading.Timer(0.2, response.cancel)
            timer.start()
            with pytest.raises(OriginFailed, match="cancelled"):
                drain(response)
            timer.join()


def test_cancelled_while_waiting_for_headers(hostile: Hostile) -> None:
    """A caller who is gone is noticed while the headers are waited for."""
    client = EgressClient(quick(hostile.port, header_seconds=20.0))
    gone = Cancellation()
    timer = threading.Timer(0.2, gone.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(OriginFailed, match="cancelled"):
        client.open(client.parse(hostile.url("silent")), cancellation=gone)
    assert time.monotonic() - began < 1.5
    timer.join()
