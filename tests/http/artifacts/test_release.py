"""A request that is over holds its connection no longer: a server closes, or resets, what nobody holds.

The garbage collector is off meanwhile, so that a reference cycle does not pass for having let go.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator

import pytest

from glare.digest import BLOCK
from support.conversation import Conversation, eventually
from support.origins.crooked import Crooked, honest
from support.service import Glare, Json, path_of, running

DATA = random.Random(5).randbytes(3 * BLOCK + 5)
UPLOAD = {"Content-Type": "text/plain"}
SETTINGS = "[uploads]\nstall_timeout = 0.2\nminimum_throughput = 1\n[api]\nmax_body_size = 2 KiB\nbody_timeout = 0.2\n"


@pytest.fixture(scope="module")
def crooked() -> Iterator[Crooked]:
    with Crooked(honest(DATA)) as server:
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, crooked: Crooked) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("release"), SETTINGS, ports=(80, 443, crooked.port)) as service:
        yield service
        assert service.leftovers() == {}


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def sample(api: Glare) -> Json:
    """A drafted artifact."""
    return api.alice.create("sample_artifact", name="sample", version="0.0.1", string_required="x", tags=[])


@pytest.fixture
def blob(api: Glare, sample: Json) -> Iterator[str]:
    """Path of a blob of a draft that is gone afterwards."""
    yield f"{path_of(sample)}/blob"
    api.alice.delete(sample)


@pytest.fixture
def image(api: Glare, crooked: Crooked) -> Iterator[str]:
    """Path of a blob that was honest when it was recorded."""
    crooked.behave = honest(DATA)
    image = api.alice.locate(api.alice.create("images", name="recorded"), "image", crooked.url)
    yield f"{path_of(image)}/image"
    api.alice.delete(image)


def let_go(request: Conversation) -> None:
    """Wait until nobody holds the connection."""
    eventually(lambda: not request.held, patience=3)


def test_an_upload_lets_go(api: Glare, blob: str) -> None:
    """A body that was stored."""
    with Conversation(api, "PUT", blob, UPLOAD) as request:
        request.feed(b"first")
        request.end(b"last")
        assert request.answer().status == 200
        let_go(request)


def test_a_stalled_upload_lets_go(api: Glare, blob: str) -> None:
    """A body of which no more came."""
    with Conversation(api, "PUT", blob, UPLOAD) as request:
        request.feed(b"first")
        assert request.answer().status == 408
        let_go(request)


def test_a_broken_upload_lets_go(api: Glare, blob: str) -> None:
    """A body whose client went away."""
    with Conversation(api, "PUT", blob, UPLOAD) as request:
        request.feed(b"first")
        request.hang_up()
        request.wait()
        let_go(request)


def test_a_refused_upload_lets_go(api: Glare, blob: str) -> None:
    """A body that nobody wanted, of which no more came."""
    with Conversation(api, "PUT", blob, {**UPLOAD, "Content-Length": "8"}, actor="bob") as request:
        request.feed(b"half")
        assert request.answer().status == 404
        let_go(request)


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b" " * 4000, 413), (None, 408)], ids=["damaged", "too long", "stalled"]
)
def test_a_refused_document_lets_go(api: Glare, body: bytes | None, status: int) -> None:
    """A JSON body that is wrong, too long, or never comes."""
    with Conversation(api, "POST", "/artifacts/images", {"Content-Type": "application/json"}) as request:
        if body is not None:
            request.end(body)
        assert request.answer().status == status
        let_go(request)


def test_a_download_lets_go(api: Glare, image: str) -> None:
    """A body that went out whole."""
    with Conversation(api, "GET", image) as request:
        request.end()
        assert request.answer().complete
        let_go(request)


def test_a_download_broken_off_lets_go(api: Glare, crooked: Crooked, image: str) -> None:
    """A body of which a later block was found changed: the server must reset the connection, and soon."""
    crooked.behave = honest(DATA[: 2 * BLOCK] + b"!" + DATA[2 * BLOCK + 1 :])
    with Conversation(api, "GET", image) as request:
        request.end()
        assert not request.answer().complete
        let_go(request)


def test_a_refused_download_lets_go(api: Glare, crooked: Crooked, image: str) -> None:
    """A body whose first block was found changed."""
    crooked.behave = honest(b"!" + DATA[1:])
    with Conversation(api, "GET", image) as request:
        request.end()
        assert request.answer().status == 502
        let_go(request)


def test_a_download_that_is_left_lets_go(api: Glare, image: str) -> None:
    """A body whose client went away in its middle."""
    with Conversation(api, "GET", image, hold_after=1) as request:
        request.end()
        eventually(lambda: request.received)
        request.hang_up()
        request.wait()
        let_go(request)


@pytest.mark.parametrize("path", ["/artifacts/images", "/artifacts/images/x", "/nothing", "/healthz", "/schemas"])
def test_a_read_lets_go(api: Glare, path: str) -> None:
    """A request without a body, answered or refused."""
    with Conversation(api, "GET", path) as request:
        request.end()
        request.wait()
        let_go(request)
