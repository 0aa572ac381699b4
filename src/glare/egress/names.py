"""Name resolution in threads of its own, with a deadline, so that a slow name blocks nobody."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from ipaddress import ip_address

from glare.egress.decision import UNREACHABLE, Address
from glare.errors import Cause, LocationRefused

Resolver = Callable[[str], Sequence[Address]]
"""All addresses of a name. It may block, and raises OSError where the name has none."""


def system_resolve(host: str) -> tuple[Address, ...]:
    """The addresses that the system knows for the absolute name `host`: the trailing dot keeps search domains away."""
    found = socket.getaddrinfo(f"{host}.", None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


class Names:
    """Look-ups with a deadline, at most `threads` at once.

    A look-up that nobody waits for any longer keeps its thread until the system answers; the threads are daemons, so
    that it does not hold up the end of the process either.
    """

    def __init__(self, resolve: Resolver, threads: int) -> None:
        self._resolve = resolve
        self._slots = threading.BoundedSemaphore(threads)

    def addresses(self, host: str, seconds: float) -> Sequence[Address]:
        """The addresses of `host`, or `LocationRefused` with the message that all unreachable places share."""
        until = time.monotonic() + seconds
        if not self._slots.acquire(timeout=max(0.0, seconds)):
            raise LocationRefused(UNREACHABLE, reason="all threads for name resolution are busy", cause=Cause.BUSY)
        answer: Future[Sequence[Address]] = Future()
        try:
            threading.Thread(target=self._look_up, args=(host, answer), name="glare-resolve", daemon=True).start()
        except RuntimeError:
            self._slots.release()
            raise
        try:
            return answer.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise LocationRefused(
                UNREACHABLE, reason=f"no answer to the name within {seconds:.1f} s", cause=Cause.DNS
            ) from None
        except (OSError, UnicodeError) as error:
            raise LocationRefused(UNREACHABLE, reason=f"the name does not resolve: {error}", cause=Cause.DNS) from error

    def _look_up(self, host: str, answer: Future[Sequence[Address]]) -> None:
        try:
            answer.set_result(self._resolve(host))
        except Exception as error:  # noqa: BLE001 - it belongs to the caller, who waits in another thread.
            answer.set_exception(error)
        finally:
            self._slots.release()
