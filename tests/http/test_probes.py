"""What probes ask is found out once for all who ask."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from glare.http.probes import Probe


class Look:
    """Counts how often it was asked. It waits for `go`, and fails when it is told to."""

    def __init__(self) -> None:
        self.times = 0
        self.go = threading.Event()
        self.go.set()
        self.fails = False

    def __call__(self) -> int:
        self.times += 1
        self.go.wait(30)
        if self.fails:
            raise OSError
        return self.times


def test_a_result_serves_all_who_ask_within_its_age() -> None:
    """It is looked again when the last look is as old as it may be, and not before."""
    look, now = Look(), 0.0
    probe = Probe(look, 1.0, clock=lambda: now)

    async def main() -> None:
        nonlocal now
        with ThreadPoolExecutor(1) as threads:
            assert [await probe.result(threads) for _ in range(3)] == [1, 1, 1]
            now = 0.9
            assert await probe.result(threads) == 1
            now = 1.0
            assert await probe.result(threads) == 2

    asyncio.run(main())


def test_a_look_that_hangs_costs_one_thread() -> None:
    """However many ask meanwhile, and give up, there is one look, and its result is there for those who still wait."""
    look = Look()
    look.go.clear()
    probe = Probe(look, 0.0)

    async def main() -> None:
        with ThreadPoolExecutor(4) as threads:
            for _ in range(20):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await probe.result(threads)
            waiting = asyncio.ensure_future(probe.result(threads))
            await asyncio.sleep(0)
            look.go.set()
            assert await waiting == 1
        assert look.times == 1

    asyncio.run(main())


def test_a_failure_is_a_result() -> None:
    """Whoever asks hears it, and the next look is another one."""
    look = Look()
    look.fails = True
    probe = Probe(look, 0.0)

    async def main() -> None:
        with ThreadPoolExecutor(1) as threads:
            for _ in range(2):
                with pytest.raises(OSError):  # noqa: PT011 - it has no message
                    await probe.result(threads)
            look.fails = False
            assert await probe.result(threads) == 3

    asyncio.run(main())
