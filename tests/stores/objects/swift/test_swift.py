"""Stores in Swift, by a real one: the suite of every store, what is special to Swift, and the service with it."""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from environments import TOOLS
from glare.errors import StoreFailed, StoreMistaken, Unavailable
from glare.operations.upkeep import sweep
from glare.stores.base import Store
from glare.stores.conformance import StoreConformance
from glare.stores.contract import ObjectFailed
from glare.stores.objects.layout import MIB, SMALL
from glare.stores.objects.options import SwiftOptions
from glare.stores.objects.remote import Broken, RemoteKeys
from glare.stores.objects.swift import make_driver, survey
from support.conversation import eventually
from support.origins.http_relay import HttpRelay, Request, Spoiled, flipped
from support.programs.command import TESTS, environment
from support.programs.keystone import Keystone
from support.programs.swift import CONTAINER, READER, SECRET, Swift, in_container, running_swift
from support.service import Glare, Json, running
from support.stores import NAME, got, put

LARGE = SMALL + 4 * MIB


@pytest.fixture
def container(swift: Swift) -> SwiftOptions:
    """Options for a part of the server's container that is the test's own, and empty."""
    return in_container(swift.auth_url, prefix=f"test-{uuid.uuid4().hex[:12]}/")


def store_in(options: SwiftOptions, recorded: str | None = None) -> Store:
    """A store over a container, initialised."""
    store = Store(make_driver(options, "swift", lambda: recorded), remote=True)
    store.initialise()
    return store


def keys_of(options: SwiftOptions) -> RemoteKeys:
    """The keys below such a store."""
    return make_driver(options, "swift", lambda: None)._bucket


def keys_in(options: SwiftOptions) -> list[str]:
    """The keys of the store's part of the container, without the prefix and the marker."""
    keys = [found.key.removeprefix(options.prefix) for found in keys_of(options).listed(options.prefix.rstrip("/"))]
    return [key for key in keys if key != "glare-store"]


class TestSwift(StoreConformance):
    serves_files: ClassVar[bool] = False
    knows_free_space: ClassVar[bool] = False
    one_winner: ClassVar[bool] = False

    @pytest.fixture(autouse=True)
    def _container(self, container: SwiftOptions) -> None:
        self.options = container

    def make_store(self, tmp_path: Path) -> Store:
        return store_in(self.options)


@pytest.fixture
def relay(swift: Swift) -> Iterator[HttpRelay]:
    with HttpRelay(swift.port) as relay:
        yield relay


@pytest.fixture
def behind(container: SwiftOptions, relay: HttpRelay) -> SwiftOptions:
    """The same container through a relay, which spoils nothing yet: Swift names the address that it was asked at."""
    return replace(container, endpoint=f"{relay.endpoint}/auth/v1.0")


def makes_object(request: Request) -> bool:
    return request.method == "PUT" and "/objects/" in request.path


def sends_part(request: Request) -> bool:
    return request.method == "PUT" and "/data/" in request.path and "multipart-manifest" not in request.path


def completes(request: Request) -> bool:
    return request.method == "PUT" and "multipart-manifest=put" in request.path


def notes(request: Request) -> bool:
    return request.method == "PUT" and "/unfinished/" in request.path


def reads(request: Request) -> bool:
    return request.method == "GET" and ("/objects/" in request.path or "/data/" in request.path)


class Times:
    """Spoils the requests that match, the first `most` of them."""

    def __init__(self, matches: Any, spoiled: Spoiled, most: int = 1_000_000) -> None:
        self._matches = matches
        self._spoiled = spoiled
        self._left = most
        self.spoiled = 0

    def __call__(self, request: Request) -> Spoiled | None:
        if not self._matches(request) or not self._left:
            return None
        self._left -= 1
        self.spoiled += 1
        return self._spoiled


FAULTS = {"503": Spoiled(status=503), "500 and lost": Spoiled(status=500, lost=True), "cut": Spoiled(cut=0)}
REQUESTS = [(makes_object, 100), (makes_object, LARGE), (sends_part, LARGE), (completes, LARGE), (notes, LARGE)]


def test_a_small_object_costs_one_request_to_write_and_one_to_read(behind: SwiftOptions, relay: HttpRelay) -> None:
    """4 KiB are one PUT and one GET; nothing is asked beside them."""
    store = store_in(behind)
    store.check()
    relay.seen()
    data = secrets.token_bytes(4096)
    put(store, NAME, data)
    assert [line.split()[0] for line in relay.seen()] == ["PUT"]
    assert got(store, NAME) == data
    assert [line.split()[0] for line in relay.seen()] == ["GET"]


def test_every_request_that_writes_says_what_must_arrive(behind: SwiftOptions, relay: HttpRelay) -> None:
    """Objects and parts go with their MD5, which Swift compares, and a manifest with those of its parts."""
    store = store_in(behind)
    relay.requests.clear()
    put(store, NAME, secrets.token_bytes(LARGE))
    put(store, "abcdef01", b"small")
    parts = [request for request in relay.requests if sends_part(request)]
    made = [request for request in relay.requests if makes_object(request)]
    [manifest] = [request for request in relay.requests if completes(request)]
    assert len(parts) == 3
    assert all(request.header("etag") for request in (*parts, *made))
    assert all(str(request.header("etag")).encode() in manifest.body for request in parts)


def test_a_large_object_is_made_of_parts_and_goes_with_them(container: SwiftOptions) -> None:
    """Its parts are keys below its own, ranges go across them, and a deletion leaves nothing."""
    store = store_in(container)
    data = secrets.token_bytes(LARGE)
    put(store, NAME, data)
    keys = keys_in(container)
    assert sorted(len(key.split("/")) for key in keys if key.startswith("data/")) == [4, 5, 5, 5]
    assert got(store, NAME) == data
    assert got(store, NAME, 5 * MIB - 3, 7) == data[5 * MIB - 3 : 5 * MIB + 4]
    assert got(store, NAME, LARGE - 1) == data[-1:]
    assert store.delete(NAME)
    assert keys_in(container) == []


def test_an_object_of_several_manifests_is_one_object(container: SwiftOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than a manifest may be goes on in the next one."""
    monkeypatch.setattr("glare.stores.objects.swift.container.Container.most_parts", 1)
    store = store_in(container)
    data = secrets.token_bytes(2 * SMALL + 5)
    put(store, NAME, data, announced=False)
    assert len([key for key in keys_in(container) if key.startswith("data/") and key.count("/") == 3]) == 3
    assert got(store_in(container), NAME) == data
    assert got(store, NAME, SMALL - 5, 10) == data[SMALL - 5 : SMALL + 5]
    assert store.delete(NAME)
    assert keys_in(container) == []


def test_an_upload_that_is_cancelled_leaves_nothing(container: SwiftOptions) -> None:
    """Neither parts nor the note of its writer, and nobody could see any of it."""
    store = store_in(container)
    with store.create(NAME) as writer:
        for _ in range(20):
            writer.write(secrets.token_bytes(MIB))
        assert list(store.entries()) == []
        writer.cancel()
    assert keys_in(container) == []


def test_what_a_dead_writer_left_is_swept(container: SwiftOptions) -> None:
    """Parts without a manifest, and the note of their writer, go once they are old enough; others stay."""
    store = store_in(container)
    kept = secrets.token_bytes(LARGE)
    put(store, "abcdef01", kept)
    before = keys_in(container)
    for name in (NAME, "abcdef01"):
        writer = make_driver(container, "swift", lambda: None).create(name, None)
        for _ in range(20):
            writer.write(secrets.token_bytes(MIB))
        assert writer._writing is not None
        writer._writing._pool.shutdown()  # type: ignore[attr-defined]  # it is Swift's
    assert len(keys_in(container)) > len(before)
    assert store.sweep_temporaries(3600) == 0
    assert store.sweep_temporaries(0) == 2
    assert keys_in(container) == before
    assert got(store, "abcdef01") == kept


@pytest.mark.parametrize(
    ("matches", "size", "fault"),
    [pytest.param(matches, size, name, id=f"{matches.__name__}-{size}-{name}") for matches, size in REQUESTS
     for name in FAULTS],
)  # fmt: skip
def test_a_request_that_fails_for_a_while_is_repeated(
    behind: SwiftOptions, relay: HttpRelay, fault: str, matches: Any, size: int
) -> None:
    """One 503, one answer that is lost, one connection that breaks before the answer: the object is stored once, whole,
    and nothing is left beside it.
    """
    store = store_in(behind)
    data = secrets.token_bytes(size)
    once = relay.spoil = Times(matches, FAULTS[fault], 1)
    put(store, NAME, data)
    assert once.spoiled == 1
    assert got(store, NAME) == data
    assert [(entry.name, entry.size) for entry in store.entries()] == [(NAME, size)]
    assert len(keys_in(behind)) == (1 if size == 100 else 5)


@pytest.mark.parametrize(("matches", "size"), REQUESTS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_store_that_goes_on_failing_is_said_and_leaves_nothing(
    behind: SwiftOptions, relay: HttpRelay, matches: Any, size: int
) -> None:
    """After the last try the upload fails as the store's fault; no key of it is left."""
    store = store_in(behind)
    fault = relay.spoil = Times(matches, Spoiled(status=503))
    with pytest.raises(Unavailable, match="503"):
        put(store, NAME, secrets.token_bytes(size))
    assert fault.spoiled >= 1 + behind.times.retries
    assert keys_in(behind) == []


@pytest.mark.parametrize(("matches", "size"), REQUESTS[:3], ids=lambda one: getattr(one, "__name__", str(one)))
def test_an_object_whose_last_answers_are_all_lost_is_not_there(
    behind: SwiftOptions, relay: HttpRelay, matches: Any, size: int
) -> None:
    """Where nobody knows whether it was made, it is taken back before the error arrives."""
    store = store_in(behind)
    relay.spoil = Times(matches, Spoiled(status=500, lost=True))
    with pytest.raises(Unavailable):
        put(store, NAME, secrets.token_bytes(size))
    assert keys_in(behind) == []


def test_a_manifest_whose_answers_are_all_lost_is_there(behind: SwiftOptions, relay: HttpRelay) -> None:
    """What Swift has of it is looked at, and is whole."""
    store = store_in(behind)
    relay.spoil = Times(completes, Spoiled(status=500, lost=True))
    data = secrets.token_bytes(LARGE)
    put(store, NAME, data)
    assert got(store, NAME) == data


@pytest.mark.parametrize(("matches", "size"), REQUESTS[:4], ids=lambda one: getattr(one, "__name__", str(one)))
def test_bytes_that_change_on_their_way_are_refused_by_swift(
    behind: SwiftOptions, relay: HttpRelay, matches: Any, size: int
) -> None:
    """A bit that flips on the way meets the checksum there: nothing is stored."""
    store = store_in(behind)
    relay.spoil = Times(matches, Spoiled(before=flipped(50)))
    with pytest.raises((StoreFailed, Unavailable)):
        put(store, NAME, secrets.token_bytes(size))
    assert keys_in(behind) == []


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_download_goes_on_where_it_broke_off(behind: SwiftOptions, relay: HttpRelay, size: int) -> None:
    """Connections that break in the middle cost requests and no byte."""
    store = store_in(behind)
    data = secrets.token_bytes(size)
    put(store, NAME, data)
    fault = relay.spoil = Times(reads, Spoiled(cut=2 * MIB + 17))
    assert got(store, NAME) == data
    assert fault.spoiled >= size // (2 * MIB + 17)


def test_a_download_that_brings_nothing_more_is_given_up(behind: SwiftOptions, relay: HttpRelay) -> None:
    """A store that breaks off at the same byte again and again does not deliver its object, which is what is said."""
    store = store_in(behind)
    put(store, NAME, secrets.token_bytes(SMALL))
    fault = relay.spoil = Times(reads, Spoiled(cut=0))
    with pytest.raises((ObjectFailed, Unavailable)):
        got(store, NAME)
    assert fault.spoiled < 40


def test_a_token_that_has_ended_is_exchanged(behind: SwiftOptions, relay: HttpRelay, swift: Swift) -> None:
    """In the middle of an upload too: whoever uses the store notices nothing."""
    store = store_in(behind)
    data = secrets.token_bytes(LARGE)
    relay.seen()
    with store.create(NAME, LARGE) as writer:
        writer.write(data[: 10 * MIB])
        swift.forget_tokens()
        writer.write(data[10 * MIB :])
        writer.commit()
    assert got(store, NAME) == data
    assert 1 <= len([line for line in relay.seen() if "/auth/" in line]) <= 3


def test_a_silent_swift_is_waited_for_only_so_long(container: SwiftOptions, relay: HttpRelay) -> None:
    """One that takes requests and answers none is out of reach after the time-outs, the login too."""
    put(store_in(container), NAME, b"bytes")
    times = replace(container.times, request=0.5, stall=0.5, retries=1)
    hasty = replace(container, endpoint=f"{relay.endpoint}/auth/v1.0", times=times)
    store = store_in(hasty)
    for muted in (store, Store(make_driver(hasty, "swift", lambda: None), remote=True)):
        relay.spoil = Times(lambda _: True, Spoiled(delay=30))
        for call in (lambda s=muted: put(s, "abcdef01", b"x"), lambda s=muted: got(s, NAME), muted.check):
            with pytest.raises(Unavailable, match="out of reach"):
                call()
        relay.spoil = lambda _: None


def test_a_login_that_fails_is_shared(behind: SwiftOptions, relay: HttpRelay, swift: Swift) -> None:
    """Where tokens have ended and nobody lets anybody in, eight users of the store learn it from one login, or from
    two; then they log in again.
    """
    store = store_in(replace(behind, times=replace(behind.times, request=1.0, retries=1)))
    swift.forget_tokens()
    relay.spoil = Times(lambda request: "/auth/" in request.path, Spoiled(delay=30))
    relay.seen()
    ready, failures = threading.Barrier(8), []

    def use(number: int) -> None:
        ready.wait(30)
        with pytest.raises(Unavailable) as caught:
            put(store, f"abcdef{number:02d}", b"x")
        failures.append(str(caught.value))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 8
    assert 1 <= len([line for line in relay.seen() if "/auth/" in line]) <= 2
    relay.spoil = lambda _: None
    eventually(lambda: puts(store))


def puts(store: Store) -> bool:
    """Whether the store takes an object."""
    try:
        put(store, uuid.uuid4().hex, b"x")
    except Unavailable:
        return False
    return True


def test_a_token_that_is_good_yet_outlives_a_silent_login(
    behind: SwiftOptions, relay: HttpRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one is wanted before it ends; where there is none to be had, the old one goes on."""
    store = store_in(replace(behind, times=replace(behind.times, request=0.5)))
    monkeypatch.setattr("glare.stores.objects.swift.account._SPARE_SECONDS", 1e9)
    relay.spoil = Times(lambda request: "/auth/" in request.path, Spoiled(delay=30))
    put(store, NAME, b"bytes")
    assert got(store, NAME) == b"bytes"


def test_what_comes_in_drops_is_not_waited_for(behind: SwiftOptions, relay: HttpRelay) -> None:
    """Each byte comes before the time-out of a silence; an answer of a bounded size as a whole does not."""
    options = replace(behind, times=replace(behind.times, request=1.0, retries=0))
    put(store_in(options), NAME, b"bytes")
    relay.spoil = Times(lambda request: request.method == "GET" and "/auth/" not in request.path, Spoiled(drip=0.3))
    with pytest.raises(Unavailable, match="whole"):
        list(keys_of(options).listed(options.prefix.rstrip("/")))
    with pytest.raises(Broken, match="too long"):
        keys_of(options).read(f"{options.prefix}glare-store")


def replaces(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """As a store answers that takes no notice of If-None-Match."""
    if b" 412 " not in head.partition(b"\r\n")[0]:
        return head, body
    return b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", b""


def shifts_ranges(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """As a store answers that has other bytes there."""
    return flipped(0)(head, body) if b" 206 " in head.partition(b"\r\n")[0] else (head, body)


@pytest.mark.parametrize(("lie", "why"), [(replaces, "If-None-Match"), (shifts_ranges, "another range")])
def test_a_store_without_what_is_needed_is_refused(behind: SwiftOptions, relay: HttpRelay, lie: Any, why: str) -> None:
    """Before a byte is kept there, with what it does wrong."""
    relay.spoil = Times(lambda _: True, Spoiled(after=lie))
    with pytest.raises(Unavailable, match=why):
        store_in(behind)


def test_a_container_that_is_not_there_loses_no_object(container: SwiftOptions) -> None:
    """Where the container is missing, nothing counts as missing or as deleted, and nothing is made."""
    store = store_in(container)
    put(store, NAME, b"bytes")
    driver: Any = store._driver
    driver._bucket = keys_of(replace(container, container="glare-tests-other"))
    for call in (
        lambda: store.delete(NAME),
        lambda: store.size(NAME),
        lambda: got(store, NAME),
        lambda: put(store, "abcdef01", b"x"),
        lambda: put(store, "abcdef01", bytes(SMALL + 1)),
        store.check,
        lambda: list(store.entries()),
    ):
        with pytest.raises(Unavailable):
            call()


def test_another_stores_container_is_refused(container: SwiftOptions) -> None:
    """The identity that the database knows is the one of the container."""
    store = store_in(container)
    assert store_in(container, recorded=store.identity()).identity() == store.identity()
    other = Store(make_driver(container, "swift", lambda: "another"))
    with pytest.raises(StoreMistaken):
        put(other, NAME, b"x")


def test_who_may_not_write_is_told(container: SwiftOptions) -> None:
    """A user of the account without the right to write reads, and is refused the rest by name."""
    put(store_in(container), NAME, b"bytes")
    reader = Store(make_driver(replace(container, username=READER), "swift", lambda: None))
    assert got(reader, NAME) == b"bytes"
    for call in (
        lambda: put(reader, "abcdef01", b"x"),
        lambda: put(reader, "abcdef01", bytes(SMALL + 1)),
        lambda: reader.delete(NAME),
    ):
        with pytest.raises(StoreFailed, match="denies"):
            call()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"password": "wrong-secret"}, "credentials"),
        ({"username": "glare:nobody"}, "credentials"),
        ({"container": "glare-tests-other"}, "not at its place"),
        ({"endpoint": "http://127.0.0.1:1/auth/v1.0"}, "out of reach"),
        ({"endpoint": "https://127.0.0.1:1/auth/v1.0"}, "out of reach"),
        ({"endpoint": "http://no-such-host.invalid/auth/v1.0"}, "out of reach"),
    ],
    ids=["password", "user", "container", "port", "TLS", "host"],
)
def test_no_secret_is_told(
    container: SwiftOptions, changes: dict[str, Any], match: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with the place or the credentials, neither errors nor log nor text of options hold them."""
    caplog.set_level(logging.DEBUG)
    times = replace(container.times, retries=0, connect=1.0)
    options = replace(container, **{"times": times, **changes})
    with pytest.raises((Unavailable, StoreFailed), match=match) as caught:
        store_in(options)
    told = f"{caught.value!r} {''.join(traceback.format_exception(caught.value))} {caplog.text} {options!r}"
    for secret in (SECRET, "wrong-secret", "AUTH_tk"):
        assert secret not in told


def configured(options: SwiftOptions, **more: str) -> str:
    """The service's configuration with the store for new blobs."""
    lines = {
        "container": options.container,
        "prefix": options.prefix,
        "auth_url": options.endpoint or "",
        "auth_version": str(options.auth_version),
        "username": options.username or "",
        "password": options.password or "",
        **more,
    }
    own = "".join(f"{name} = {value}\n" for name, value in lines.items())
    return f"[glance_store]\ndefault_store = swift\n[swift]\n{own}"


def uploaded(glare: Glare, data: bytes) -> Json:
    image = glare.alice.create("images", name="i", container_format="bare", disk_format="raw")
    return glare.alice.upload(image, "image", data)


def test_blobs_live_in_a_container_of_swift(tmp_path: Path, container: SwiftOptions) -> None:
    """They are downloaded as they were uploaded, whole and in parts, and gone with their artifacts."""
    with running(tmp_path, configured(container)) as glare:
        for data in (b"", secrets.token_bytes(100_000), secrets.token_bytes(LARGE)):
            image = uploaded(glare, data)
            assert glare.alice.download(image, "image").content == data
            if data:
                part = glare.alice.download(image, "image", Range=f"bytes=3-{len(data) - 9}")
                assert (part.status_code, part.content) == (206, data[3 : len(data) - 8])
            assert len([key for key in keys_in(container) if key.startswith("objects/")]) == 1
            assert glare.alice.delete(image).status_code == 204
        sweep.sweep(glare.services)
        assert keys_in(container) == []
        assert glare.leftovers() == {}


@pytest.mark.parametrize(("size", "at"), [(1000, 10), (3 * MIB, 10), (LARGE, 10), (LARGE, MIB - 1)])
def test_wrong_bytes_of_swift_are_never_a_whole_answer(
    tmp_path: Path, behind: SwiftOptions, relay: HttpRelay, size: int, at: int
) -> None:
    """The answer is right, or an error, or breaks off before the first wrong block."""
    data = secrets.token_bytes(size)
    with running(tmp_path, configured(behind)) as glare:
        image = uploaded(glare, data)
        relay.spoil = lambda request: Spoiled(after=flipped(at)) if reads(request) else None
        answer = glare.alice.download(image, "image")
        relay.spoil = lambda _: None
    if answer.status_code == 200:
        assert data.startswith(answer.content)
    else:
        assert answer.status_code == 500


def test_a_check_of_the_configuration_asks_the_container(container: SwiftOptions) -> None:
    """Whether it is there, and takes the credentials; nothing is made there."""
    assert survey(container, "swift").problems == []
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"container": "glare-tests-other"}, "is not at its place"),
        ({"password": "wrong-secret"}, "refuses the service's credentials"),
    ]
    for changes, told in wrong:
        [problem] = survey(replace(container, **changes), "swift").problems
        assert told in problem
    assert list(keys_of(container).listed(container.prefix.rstrip("/"))) == []


def test_an_upload_to_swift_takes_less_than_32_mb(container: SwiftOptions) -> None:
    """Whatever its size, in a process that has written a small object before: parts are all that is in memory."""
    ended = subprocess.run(
        [sys.executable, "-c", UPLOADING, container.endpoint or "", container.prefix],
        env=environment() | {"PYTHONPATH": os.pathsep.join(map(str, (TESTS, TOOLS)))},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert 8 * MIB < int(ended.stdout) < 32_000_000


UPLOADING = """
import sys
from glare.stores.base import Store
from glare.stores.objects.swift import make_driver
from support.programs.swift import in_container

def memory(of):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(of))

store = Store(make_driver(in_container(sys.argv[1], prefix=sys.argv[2]), "swift", lambda: None), remote=True)
store.initialise()
piece = bytes(range(256)) * 4096
for name, pieces in (("abcdef01", 1), ("abcdef02", 120)):
    open("/proc/self/clear_refs", "w").write("5")
    before = memory("VmRSS")
    with store.create(name) as writer:
        for _ in range(pieces):
            writer.write(piece)
        writer.commit()
print(memory("VmHWM") - before)
"""
"""Prints how many bytes of memory the upload of 120 MiB has taken at most."""


@pytest.fixture(scope="module")
def in_cloud(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SwiftOptions, Keystone]]:
    """A Swift that asks Keystone, a project in it with a container, and a member of the project."""
    project = keystone.project("with-blobs")
    member = keystone.member(project, "member")
    folder = tmp_path_factory.mktemp("swift-in-cloud")
    with running_swift(folder, keystone.authtoken()) as server:
        keystone.offer(f"{server.endpoint}/v1/AUTH_%(project_id)s", "object-store", "swift")
        server.make_container_with(keystone.token_of(member, project), f"AUTH_{project}", CONTAINER)
        yield (
            in_container(
                keystone.url,
                auth_version=3,
                username=member.name,
                password=member.password,
                project_name="with-blobs",
            ),
            keystone,
        )


def test_keystone_lets_the_service_into_swift(in_cloud: tuple[SwiftOptions, Keystone]) -> None:
    """With a user's password and with an application credential: the container is found by Keystone's catalogue."""
    options, keystone = in_cloud
    store = store_in(replace(options, prefix="by-password/"))
    data = secrets.token_bytes(LARGE)
    put(store, NAME, data)
    assert got(store, NAME) == data
    with pytest.raises(Unavailable, match="credentials"):
        store_in(replace(options, password="wrong-secret"))
    with pytest.raises(Unavailable, match="'internal' in region 'elsewhere'"):
        store_in(replace(options, region="elsewhere", interface="internal"))
    project = keystone.project("with-more-blobs")
    member = keystone.member(project, "member")
    credential, secret = keystone.application_credential(member, project)
    login = replace(
        options, username=None, password=None, application_credential_id=credential,
        application_credential_secret=secret,
    )  # fmt: skip
    with pytest.raises(Unavailable, match="not at its place"):
        store_in(login)
