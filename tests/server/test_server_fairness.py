"""What one caller may take of a real server: places of bodies, and memory for answers that nobody reads."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from support.conversation import eventually
from support.server import Server
from support.service import path_of

ARTIFACTS = 40
LISTS = 30
MARGIN = 100 << 20
"""Bytes that are more than what so many unread lists may hold in memory, and much less than what they have: 450 MB."""


def test_slow_uploads_make_room(tmp_path: Path) -> None:
    """With every place taken by uploads that bring nothing, another project's is stored; one of them is 503, and
    nothing is left of it.
    """
    text = (
        "[uploads]\nmax_concurrent = 2\nmax_concurrent_per_project = 2\ncontended_grace = 0.2 s\n[api]\nmax_wait = "
        "60 s\n"
    )
    with Server(tmp_path, text) as server, ExitStack() as stack:
        images = [server.bob.create("images", name=str(number)) for number in range(2)]
        connections = [stack.enter_context(server.connect()) for _ in images]
        for connection, image in zip(connections, images, strict=True):
            connection.ask(
                "PUT", f"{path_of(image)}/image", {"Content-Type": "text/plain", "Content-Length": 8}, actor="bob"
            )
        eventually(lambda: all(server.bob.show(image)["image"] for image in images))
        mine = server.alice.create("images", name="mine")
        assert server.alice.upload(mine, "image", b"data")["image"]["size"] == 4
        eventually(lambda: any(server.bob.show(image)["image"] is None for image in images))
        lost = next(number for number, image in enumerate(images) if server.bob.show(image)["image"] is None)
        status, headers = connections[lost].head()
        assert (status, headers["retry-after"]) == (503, "10")
        for connection in connections:
            connection.hang_up()
        eventually(lambda: server.leftovers() == {})


def test_unread_lists_cost_little_memory(tmp_path: Path) -> None:
    """Lists of megabytes that their clients do not read hold a piece each; whoever reads then gets all of it, and
    others are answered meanwhile.
    """
    with Server(tmp_path) as server, ExitStack() as stack:
        large = {f"{number:03}" + "€" * 252: "€" * 255 for number in range(250)}
        for number in range(ARTIFACTS):
            server.alice.create("sample_artifact", name=str(number), string_required="x", dict_of_str=large)
        other = server.bob.create("images", name="other")
        server.alice.page("sample_artifact", "limit=1000")
        before = server.memory()
        connections = [stack.enter_context(server.connect()) for _ in range(LISTS)]
        for connection in connections:
            connection.ask("GET", "/artifacts/sample_artifact?limit=1000")
        for connection in connections:
            status, headers = connection.head()
            assert (status, headers["transfer-encoding"]) == (200, "chunked")
        assert server.bob.show(other)["name"] == "other"
        assert server.memory() - before < MARGIN
        received = b""
        while not received.endswith(b"\r\n0\r\n\r\n"):
            data = connections[0].receive(1 << 20)
            assert data
            received += data
        assert len(received) > ARTIFACTS * 250 * 1000


def test_who_waits_for_a_place_is_not_asked_to_send(tmp_path: Path) -> None:
    """With `Expect: 100-continue` nothing is asked for before there is a place, nor is anything read without; a client
    that leaves meanwhile is noticed.
    """
    text = "[uploads]\nmax_concurrent = 1\ncontended_grace = 600 s\n[api]\nmax_wait = 60 s\n"
    with Server(tmp_path, text) as server, ExitStack() as stack:

        def waiting() -> bool:
            return 'glare_shares_waiting{what="transfers"} 1.0' in server.client.get("/metrics").text

        first, second = (server.alice.create("images", name=name) for name in ("first", "second"))
        holding = stack.enter_context(server.connect())
        holding.put(first, "image", 8)
        holding.send(b"half")
        eventually(lambda: server.alice.show(first)["image"])
        for extra in ({"Expect": "100-continue"}, {}):
            leaving = stack.enter_context(server.connect())
            leaving.put(second, "image", 8, **extra)
            eventually(waiting)
            leaving.hang_up()
            eventually(lambda: not waiting())
        patient = stack.enter_context(server.connect())
        patient.put(second, "image", 8, Expect="100-continue")
        eventually(waiting)
        assert not patient.comes_within(1.0)
        holding.send(b"half")
        assert holding.head()[0] == 200
        assert patient.head()[0] == 100
        patient.send(b"12345678")
        assert patient.head()[0] == 200
