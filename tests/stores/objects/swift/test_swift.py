"""What is special to Swift, a real one, and the service with it; what it shares with other stores is beside this."""

from __future__ import annotations

import logging
import secrets
import ssl
import threading
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from glare.errors import StoreFailed, Unavailable
from glare.operations.upkeep import sweep
from glare.stores.base import Store
from glare.stores.objects.layout import MIB, SMALL
from glare.stores.objects.options import SwiftOptions
from glare.stores.objects.remote import Broken
from glare.stores.objects.swift import survey
from support.conversation import eventually
from support.origins.http_relay import HttpRelay, Spoiled, flipped
from support.programs.keystone import Keystone
from support.programs.swift import CONTAINER, READER, SECRET, Swift, in_swift, running_swift
from support.service import Glare, Json, running
from support.spoiled_stores import Times, completes, makes_object, reads, sends_part
from support.stores import NAME, bucket_of, driver_of, got, keys_in, put, store_in

LARGE = SMALL + 4 * MIB


@pytest.fixture
def container(swift: Swift) -> SwiftOptions:
    """Options for a part of the server's container that is the test's own, and empty."""
    return in_swift(swift.auth_url, prefix=f"test-{uuid.uuid4().hex[:12]}/")


@pytest.fixture
def relay(swift: Swift) -> Iterator[HttpRelay]:
    with HttpRelay(swift.port) as relay:
        yield relay


@pytest.fixture
def behind(container: SwiftOptions, relay: HttpRelay) -> SwiftOptions:
    """The same container through a relay, which spoils nothing yet: Swift names the address that it was asked at."""
    return replace(container, endpoint=f"{relay.endpoint}/auth/v1.0")


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


def test_an_upload_that_is_cancelled_leaves_nothing(container: SwiftOptions) -> None:
    """Neither parts nor the note of its writer, and nobody could see any of it."""
    store = store_in(container)
    with store.create(NAME) as writer:
        for _ in range(20):
            writer.write(secrets.token_bytes(MIB))
        assert list(store.entries()) == []
        writer.cancel()
    assert keys_in(container) == []


def test_a_manifest_whose_answers_are_all_lost_is_there(behind: SwiftOptions, relay: HttpRelay) -> None:
    """What Swift has of it is looked at, and is whole."""
    store = store_in(behind)
    relay.spoil = Times(completes, Spoiled(status=500, lost=True))
    data = secrets.token_bytes(LARGE)
    put(store, NAME, data)
    assert got(store, NAME) == data


def test_a_manifest_that_changes_on_its_way_is_refused_by_swift(behind: SwiftOptions, relay: HttpRelay) -> None:
    """A bit that flips there makes it another list of parts, and nothing is stored."""
    store = store_in(behind)
    relay.spoil = Times(completes, Spoiled(before=flipped(50)))
    with pytest.raises((StoreFailed, Unavailable)):
        put(store, NAME, secrets.token_bytes(LARGE))
    assert keys_in(behind) == []


def test_authorities_of_a_login_are_those_that_are_named(container: SwiftOptions, swift: Swift, tmp_path: Path) -> None:
    """Where its own authority is named, Glare logs in over TLS, and nowhere else."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    named = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(named))
    times = replace(container.times, retries=0)
    with HttpRelay(swift.port, tls=context) as front:
        options = replace(container, endpoint=f"{front.endpoint}/auth/v1.0", times=times)
        with pytest.raises(Unavailable, match="certificate is not trusted"):
            store_in(options)
        assert front.requests == []
        with pytest.raises(Unavailable, match="no answer"):  # Swift names its account without TLS.
            store_in(replace(options, ca_file=named))
        assert [request.path for request in front.requests] == ["/auth/v1.0"]
    with pytest.raises(Unavailable, match="ca_file"):
        store_in(replace(options, ca_file=tmp_path / "none.pem"))


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
    for muted in (store, Store(driver_of(hasty), remote=True)):
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
        list(bucket_of(options).listed(options.prefix.rstrip("/")))
    with pytest.raises(Broken, match="too long"):
        bucket_of(options).read(f"{options.prefix}glare-store")


def test_who_may_not_write_is_told(container: SwiftOptions) -> None:
    """A user of the account without the right to write reads, and is refused the rest by name."""
    put(store_in(container), NAME, b"bytes")
    reader = Store(driver_of(replace(container, username=READER)))
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
    assert list(bucket_of(container).listed(container.prefix.rstrip("/"))) == []


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
            in_swift(
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
