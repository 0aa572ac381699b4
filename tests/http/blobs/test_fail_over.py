"""Downloads of replicas: a block that one origin does not deliver comes from another, at the same offset."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glare.digest import BLOCK
from glare.domain.verification import AT_ONCE
from glare.stores.base import Reader, Store
from support.conversation import Answer, Conversation, eventually
from support.origins.crooked import Behaviour, Crooked, Visit, honest
from support.runs.clock import Clock
from support.service import LOCATION, Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite

DATA = random.Random(33).randbytes(2 * BLOCK + 5)
V2 = {"OpenStack-API-Version": "artifact 1.2"}
QUICK = "header_deadline = 2\ntotal_time = 5\nfailure_memory = 0\n"
ORIGINS = 3


@pytest.fixture(scope="module")
def origins() -> Iterator[list[Crooked]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Crooked(honest(DATA))) for _ in range(ORIGINS)]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, origins: list[Crooked]) -> Iterator[Glare]:
    ports = tuple(origin.port for origin in origins)
    with running(tmp_path_factory.mktemp("fail-over"), QUICK, ports=(80, 443, *ports)) as service:
        yield service
        assert service.services.fetches.live == 0
        assert service.leftovers() == {}


@pytest.fixture(scope="module")
def image(api: Glare, origins: list[Crooked]) -> Json:
    """An active image with a replica at each origin."""
    found = api.alice.create("images", name="many", container_format="bare", disk_format="raw")
    for number, origin in enumerate(origins):
        origin.behave = honest(DATA)
        locate(api, found, str(number), origin.url)
    return api.alice.activate(found)


@pytest.fixture(autouse=True)
def well(request: pytest.FixtureRequest, origins: list[Crooked]) -> None:
    """Each test begins with honest origins."""
    for origin in origins:
        origin.behave, origin.visits = honest(DATA), 0


def spoil(api: Glare, how: str) -> None:
    """Do something to the file of the stored replica."""
    directory = api.settings.glance_store.filesystem_store_datadir / "objects"
    (file,) = (path for path in directory.rglob("*") if path.is_file() and path.stat().st_size == len(DATA))
    file.chmod(0o600)
    if how == "lost":
        file.unlink()
    else:
        file.write_bytes(DATA[:-1] if how == "cut off" else bytes(len(DATA)))


@pytest.fixture
def stored(api: Glare, image: Json) -> Iterator[str]:
    """The key of a replica that Glare stores."""
    path = f"{path_of(image)}/locations/stored"
    answer = api.alice.request("PUT", path, content=DATA, headers={"Content-Type": "application/octet-stream", **V2})
    assert answer.status_code == 200
    yield "stored"
    assert api.alice.request("DELETE", path, headers=V2).status_code == 200


def locate(api: Glare, image: Json, key: str, url: str) -> None:
    body = json.dumps({"url": url}).encode()
    path = f"{path_of(image)}/locations/{key}"
    answer = api.alice.request("PUT", path, content=body, headers={"Content-Type": LOCATION, **V2})
    assert answer.status_code == 200, answer.text


def get(api: Glare, image: Json, key: str = "0", **headers: str) -> Answer:
    """What a client receives, whether or not it is broken off."""
    with Conversation(api, "GET", f"{path_of(image)}/locations/{key}", {**V2, **headers}) as download:
        download.end()
        return download.answer()


def failing(at: int, how: str) -> Behaviour:
    """Honest up to the block `at`, which is changed, cut off, or refused: from there on nothing is right."""
    wrong = DATA[: at * BLOCK] + bytes(255 - byte for byte in DATA[at * BLOCK :])

    def behave(visit: Visit) -> None:
        if how == "changed":
            honest(wrong)(visit)
            return
        first, last = visit.asked(len(DATA)) or (0, len(DATA) - 1)
        if how == "refused" and first >= at * BLOCK:
            visit.head(503, Content_Length=0)
            return
        if visit.asked(len(DATA)) is None:
            visit.head(200, Content_Length=len(DATA))
        else:
            visit.head(206, Content_Length=last - first + 1, Content_Range=f"bytes {first}-{last}/{len(DATA)}")
        visit.send(DATA[first : max(first, at * BLOCK)])

    return behave


@pytest.mark.parametrize("how", ["changed", "cut", "refused"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_next_origin_goes_on_at_the_same_block(
    api: Glare, image: Json, origins: list[Crooked], at: int, how: str
) -> None:
    """Whatever happens to the first origin, and at which block, the client gets every byte, and the second is asked for
    the rest.
    """
    origins[0].behave = failing(at, how)
    answer = get(api, image)
    assert (answer.status, answer.complete, answer.body == DATA) == (200, True, True)
    if (at, how) != (1, "refused") and (at, how) != (2, "refused"):  # which is honest when it is asked for the whole
        assert origins[1].visits + origins[2].visits == 1


@pytest.mark.parametrize("closed", [0, 1])
def test_a_replica_whose_port_was_closed_stops_nobody(
    api: Glare, image: Json, origins: list[Crooked], monkeypatch: pytest.MonkeyPatch, closed: int
) -> None:
    """A location that the operator allows no longer is passed over like one that is away, and not asked."""
    egress = api.services.egress
    ports = egress.settings.ports - {origins[closed].port}
    monkeypatch.setattr(egress, "settings", replace(egress.settings, ports=ports))
    answer = get(api, image)
    assert (answer.status, answer.body) == (200, DATA)
    assert origins[closed].visits == 0


def test_a_range_fails_over_too(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """The bytes of a range come from the second origin where the first is broken."""
    origins[0].behave = failing(1, "changed")
    answer = get(api, image, Range=f"bytes={BLOCK - 10}-{2 * BLOCK}")
    assert (answer.status, answer.body) == (206, DATA[BLOCK - 10 : 2 * BLOCK + 1])


@pytest.mark.usefixtures("stored")
def test_a_stored_replica_takes_over(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """Where all origins fail, a member that Glare stores delivers the rest."""
    for origin in origins:
        origin.behave = failing(1, "cut")
    answer = get(api, image)
    assert (answer.status, answer.complete, answer.body == DATA) == (200, True, True)


@pytest.mark.parametrize("span", [None, (1, 5), (BLOCK - 10, 2 * BLOCK)])
@pytest.mark.parametrize("how", ["lost", "cut off", "changed"])
def test_origins_take_over_for_stored_bytes(
    api: Glare, image: Json, stored: str, how: str, span: tuple[int, int] | None
) -> None:
    """A stored replica whose file is gone, too short or, in what is read as blocks, wrong comes from the origins."""
    spoil(api, how)
    answer = get(api, image, stored, **({"Range": f"bytes={span[0]}-{span[1]}"} if span else {}))
    first, last = span or (0, len(DATA) - 1)
    assert (answer.status, answer.complete) == (206 if span else 200, True)
    assert answer.body == DATA[first : last + 1]


@pytest.mark.parametrize("how", ["lost", "cut off", "changed"])
def test_origins_take_over_for_a_file_that_the_server_would_send(
    api: Glare, image: Json, stored: str, how: str
) -> None:
    """A server that could send files itself is not given one that is gone, too short, or of the right length and
    wrong.
    """
    spoil(api, how)
    path = f"{path_of(image)}/locations/{stored}"
    with Conversation(api, "GET", path, V2).with_files() as download:
        download.end()
        answer = download.answer()
    assert (answer.status, answer.complete, answer.body == DATA) == (200, True, True)


def test_a_marked_replica_is_asked_last(
    api: Glare, image: Json, origins: list[Crooked], stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored replica that is known to be damaged is not read while an origin is good; where none is, it gives the
    blocks that are right.
    """
    directory = api.settings.glance_store.filesystem_store_datadir / "objects"
    (file,) = (path for path in directory.rglob("*") if path.is_file() and path.stat().st_size == len(DATA))
    file.chmod(0o600)
    raw = bytearray(DATA)
    raw[-1] ^= 1
    file.write_bytes(raw)
    assert get(api, image, stored).body == DATA  # The origins deliver the block that is wrong, and it is marked.
    read: list[int] = []
    original = Reader.read

    def note(reader: Reader, n: int) -> bytes:
        read.append(n)
        return original(reader, n)

    monkeypatch.setattr(Reader, "read", note)
    for key in (stored, "0"):
        assert get(api, image, key).body == DATA
    assert read == []
    for origin in origins:
        origin.behave = failing(0, "cut")
    answer = get(api, image, stored, Range=f"bytes=5-{2 * BLOCK - 1}")
    assert (answer.status, answer.body) == (206, DATA[5 : 2 * BLOCK])
    assert read


def test_a_store_that_this_node_lacks_is_passed_over(
    api: Glare, image: Json, origins: list[Crooked], stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever member is named, the one origin that is left delivers, and no fetch is left behind."""
    for origin in origins[:2]:
        origin.behave = failing(0, "cut")
    monkeypatch.delitem(cast(dict[str, Store], api.services.stores), "file")
    for key in ("0", stored):
        answer = get(api, image, key)
        assert (answer.status, answer.complete, answer.body == DATA) == (200, True, True)
    monkeypatch.undo()  # The replica's deletion needs the store.
    eventually(lambda: api.services.fetches.live == 0)


def test_a_defect_of_ours_leaves_no_fetch_behind(
    api: Glare, image: Json, origins: list[Crooked], stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails in a way that nobody foresaw is a 500 for its reader, and nothing that another one would
    join.
    """
    for origin in origins:
        origin.behave = failing(0, "cut")
    monkeypatch.setitem(cast(dict[str, object], api.services.stores), "file", object())
    assert get(api, image, stored, Range="bytes=1-5").status == 500
    monkeypatch.undo()
    eventually(lambda: api.services.fetches.live == 0)
    assert get(api, image, stored).body == DATA


def test_without_a_good_one_it_fails_visibly(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """All broken at the first block is a clean 502; all broken later is a body that is broken off after right bytes."""
    for origin in origins:
        origin.behave = failing(0, "changed")
    assert get(api, image).status == 502
    for origin in origins:
        origin.behave = failing(1, "changed")
    answer = get(api, image)
    assert (answer.status, answer.complete, answer.body) == (200, False, DATA[:BLOCK])
    assert int(answer.headers["content-length"]) == len(DATA)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["changed", "cut", "refused"])), min_size=ORIGINS, max_size=ORIGINS
    )
)
def test_no_combination_of_failures_lets_a_wrong_byte_through(
    api: Glare, image: Json, origins: list[Crooked], failures: list[tuple[int, str]]
) -> None:
    """Whatever each origin does, a complete body is the recorded one, and a broken one a beginning of it."""
    for origin, (at, how) in zip(origins, failures, strict=True):
        origin.behave = honest(DATA) if at == 3 else failing(at, how)
    answer = get(api, image)
    if answer.status == 200:
        assert DATA.startswith(answer.body)
        assert answer.complete == (answer.body == DATA)
    else:
        assert answer.status == 502
    if any(at == 3 for at, _ in failures):
        assert (answer.status, answer.complete) == (200, True)


def test_a_failure_has_the_origin_checked(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """The reader notices nothing, and the location that failed is due at once; the others are not."""
    clock = Clock(api)
    clock.forward(3600)
    origins[1].behave = failing(1, "changed")
    assert get(api, image, "1").complete
    listed = api.alice.request("GET", f"/locations?artifact={image['id']}").json()["locations"]
    due = {location["blob"]: location["next_check_at"] for location in listed}
    assert due["locations/1"] is None  # which is what `AT_ONCE` shows as
    assert AT_ONCE == 0
    assert due["locations/0"] is not None


class Gate:
    """Honest, but each answer waits in the middle until the gate is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.waiting = threading.Semaphore(0)

    def __call__(self, visit: Visit) -> None:
        visit.head(200, Content_Length=len(DATA))
        visit.send(DATA[:BLOCK])
        self.waiting.release()
        self.open.wait(30)
        visit.send(DATA[BLOCK:])


def started(api: Glare, image: Json, stack: ExitStack, **headers: str) -> Conversation:
    download = stack.enter_context(Conversation(api, "GET", f"{path_of(image)}/locations/0", {**V2, **headers}))
    download.end()
    return download


def attached(api: Glare) -> int:
    """How many readers take part in fetches."""
    fetches = api.services.fetches
    return sum(fetch.readers for shared in list(fetches._of.values()) for fetch in shared)


def test_simultaneous_readers_share_one_fetch(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """Eight readers at the same time cost the origin one request, and each gets every byte."""
    gate = Gate()
    origins[0].behave = gate
    with ExitStack() as stack:
        downloads = [started(api, image, stack)]
        assert gate.waiting.acquire(timeout=10)
        downloads += [started(api, image, stack) for _ in range(7)]
        eventually(lambda: attached(api) == 8)
        gate.open.set()
        assert all(download.answer().body == DATA for download in downloads)
    assert [origin.visits for origin in origins] == [1, 0, 0]


def test_a_reader_that_leaves_does_not_end_the_others(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """The one who began the fetch hangs up in the middle; whoever shares it gets all, from the same request."""
    gate = Gate()
    origins[0].behave = gate
    with ExitStack() as stack:
        with Conversation(api, "GET", f"{path_of(image)}/locations/0", V2) as leader:
            leader.end()
            assert gate.waiting.acquire(timeout=10)
            follower = started(api, image, stack)
            eventually(lambda: attached(api) == 2)
            threading.Timer(0, gate.open.set).start()
        assert follower.answer().body == DATA
    assert origins[0].visits == 1


def test_readers_that_leave_together_end_the_request(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """Three who share a silent origin hang up: nobody waits for it any longer, and the next one gets an answer."""
    gate = Gate()
    origins[0].behave = gate
    with ExitStack() as stack:
        started(api, image, stack)
        assert gate.waiting.acquire(timeout=10)
        for _ in range(2):
            started(api, image, stack)
        eventually(lambda: attached(api) == 3)
    eventually(lambda: api.services.fetches.live == 0)
    origins[0].behave = honest(DATA)
    assert get(api, image).body == DATA
    gate.open.set()


def test_the_last_reader_that_leaves_ends_the_request(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """With nobody left the connection to the origin is let go of, although the origin is silent."""
    gate = Gate()
    origins[0].behave = gate
    with Conversation(api, "GET", f"{path_of(image)}/locations/0", V2) as leader:
        leader.end()
        assert gate.waiting.acquire(timeout=10)
    eventually(lambda: api.services.fetches.live == 0)
    gate.open.set()
