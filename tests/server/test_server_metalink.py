"""A download manager, unchanged, that uses every mirror and checks the bytes itself: aria2, as
docs/how-to/keep-replicas.md has it.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from glare.digest import BLOCK
from support.origins.origin import Origin
from support.programs.programs import find_program
from support.server import Server
from support.service import LOCATION, Json, path_of

pytestmark = pytest.mark.sqlite

DATA = random.Random(61).randbytes(5 * BLOCK + 9)
CHANGED = DATA[: 3 * BLOCK] + bytes(255 - byte for byte in DATA[3 * BLOCK : 4 * BLOCK]) + DATA[4 * BLOCK :]


@pytest.fixture(scope="module")
def origins() -> Iterator[list[Origin]]:
    with ExitStack() as stack:
        # By the host aria2 tells servers apart.
        yield [stack.enter_context(Origin(host=f"127.0.0.{number}")) for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, origins: list[Origin]) -> Iterator[Server]:
    ports = ", ".join(str(origin.port) for origin in origins)
    text = f"allowed_ports = {ports}\n[DEFAULT]\nallow_anonymous_access = true\n"
    with Server(tmp_path_factory.mktemp("metalink"), text, options=("--no-worker",)) as process:
        yield process


@pytest.fixture(scope="module")
def image(server: Server, origins: list[Origin]) -> Json:
    """A public image with a replica at each of two origins."""
    return mirrored(server, origins[:2], "1.0.0")


def mirrored(server: Server, origins: list[Origin], version: str) -> Json:
    """A public image with a replica at each origin."""
    found = server.alice.create("images", name="mirrored", version=version, container_format="bare", disk_format="raw")
    for number, origin in enumerate(origins):
        origin.put("/file", DATA)
        body = json.dumps({"url": origin.url("/file")}).encode()
        headers = {"Content-Type": LOCATION, "OpenStack-API-Version": "artifact 1.2"}
        path = f"{path_of(found)}/locations/{number}"
        assert server.alice.request("PUT", path, content=body, headers=headers).status_code == 200
    server.alice.activate(found)
    return server.admin.publish(found)


@pytest.fixture(autouse=True)
def well(origins: list[Origin], image: Json) -> None:
    """Each test begins with honest origins."""
    for origin in origins[:2]:
        origin.put("/file", DATA)


def aria2(server: Server, image: Json, folder: Path) -> tuple[int, bytes | None, str]:
    """How it ends, the file, and what it said, given nothing but the URL of the folder."""
    ended = subprocess.run(
        [
            *(
                find_program("aria2c"),
                "--no-conf",
                "--no-netrc",
                "--dir",
                str(folder),
                "--follow-metalink=mem",
                "--split=2",
            ),
            *("--max-tries=2", "--retry-wait=0", "--min-split-size=1M", "--allow-overwrite=true", "--all-proxy="),
            *("--check-integrity=true", "--metalink-preferred-protocol=none", "--connect-timeout=5", "--timeout=10"),
            f"{server.url}{path_of(image)}/locations",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    file = folder / f"mirrored-{image['version']}.raw"
    return ended.returncode, file.read_bytes() if file.exists() else None, ended.stdout


def test_it_downloads_with_both_origins(server: Server, image: Json, tmp_path: Path, origins: list[Origin]) -> None:
    """The URL of the folder is enough: the bytes come from the origins."""
    before = [origin.count("/file") for origin in origins]
    code, data, said = aria2(server, image, tmp_path)
    assert (code, data == DATA) == (0, True), said
    assert sum(origin.count("/file") for origin in origins) > sum(before)


def test_it_goes_on_while_one_origin_is_dead(server: Server, tmp_path: Path, origins: list[Origin]) -> None:
    """With nobody listening any more where one origin was, the file is whole all the same."""
    image = mirrored(server, [origins[2], origins[1]], "2.0.0")
    origins[2].__exit__(None, None, None)
    code, data, said = aria2(server, image, tmp_path)
    assert (code, data == DATA) == (0, True), said


def test_it_goes_on_where_one_origin_has_lost_the_file(
    server: Server, image: Json, tmp_path: Path, origins: list[Origin]
) -> None:
    """With the file gone from the first origin it is whole all the same."""
    origins[0].remove("/file")
    code, data, said = aria2(server, image, tmp_path)
    assert (code, data == DATA) == (0, True), said


@pytest.mark.parametrize("bad", [0, 1])
def test_it_detects_a_changed_origin_by_its_pieces(
    server: Server, image: Json, tmp_path: Path, origins: list[Origin], bad: int
) -> None:
    """One origin serves other bytes of the same length: what aria2 calls downloaded is right, whichever it asked
    first.
    """
    origins[bad].put("/file", CHANGED)
    code, data, said = aria2(server, image, tmp_path)
    assert (code, data == DATA) == (0, True), said


def test_it_ends_with_an_error_where_all_have_changed(
    server: Server, image: Json, tmp_path: Path, origins: list[Origin]
) -> None:
    """No wrong file is called downloaded."""
    for origin in origins[:2]:
        origin.put("/file", CHANGED)
    code, _, said = aria2(server, image, tmp_path)
    assert code != 0, said


def test_the_url_alone_is_refused_where_nobody_is_anonymous(
    tmp_path: Path, server: Server, image: Json, origins: list[Origin]
) -> None:
    """With the defaults aria2 gets 401 for the URL of the folder. The document that curl fetches with a token does,
    and no mirror sees the token.
    """
    ports = ", ".join(str(origin.port) for origin in origins)
    with Server(tmp_path, f"allowed_ports = {ports}\n", options=("--no-worker",)) as closed:
        found = mirrored(closed, origins[:2], "1.0.0")
        code, data, said = aria2(closed, found, tmp_path / "url")
        assert (code != 0, data) == (True, None), said
        headers = {"Accept": "application/metalink4+xml"}
        answer = closed.alice.request("GET", f"{path_of(found)}/locations", headers=headers)
        document = tmp_path / "mirrored.meta4"
        document.write_bytes(answer.content)
        program = [find_program("aria2c"), "--no-conf", "--no-netrc", "--quiet", "--all-proxy="]
        subprocess.run([*program, "--dir", str(tmp_path), str(document)], check=True, timeout=60)
        assert (tmp_path / "mirrored-1.0.0.raw").read_bytes() == DATA
    assert not [seen for origin in origins for seen in origin.seen if "x-auth-token" in seen.headers]
