"""Whose request begins next."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from glare.server.sockets import closed_by_peer
from glare.server.turns import LIGHT, Turns


def _run(play: Callable[[Turns, list[str]], Coroutine[Any, Any, None]]) -> list[str]:
    """What has begun after `play`, with two turns in each round."""
    begun: list[str] = []

    async def run() -> None:
        await play(Turns(asyncio.get_running_loop(), at_once=2), begun)

    asyncio.run(run())
    return begun


def test_few_requests_begin_at_once() -> None:
    """Where nobody waits, nobody is made to."""

    async def play(turns: Turns, begun: list[str]) -> None:
        turns.take("a", lambda: begun.append("a"))
        turns.take("b", lambda: begun.append("b"))
        assert begun == ["a", "b"]

    _run(play)


def test_a_round_takes_on_a_few_and_leaves_the_loop_to_others() -> None:
    """Between two rounds whatever else is ready is done, such as the answers of those who are in."""

    async def play(turns: Turns, begun: list[str]) -> None:
        for number in range(6):
            turns.take("a", partial(begun.append, str(number)))
        assert begun == ["0", "1"]
        await asyncio.sleep(0)
        assert begun == ["0", "1", "2", "3"]
        await asyncio.sleep(0)

    assert _run(play) == ["0", "1", "2", "3", "4", "5"]


def test_more_are_answered_on_the_spot_than_begin() -> None:
    """What leaves nothing behind costs a part of a turn, so of refusals a round has several."""

    async def play(turns: Turns, begun: list[str]) -> None:
        def light() -> bool:
            begun.append("light")
            return True

        for _ in range(5 * LIGHT):
            turns.take("a", light)
        assert begun == ["light"] * 2 * LIGHT
        await asyncio.sleep(0)
        assert begun == ["light"] * 4 * LIGHT
        turns.take("b", lambda: begun.append("b"))
        turns.take("a", light)
        await asyncio.sleep(0)
        assert begun[4 * LIGHT :].count("light") == LIGHT
        assert begun[4 * LIGHT + 1] == "b"
        await asyncio.sleep(0)

    _run(play)


def test_who_comes_back_from_its_own_turn_waits_for_the_next_one() -> None:
    """A connection whose request is answered on the spot brings the next one: no round is made of those alone."""

    async def play(turns: Turns, begun: list[str]) -> None:
        def light() -> bool:
            begun.append("light")
            turns.take("a", light)
            return True

        turns.take("a", light)
        assert len(begun) == 2 * LIGHT
        await asyncio.sleep(0)
        assert len(begun) == 4 * LIGHT

    _run(play)


def test_networks_take_turns() -> None:
    """A thousand of one network do not stand before one of another."""

    async def play(turns: Turns, begun: list[str]) -> None:
        for _ in range(1000):
            turns.take("a", lambda: begun.append("a"))
        turns.take("b", lambda: begun.append("b"))
        await asyncio.sleep(0)
        assert begun == ["a", "a", "a", "b"]

    _run(play)


def test_a_client_that_has_left_is_seen_without_reading() -> None:
    """Also when it has sent something before, which stays unread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            client.sendall(b"GET / HTTP/1.1\r\n")
            assert not closed_by_peer(accepted)
            client.close()
            accepted.settimeout(10)
            while accepted.recv(1024):
                pass
            assert closed_by_peer(accepted)
