"""Links with the programs that they are for, unchanged and given nothing but the URL; and what the service writes down
meanwhile.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from glare.digest import BLOCK
from support.origins.origin import Origin
from support.programs.programs import find_program
from support.server import Server
from support.service import LOCATION, Json, path_of

pytestmark = pytest.mark.sqlite

DATA = random.Random(11).randbytes(3 * BLOCK + 5)
SINCE = {"OpenStack-API-Version": "artifact 1.2"}
ENVIRONMENT = {**{name: value for name, value in os.environ.items() if "proxy" not in name.lower()}, "LC_ALL": "C"}


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin(host="127.0.0.2") as found:  # By the host aria2 tells servers apart.
        found.put("/file", DATA)
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Server]:
    text = f"allowed_ports = {origin.port}\n[DEFAULT]\ndebug = true\n"
    with Server(tmp_path_factory.mktemp("programs"), text, options=("--no-worker",)) as process:
        yield process


def link_to(server: Server, artifact: Json, blob: str = "image", **members: Any) -> Json:
    answer = server.alice.request("POST", "/links", json={"artifact": artifact["id"], "blob": blob, **members})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def stored(server: Server, name: str, data: bytes = DATA) -> Json:
    """An active image with these bytes in a store."""
    made = server.alice.create("images", name=name, container_format="bare", disk_format="raw")
    server.alice.upload(made, "image", data)
    return server.alice.activate(made)


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """A link to an image."""
    return str(link_to(server, stored(server, "disk"))["url"])


def run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_program(program), *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_curl_downloads_resumes_and_looks(url: str, tmp_path: Path) -> None:
    """Under the name that the answer has, which is not the address; from where it stopped; and by HEAD."""
    done = run(tmp_path, "curl", "--silent", "--fail", "--remote-name", "--remote-header-name", url)
    assert done.returncode == 0, done.stderr
    [file] = tmp_path.iterdir()
    assert file.name == "disk-0.0.0-image.raw"
    assert file.read_bytes() == DATA
    file.write_bytes(DATA[:BLOCK])
    done = run(tmp_path, "curl", "--silent", "--fail", "--continue-at", "-", "--output", file.name, url)
    assert (done.returncode, file.read_bytes() == DATA) == (0, True), done.stderr
    seen = run(tmp_path, "curl", "--silent", "--fail", "--head", url).stdout.lower()
    assert f"content-length: {len(DATA)}" in seen
    assert "accept-ranges: bytes" in seen


def test_wget_downloads_and_resumes(url: str, tmp_path: Path) -> None:
    """What is there already is not fetched again."""
    done = run(tmp_path, "wget", "--no-config", "--output-document=disk", url)
    assert (done.returncode, (tmp_path / "disk").read_bytes() == DATA) == (0, True), done.stderr
    (tmp_path / "image").write_bytes(DATA[:-7])
    done = run(tmp_path, "wget", "--no-config", "--continue", url)
    assert (done.returncode, (tmp_path / "image").read_bytes() == DATA) == (0, True), done.stderr
    assert "206 Partial Content" in done.stderr


def test_aria2_downloads_in_parts(url: str, tmp_path: Path) -> None:
    """By several ranges at once."""
    options = ("--no-conf", "--no-netrc", "--all-proxy=", "--split=3", "--min-split-size=1M", "--out=disk")
    done = run(tmp_path, "aria2c", *options, url)
    assert (done.returncode, (tmp_path / "disk").read_bytes() == DATA) == (0, True), done.stdout


def test_aria2_reads_a_folder_as_metalink(server: Server, origin: Origin, tmp_path: Path) -> None:
    """With nobody logged in it fetches from the origin and, by the same link, from the store, and checks each piece:
    where the origin serves other bytes, what is called downloaded is right all the same.
    """
    made = server.alice.create("images", name="mirrored", container_format="bare", disk_format="raw")
    server.alice.try_upload(made, "locations/here", DATA, headers=SINCE)
    body = json.dumps({"url": origin.url("/file")}).encode()
    located = server.alice.request(
        "PUT", f"{path_of(made)}/locations/there", content=body, headers={"Content-Type": LOCATION, **SINCE}
    )
    assert located.status_code == 200, located.text
    link = link_to(server, server.alice.activate(made), "locations")
    options = ("--no-conf", "--no-netrc", "--all-proxy=", "--follow-metalink=mem", "--split=2", "--min-split-size=1M")
    more = ("--check-integrity=true", "--metalink-preferred-protocol=none", "--max-tries=2", "--retry-wait=0")
    for name, served in (("honest", DATA), ("changed", bytes(len(DATA)))):
        origin.put("/file", served)
        done = run(tmp_path, "aria2c", *options, *more, f"--dir={name}", link["url"])
        file = tmp_path / name / "mirrored-0.0.0.raw"
        assert (done.returncode, file.read_bytes() == DATA) == (0, True), done.stdout
    origin.put("/file", DATA)
    assert not [seen for seen in origin.seen if "referer" in seen.headers]


def test_qemu_img_reads_an_image_by_its_url(server: Server, tmp_path: Path) -> None:
    """It looks at the size, reads by ranges, and what it makes of the image is the image: a disk in a format of its
    own, whose clusters lie all over the file.
    """
    if " http " not in run(tmp_path, "qemu-img", "--help").stdout:
        find_program("qemu-block-extra")  # Which is no program, and has the driver that is missing.
    raw, disk = tmp_path / "raw", tmp_path / "disk.qcow2"
    raw.write_bytes(DATA[:BLOCK] + bytes(5 * BLOCK) + DATA[BLOCK : 3 * BLOCK])
    made = run(tmp_path, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(disk))
    assert made.returncode == 0, made.stderr
    link = link_to(server, stored(server, "qemu", disk.read_bytes()))
    seen = run(tmp_path, "qemu-img", "info", "--output=json", link["url"])
    assert seen.returncode == 0, seen.stderr
    found = json.loads(seen.stdout)
    assert (found["format"], found["virtual-size"]) == ("qcow2", raw.stat().st_size)
    done = run(tmp_path, "qemu-img", "convert", "-O", "raw", link["url"], "copy")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy").read_bytes() == raw.read_bytes()
    same = run(tmp_path, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", link["url"], str(raw))
    assert same.returncode == 0, same.stderr


BROKEN = (
    b"GET %s HTTP/1.1\r\nHost: a\r\nBad header\r\n\r\n",
    b"%s\r\n\r\n",
    b"GET http://[%s HTTP/1.1\r\nHost: a\r\n\r\n",
)
"""Requests for an address that are none."""


def speak(server: Server, request: bytes) -> bytes:
    """What comes on a connection of its own, until the other end has said all."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(request)
        answer = b""
        while part := line.recv(65536):
            answer += part
    return answer


def test_the_service_writes_no_address_of_a_link_down(server: Server, origin: Origin) -> None:
    """Of readers who succeed, fail, break off and speak no HTTP: neither in its logs at their most talkative, nor in
    metrics, the audit log or the database, nor to an origin that is asked for the bytes.
    """
    external = server.alice.create("images", name="external", container_format="bare", disk_format="raw")
    server.alice.locate(external, "image", origin.url("/file"))
    links = [link_to(server, made) for made in (stored(server, "secrecy"), server.alice.activate(external))]
    secrets = [urlsplit(link["url"]).path.split("/")[2].partition(".")[2] for link in links]
    assert all(len(secret) > 20 for secret in secrets)
    for link in links:
        path = urlsplit(link["url"]).path
        token = path.split("/")[2]
        asked: list[tuple[str, str, dict[str, str]]] = [
            ("GET", path, {}),
            ("HEAD", path, {}),
            ("GET", path, {"Range": "bytes=1-2"}),
            ("GET", path, {"Range": f"bytes={len(DATA)}-"}),
            ("GET", path, {"Referer": link["url"], "X-Openstack-Request-Id": "req-" + token}),
            ("GET", f"{path}?{token}", {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}),
            ("POST", path, {}),
            ("DELETE", f"/links/{token}", {}),
            ("GET", f"/links/{token}x/image", {}),
            ("GET", f"/links//{token}/image", {}),
            ("GET", f"/link/{token}/image", {}),
            ("GET", f"/artifacts/images/{token}", {}),
            ("BREW", path, {}),
        ]
        answers = [server.alice.request(method, place, headers=more) for method, place, more in asked]
        assert {200, 206, 404, 405, 416, 501} <= {answer.status_code for answer in answers}
        server.alice.request("PUT", path, content=b"x" * 100)
        for broken in BROKEN:
            assert not speak(server, broken % path.encode()).startswith(b"HTTP/1.1 2"), broken
        with socket.create_connection(("127.0.0.1", server.port)) as line:  # Leaves before it is answered.
            line.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
    assert server.alice.request("DELETE", f"/links/{links[0]['id']}").status_code == 204
    assert server.client.get(urlsplit(links[0]["url"]).path).status_code == 404
    admin = server.admin.request
    texts = {
        "log": (server.directory / "log").read_bytes(),
        "metrics": server.client.get("/metrics").content,
        "audit": admin("GET", "/audit?limit=100").content,
        "links": admin("GET", "/links?project=wonderland").content,
        "origin": repr([(seen.target, seen.headers) for seen in origin.seen]).encode(),
    }
    for file in server.directory.rglob("*.db*"):
        texts[file.name] = file.read_bytes()
    assert b"links/{token}" in texts["log"]
    assert links[0]["id"].encode() in texts["audit"]
    assert len(texts) >= 6
    for secret in secrets:
        leaks = {name for name, text in texts.items() if secret[:16].encode() in text}
        assert not leaks
