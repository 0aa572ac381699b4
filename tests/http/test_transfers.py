"""Bodies under way: places, who waits for one, and who has to leave one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from glare.errors import GlareError, Unavailable
from glare.http import transfers as transfers_module
from glare.http.bodies import StreamBody
from glare.http.pace import Pace
from glare.http.transfers import Transfer, Transfers
from glare.shares import Bounds, Party, Shares
from support.conversation import Conversation, eventually
from support.service import BYTES, Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

A, B, C = (Party.project(name) for name in "abc")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pace_counts_the_time_in_which_the_client_was_waited_for() -> None:
    """Time in which nobody wanted its bytes is no fault of the client's; the time of an unfinished wait is."""
    clock = Clock()
    pace = Pace(10.0, clock)
    pace.wait()
    clock.now += 5
    pace.moved(1000)
    clock.now += 1000
    assert (pace.rate, pace.is_below(10_000)) == (200.0, False)
    pace.wait()
    clock.now += 5
    assert not pace.is_below(150)
    clock.now += 1
    assert pace.is_below(150)
    assert not pace.is_below(50)


def test_what_was_sent_long_ago_excuses_nobody() -> None:
    """A client that began fast and drips now is below the rate after a few windows, however much it had sent."""
    clock = Clock()
    pace = Pace(10.0, clock)
    pace.wait()
    clock.now += 1
    pace.moved(1 << 30)
    windows = 0
    while not pace.is_below(4096):
        windows += 1
        for _ in range(10):
            pace.wait()
            clock.now += 1
            pace.moved(1)
        assert windows < 40


async def enter(
    transfers: Transfers, stack: AsyncExitStack, party: Party, broken: list[Transfer], *, breakable: bool = True
) -> Transfer:
    made: list[Transfer] = []

    def break_off(_: GlareError) -> None:
        broken.append(made[0])

    async def gone() -> None:
        await asyncio.Event().wait()

    made.append(await stack.enter_async_context(transfers.place(party, break_off if breakable else None, gone)))
    return made[0]


def slow_after(seconds: float, clock: Clock, *transfers: tuple[Transfer, int]) -> None:
    """Let so much time pass in which each of these was waited for and moved so many bytes."""
    for transfer, _ in transfers:
        transfer.pace.wait()
    clock.now += seconds
    for transfer, size in transfers:
        transfer.pace.moved(size)


def test_the_slowest_of_whoever_has_most_makes_room() -> None:
    """One for each that waits. Not while there is room or nobody waits, not who is fast or just came, and not who waits
    for somebody else than a client.
    """
    clock, broken = Clock(), list[Transfer]()
    transfers = Transfers(Shares("test", Bounds(5, 3, 10, 10, 60.0)), 1000, 2.0, clock)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            mine = await enter(transfers, stack, B, broken)
            slow, slower, fast = [await enter(transfers, stack, A, broken) for _ in range(3)]
            slow_after(10.0, clock, (mine, 10), (slow, 100), (slower, 50), (fast, 100_000))
            transfers.make_room()
            measured = await enter(transfers, stack, C, broken, breakable=False)
            slow_after(10.0, clock, (measured, 0))
            transfers.make_room()
            assert broken == []
            waiting = []
            for party, made_room in ((C, [slower]), (C, [slower, slow]), (B, [slower, slow, mine])):
                waiting.append(asyncio.ensure_future(enter(transfers, stack, party, broken)))
                await asyncio.sleep(0)
                for _ in range(5):
                    transfers.make_room()
                assert broken == made_room
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert (transfers.shares.in_use, transfers.shares.waiting) == (0, 0)

    asyncio.run(main())


@pytest.mark.parametrize(("slow_party", "makes_room"), [(A, True), (B, False)])
def test_who_has_all_of_its_own_share_costs_others_nothing(slow_party: Party, makes_room: bool) -> None:
    """The queue of a party at its own bound breaks off no body of another party, whose place it could not have; only
    its own.
    """
    clock, broken = Clock(), list[Transfer]()
    transfers = Transfers(Shares("test", Bounds(4, 2, 10, 10, 60.0)), 1000, 2.0, clock)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            bodies = [await enter(transfers, stack, party, broken) for party in (A, A, B, B)]
            slow_after(10.0, clock, *[(each, 10 if each.party == slow_party else 100_000) for each in bodies])
            waiting = [asyncio.ensure_future(enter(transfers, stack, A, broken)) for _ in range(2)]
            await asyncio.sleep(0)
            for _ in range(5):
                transfers.make_room()
            assert {each.party for each in broken} == ({A} if makes_room else set())
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(main())


class DownloadsOf:
    """What a streamed body needs of its call, with a client that nobody sees leave."""

    def __init__(self, party: Party, transfers: Transfers) -> None:
        self.application = SimpleNamespace(transfers=transfers)
        self._transfers = transfers
        self._party = party

    def transfer(
        self, _: str, break_off: Callable[[GlareError], object], __: str | None
    ) -> AbstractAsyncContextManager[Transfer]:
        return self._transfers.place(self._party, break_off, self.until_disconnected)

    async def until_disconnected(self) -> None:
        await asyncio.Event().wait()

    async def run_stream(self, function: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(function)


class Dripping(StreamBody):
    """A download of one byte, behind which the next waits until it is told to end."""

    def __init__(self, party: Party, transfers: Transfers) -> None:
        super().__init__(cast("Any", DownloadsOf(party, transfers)), {}, 200)
        self.to_end = threading.Event()
        self.pieces = [b"x"]

    def open(self) -> Dripping:
        return self

    def read(self) -> bytes:
        if self.pieces:
            return self.pieces.pop()
        assert self.to_end.wait(60)
        return b""

    def close(self) -> None:
        pass

    def cancel(self) -> None:
        self.to_end.set()


def test_downloads_between_two_sends_make_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow downloads that wait for their next piece are broken off one after another, though nobody comes any more."""
    monkeypatch.setattr(transfers_module, "_LOOK_SECONDS", 0.01)
    clock, broken = Clock(), list[Transfer]()
    transfers = Transfers(Shares("test", Bounds(2, 2, 10, 10, 60.0)), 1000, 2.0, clock)

    async def main() -> None:
        sent, both = list[Any](), asyncio.Event()

        async def send(message: Any) -> None:
            if message.get("body"):
                clock.now += 10
                sent.append(message)
                if len(sent) == 2:
                    both.set()

        async with asyncio.timeout(20), AsyncExitStack() as stack:
            bodies = [Dripping(A, transfers) for _ in range(2)]
            downloads = [asyncio.ensure_future(body({}, cast("Any", None), send)) for body in bodies]
            try:
                await both.wait()
                await asyncio.gather(*[enter(transfers, stack, B, broken) for _ in range(2)])
                ends = await asyncio.gather(*downloads, return_exceptions=True)
            finally:
                for body in bodies:
                    body.to_end.set()
            assert [type(end) for end in ends] == [Unavailable, Unavailable]

    asyncio.run(main())


def test_one_body_that_cannot_be_broken_off_does_not_keep_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged, and the next slow body makes room."""
    monkeypatch.setattr(transfers_module, "_LOOK_SECONDS", 0.01)
    clock, ended = Clock(), asyncio.Event()
    transfers = Transfers(Shares("test", Bounds(2, 2, 10, 10, 60.0)), 1000, 2.0, clock)

    async def for_ever() -> None:
        await asyncio.Event().wait()

    def fail(_: GlareError) -> None:
        raise RuntimeError("no")

    async def main() -> None:
        async with asyncio.timeout(20), transfers.place(A, fail, for_ever) as first, AsyncExitStack() as stack:
            async with transfers.place(A, lambda _: ended.set(), for_ever) as second:
                slow_after(10.0, clock, (first, 0), (second, 10))
                waiting = asyncio.ensure_future(enter(transfers, stack, B, []))
                await ended.wait()
            await waiting

    asyncio.run(main())
    assert "could not be broken off" in caplog.text


def upload(glare: Glare, artifact: Json, key: str, size: int, actor: str) -> Conversation:
    """An upload of which a test sends the pieces."""
    headers = {"Content-Type": BYTES, "Content-Length": str(size)}
    return Conversation(glare, "PUT", f"{path_of(artifact)}/dict_of_blobs/{key}", headers, actor=actor)


def test_an_upload_that_waits_for_its_place_loses_no_byte(tmp_path: Path) -> None:
    """What its client has sent meanwhile is all there when its turn comes."""
    with running(tmp_path, "[uploads]\nmax_concurrent = 2\nmax_concurrent_per_project = 1\n") as glare:
        artifact = glare.alice.create("sample_artifact", name="a", string_required="x")
        with (
            upload(glare, artifact, "first", 1, "alice") as first,
            upload(glare, artifact, "second", 9, "alice") as second,
        ):
            eventually(lambda: glare.transfers.shares.waiting == 1)
            for part in (b"one", b"two"):
                second.feed(part)
            second.end(b"six")
            first.end(b"1")
            assert (first.answer().status, second.answer().status) == (200, 200)
        assert glare.alice.download(artifact, "dict_of_blobs/second").content == b"onetwosix"
        assert glare.leftovers() == {}


def test_an_upload_whose_client_leaves_while_it_waits_is_not_begun(tmp_path: Path) -> None:
    """It has taken neither a slot nor quota."""
    with running(tmp_path, "[uploads]\nmax_concurrent = 1\n") as glare:
        artifact = glare.alice.create("sample_artifact", name="a", string_required="x")
        with upload(glare, artifact, "first", 1, "alice") as first:
            eventually(lambda: list(glare.alice.show(artifact)["dict_of_blobs"]) == ["first"])
            with upload(glare, artifact, "second", 9, "alice") as second:
                eventually(lambda: glare.transfers.shares.waiting == 1)
                second.hang_up()
                second.wait()
            assert glare.transfers.shares.waiting == 0
            assert list(glare.alice.show(artifact)["dict_of_blobs"]) == ["first"]
            first.end(b"1")
            assert first.answer().status == 200
        assert glare.leftovers() == {}


@pytest.mark.parametrize("slow", ["upload", "download"])
def test_slow_bodies_make_room_for_another_project(tmp_path: Path, slow: str) -> None:
    """With every place taken by clients that do nothing, somebody else's upload is taken all the same: one of them is
    broken off.
    """
    text = (
        "[uploads]\nmax_concurrent = 2\nmax_concurrent_per_project = 2\ncontended_grace = 0.1 s\n[api]\nmax_wait = "
        "60 s\n"
    )
    with running(tmp_path, text) as glare, ExitStack() as stack:
        theirs = glare.bob.create("sample_artifact", name="b", string_required="x")
        mine = glare.alice.create("sample_artifact", name="a", string_required="x")
        if slow == "upload":
            held = [stack.enter_context(upload(glare, theirs, str(number), 9, "bob")) for number in range(2)]
        else:
            image = glare.bob.create("images", name="b")
            glare.bob.upload(image, "image", bytes(3 << 20))
            path, ranged = f"{path_of(image)}/image", {"Range": "bytes=0-2999999"}
            held = [
                stack.enter_context(Conversation(glare, "GET", path, ranged, actor="bob", hold_after=1))
                for _ in range(2)
            ]
        eventually(lambda: glare.transfers.shares.in_use == 2)
        glare.alice.upload(mine, "dict_of_blobs/x", b"data")
        eventually(lambda: any(request.done for request in held))
        answers = [request.answer() for request in held if request.done]
        if slow == "upload":
            assert [answer.status for answer in answers] == [503] * len(answers)
            assert all(answer.headers["retry-after"] == "10" for answer in answers)
        else:
            assert not any(answer.complete for answer in answers)


def refused_at_once(request: Conversation) -> int:
    """The status of a request whose body is never sent."""
    with request:
        return request.answer().status


@pytest.mark.parametrize(
    "of",
    [
        lambda artifact: ("POST", "/artifacts/images", "application/json", 403),
        lambda artifact: ("PATCH", path_of(artifact), "application/json-patch+json", 403),
        lambda artifact: ("PUT", f"{path_of(artifact)}/image", BYTES, 403),
        lambda artifact: ("PUT", "/artifacts/images/nowhere/image", BYTES, 404),
        lambda artifact: ("POST", "/subscriptions", "application/json", 403),
        lambda artifact: ("PATCH", "/subscriptions/x", "application/json", 403),
        lambda artifact: ("PUT", "/quotas", "application/json", 403),
        lambda artifact: ("POST", "/takedowns", "application/json", 403),
    ],
)
def test_nobody_waits_for_a_body_that_cannot_be_allowed(
    api: Glare, of: Callable[[Json], tuple[str, str, str, int]]
) -> None:
    """An anonymous change is refused when its head has come, with the answer that it would have got in the end."""
    image = api.alice.create("images", name=f"public {id(of)}", container_format="bare", disk_format="raw")
    api.alice.upload(image, "image", b"x")
    api.alice.activate(image)
    api.admin.publish(image)
    method, path, kind, status = of(image)
    headers = {"Content-Type": kind, "Content-Length": "1000"}
    assert refused_at_once(Conversation(api, method, path, headers, actor="projectless")) == status


def test_json_bodies_are_bounded_in_sum(tmp_path: Path) -> None:
    """Further ones of the same project wait unread, and are read in their turn; another project does not notice."""
    text = "[api]\nmax_body_memory = 2 MiB\nmax_body_memory_per_project = 1 MiB\n"
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    with running(tmp_path, text) as glare:
        bodies = glare.lanes.bodies
        with (
            Conversation(glare, "POST", "/artifacts/images", headers) as first,
            Conversation(glare, "POST", "/artifacts/images", headers) as second,
        ):
            for request in (first, second):
                request.feed(b'{"name": ')
            eventually(lambda: bodies.waiting == 1)
            assert bodies.in_use == 16
            assert glare.bob.create("images", name="beside")["name"] == "beside"
            for request, name in ((first, b"first"), (second, b"second")):
                request.end(b'"%b"}' % name)
                assert request.answer().status == 201
        assert bodies.in_use == 0
        assert sorted(glare.alice.names("images")) == ["first", "second"]


def test_a_json_body_that_drips_is_given_up(tmp_path: Path) -> None:
    """A byte now and then, each in time, is refused for its rate; what it held is free."""
    with running(tmp_path, "[api]\nbody_timeout = 0.2 s\n") as glare:
        headers = {"Content-Type": "application/json", "Content-Length": "100000"}
        with Conversation(glare, "POST", "/artifacts/images", headers) as request:

            def answered() -> bool:
                request.feed(b" ")
                return request.done

            eventually(answered)
            answer = request.answer()
        assert answer.status == 408
        assert "less than 4096 bytes a second" in answer.json()["error"]["message"]
        assert glare.lanes.bodies.in_use == 0


def test_a_large_document_is_read_in_a_thread(tmp_path: Path) -> None:
    """It is the same as a small one: what is wrong with it is reported, and what is right is stored."""
    with running(tmp_path, "") as glare:
        artifact = glare.alice.create("images", name="a")
        patch = [{"op": "replace", "path": "/description", "value": "x" * 200}] * 400
        assert glare.alice.patch(artifact, *patch).json()["description"] == "x" * 200
        answer = glare.alice.request(
            "POST", "/artifacts/images", content=b"[" * 100_000, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400
