"""Downloads of external blobs through a reverse proxy, and by clients of HTTP/1.0: a broken one never looks like a good
one.
"""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from glare.digest import BLOCK
from support.origins.crooked import Behaviour, Crooked, Visit, honest
from support.programs.nginx import WAYS, in_front_of
from support.programs.programs import find_program
from support.server import PATIENCE, Server
from support.service import ACTORS, Json, path_of

pytestmark = pytest.mark.sqlite

DATA = random.Random(9).randbytes(3 * BLOCK + 5)
"""Three blocks and a part of a fourth."""

DIRECT = "no proxy"

NUMBERS = itertools.count(1)

PARTIAL = {18, 56}
"""What curl ends with when a body is shorter than its length, or the connection was reset in it."""


def changed(at: int) -> bytes:
    """The content with one byte changed."""
    return DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]


def stops(visit: Visit) -> None:
    """Send two blocks and a half of what was declared, and close."""
    first, last = visit.asked(len(DATA)) or (0, len(DATA) - 1)
    ranged = {"Content_Range": f"bytes {first}-{last}/{len(DATA)}"} if visit.headers.get("Range") else {}
    visit.head(206 if ranged else 200, Content_Length=last - first + 1, **ranged)
    visit.send(DATA[first : BLOCK * 5 // 2])


BREAKS: Mapping[str, Behaviour] = {
    "the third block is another": honest(changed(2 * BLOCK + 5)),
    "the last byte is another": honest(changed(len(DATA) - 1)),
    "the origin stops in the third block": stops,
}


@pytest.fixture(scope="module")
def crooked() -> Iterator[Crooked]:
    with Crooked(honest(DATA)) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crooked: Crooked) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("behind")
    with Server(directory, f"allowed_ports = {crooked.port}\n", options=("--no-worker",)) as process:
        yield process


@pytest.fixture(scope="module")
def urls(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Where clients reach the service, by the way that a request takes."""
    with in_front_of(server.port, tmp_path_factory.mktemp("nginx")) as proxied:
        yield {DIRECT: server.url, **proxied}


@pytest.fixture
def image(server: Server, crooked: Crooked) -> Json:
    """An image whose origin was honest when it was recorded."""
    crooked.behave = honest(DATA)
    return server.alice.locate(server.alice.create("images", name=f"{next(NUMBERS)}"), "image", crooked.url)


@dataclass(frozen=True, slots=True)
class Download:
    """How curl ended, the status that it was told, and the bytes that it wrote."""

    code: int
    status: int
    body: bytes


def curl(directory: Path, url: str, image: Json, *options: str) -> Download:
    """What a user of curl gets."""
    target = directory / "body"
    target.unlink(missing_ok=True)
    ended = subprocess.run(
        [
            *(find_program("curl"), "--silent", "--noproxy", "*", "--max-time", str(PATIENCE), "--output", str(target)),
            *("--write-out", "%{http_code}", "--header", f"X-Auth-Token: {ACTORS['alice']}"),
            *(*options, f"{url}{path_of(image)}/image"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return Download(ended.returncode, int(ended.stdout), target.read_bytes() if target.exists() else b"")


@pytest.mark.parametrize("spoken", ["--http1.0", "--http1.1"])
@pytest.mark.parametrize("way", [DIRECT, *WAYS])
def test_a_good_download_is_whole(urls: Mapping[str, str], image: Json, tmp_path: Path, way: str, spoken: str) -> None:
    """Every byte comes through, of the whole and of a range."""
    assert curl(tmp_path, urls[way], image, spoken) == Download(0, 200, DATA)
    asked = curl(tmp_path, urls[way], image, spoken, "--range", f"{BLOCK - 1}-{2 * BLOCK}")
    assert asked == Download(0, 206, DATA[BLOCK - 1 : 2 * BLOCK + 1])


@pytest.mark.parametrize("spoken", ["--http1.0", "--http1.1"])
@pytest.mark.parametrize("way", [DIRECT, *WAYS])
def test_a_download_that_breaks_is_seen_to_be_broken(
    urls: Mapping[str, str], server: Server, crooked: Crooked, tmp_path: Path, way: str, spoken: str
) -> None:
    """The client ends with an error and true bytes only, fewer than announced, whatever is wrong with the origin."""
    for behave in BREAKS.values():
        crooked.behave = honest(DATA)
        image = server.alice.locate(server.alice.create("images", name=f"{next(NUMBERS)}"), "image", crooked.url)
        crooked.behave = behave
        got = curl(tmp_path, urls[way], image, spoken)
        assert got.code in PARTIAL
        assert got.status == 200
        assert len(got.body) < len(DATA)
        assert DATA.startswith(got.body)
        ranged = curl(tmp_path, urls[way], image, spoken, "--range", "10-")
        assert ranged.code in PARTIAL or ranged.status == 502
        assert ranged.status == 502 or DATA[10:].startswith(ranged.body)


@pytest.mark.parametrize("way", [DIRECT, *WAYS])
def test_a_library_raises_for_a_download_that_breaks(
    urls: Mapping[str, str], crooked: Crooked, image: Json, way: str
) -> None:
    """A client that asks for the whole body gets an exception rather than a part of it."""
    crooked.behave = BREAKS["the third block is another"]
    with (
        httpx2.Client(base_url=urls[way], timeout=PATIENCE, trust_env=False) as client,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        client.get(f"{path_of(image)}/image", headers={"X-Auth-Token": ACTORS["alice"]})


@pytest.mark.parametrize("way", [DIRECT, *WAYS])
def test_an_origin_that_is_wrong_from_the_start_is_an_error(
    urls: Mapping[str, str], crooked: Crooked, image: Json, tmp_path: Path, way: str
) -> None:
    """502 comes through as it is, with none of the origin's bytes."""
    crooked.behave = honest(changed(0))
    got = curl(tmp_path, urls[way], image)
    assert (got.code, got.status) == (0, 502)
    assert b"no wrong byte was sent" in got.body
