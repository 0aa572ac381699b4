"""Requests that meet at the same moment in two `glare-server serve` processes on one database and one store."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx2
import pytest

from support.conversation import eventually
from support.origins.origin import Origin
from support.runs.truth import disagreements
from support.server import PATIENCE, Server
from support.service import ACTORS, ActorClient, Json

ROUNDS = 5
RACERS = 6
SETTINGS = "allowed_ports = 80, 443, {port}\nhost_concurrency = 32\nproject_requests = -1\n"
NUMBERS = itertools.count()
CONTENT = b"".join(number.to_bytes(4, "big") for number in range(400_000))
Request = Callable[[], httpx2.Response]


class Pair:
    """Two server processes, and clients with connections of their own that are open already, to one and the other in
    turn.
    """

    def __init__(self, servers: Sequence[Server], clients: Sequence[httpx2.Client], origin: Origin) -> None:
        self.first, self.second = servers
        self.origin = origin
        self._clients = clients

    def racer(self, number: int, actor: str = "alice") -> ActorClient:
        """Somebody on the connection of this number."""
        return ActorClient(self._clients[number], ACTORS.get(actor, actor))

    def race(self, *requests: Request) -> list[httpx2.Response]:
        """Send them at the same moment; the answers in their order."""
        answers: list[httpx2.Response | None] = [None] * len(requests)
        barrier = threading.Barrier(len(requests))

        def run(number: int, request: Request) -> None:
            barrier.wait(PATIENCE)
            answers[number] = request()

        threads = [threading.Thread(target=run, args=pair) for pair in enumerate(requests)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [answer for answer in answers if answer is not None]
        assert len(found) == len(requests), "a request was not answered"
        assert all(answer.status_code < 500 for answer in found), [answer.text for answer in found]
        return found

    def show_alike(self, artifact: Json) -> Json:
        """The artifact, of which both processes say the same."""
        document = self.first.admin.show(artifact)
        assert self.second.admin.show(artifact) == document
        return document


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """In the end rows, counters, bytes and files must agree with one another."""
    directory = tmp_path_factory.mktemp("races")
    with ExitStack() as stack:
        origin = stack.enter_context(Origin())
        origin.put("/content", CONTENT)
        text = SETTINGS.format(port=origin.port)
        servers = [stack.enter_context(Server(directory, text)) for _ in range(2)]
        clients = [
            stack.enter_context(httpx2.Client(base_url=servers[number % 2].url, timeout=60, trust_env=False))
            for number in range(RACERS)
        ]
        for client in clients:
            assert client.get("/healthz").status_code == 200
        yield Pair(servers, clients, origin)
        eventually(lambda: servers[0].leftovers() == {})
        store = servers[0].settings.glance_store.filesystem_store_datadir
        assert disagreements(servers[0].services, store) == []
        assert "unexpected error" not in servers[0].log


def statuses(answers: Sequence[httpx2.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def new_name() -> str:
    return f"name {next(NUMBERS)}"


def image(actor: ActorClient, name: str | None = None, **fields: Any) -> Json:
    return actor.create("images", name=name or new_name(), container_format="bare", disk_format="raw", **fields)


def sample(actor: ActorClient) -> Json:
    return actor.create("sample_artifact", name=new_name(), string_required="x")


def in_pieces(data: bytes) -> Iterator[bytes]:
    """A body of no declared length."""
    half = len(data) // 2
    yield from (data[:half], data[half:])


def test_of_creators_of_one_name_one_wins(pair: Pair) -> None:
    """Of six creators of one name and version one is served, five are told that it is taken, and one artifact is
    there.
    """
    for _ in range(ROUNDS):
        name = new_name()
        answers = pair.race(*(partial(pair.racer(n).try_create, "images", name=name) for n in range(RACERS)))
        assert statuses(answers) == {201: 1, 409: RACERS - 1}
        page = pair.second.alice.page("images", f"name={name}")
        [winner] = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        assert [artifact["id"] for artifact in page["artifacts"]] == [winner]


def test_of_publishers_of_one_name_one_wins(pair: Pair) -> None:
    """Of artifacts of several projects with one name one becomes public; the others stay private, and stay theirs."""
    for _ in range(ROUNDS):
        name = new_name()
        owners = [f"u{n}:project-{n}:member" for n in range(4)]
        found = [image(pair.first.actor(owner), name) for owner in owners]
        for owner, artifact in zip(owners, found, strict=True):
            pair.second.actor(owner).activate(artifact)
        answers = pair.race(
            *(partial(pair.racer(n, "admin").set, artifact, visibility="public") for n, artifact in enumerate(found))
        )
        assert statuses(answers) == {200: 1, 409: 3}
        document = [pair.show_alike(artifact)["visibility"] for artifact in found]
        assert document == ["public" if answer.status_code == 200 else "private" for answer in answers]


def test_uploads_into_one_blob_leave_the_bytes_of_one(pair: Pair) -> None:
    """What is stored is the whole of one upload that was answered with success, and its digests are those of its
    bytes.
    """
    contents = [bytes([number]) * size for number, size in enumerate((0, 10, 70_000, 70_000, 1_500_000, 300_000))]
    for _ in range(ROUNDS):
        artifact = sample(pair.first.alice)
        answers = pair.race(
            *(
                partial(pair.racer(n).try_upload, artifact, "blob", in_pieces(data) if n % 3 else data)
                for n, data in enumerate(contents)
            )
        )
        assert statuses(answers).keys() <= {200, 409}
        done = [data for data, answer in zip(contents, answers, strict=True) if answer.status_code == 200]
        document = pair.show_alike(artifact)["blob"]
        for server in (pair.first, pair.second):
            data = server.alice.download(artifact, "blob").content
            assert data in done
            assert (document["size"], document["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
            assert (document["md5"], document["status"]) == (hashlib.md5(data).hexdigest(), "active")


def test_uploads_into_one_folder_are_all_there(pair: Pair) -> None:
    """Uploads under keys of their own all succeed where the folder has room, and where it has not, as many as fit."""
    for size, fitting in ((100, RACERS), (600, 3)):
        for _ in range(ROUNDS):
            artifact = sample(pair.second.alice)
            contents = [bytes([number]) * size for number in range(RACERS)]
            answers = pair.race(
                *(
                    partial(pair.racer(n).try_upload, artifact, f"dict_of_blobs/key {n}", data)
                    for n, data in enumerate(contents)
                )
            )
            assert statuses(answers) == Counter({200: fitting, 413: RACERS - fitting}) - Counter()
            kept = {f"key {n}": contents[n] for n, answer in enumerate(answers) if answer.status_code == 200}
            assert pair.show_alike(artifact)["dict_of_blobs"].keys() == kept.keys()
            for key, data in kept.items():
                assert pair.first.alice.download(artifact, f"dict_of_blobs/{key}").content == data


def test_patches_of_one_artifact_lose_nothing(pair: Pair) -> None:
    """A patch that was answered with success is there afterwards, one that met another is 409; of one revision only one
    passes.
    """
    for number in range(ROUNDS):
        artifact = sample(pair.first.alice)
        etag = pair.first.alice.get(artifact).headers["etag"]
        headers = {"If-Match": etag} if number % 2 else {}
        answers = pair.race(
            *(
                partial(
                    pair.racer(n).patch,
                    artifact,
                    {"op": "add", "path": f"/metadata/k{n}", "value": "v"},
                    headers=headers,
                )
                for n in range(RACERS)
            )
        )
        assert statuses(answers).keys() <= ({200, 409, 412} if headers else {200, 409})
        kept = {f"k{n}" for n, answer in enumerate(answers) if answer.status_code == 200}
        assert pair.show_alike(artifact)["metadata"].keys() == kept
        assert len(kept) == 1 if headers else kept


@pytest.mark.parametrize("other", ["publish", "upload", "patch", "deactivate"])
def test_a_deletion_meets_another_change(pair: Pair, other: str) -> None:
    """Whoever comes first: a deleted artifact is gone, whatever the other was told; one that is not deleted shows the
    change.
    """
    for _ in range(ROUNDS):
        artifact = sample(pair.first.alice)
        pair.first.alice.upload(artifact, "blob", b"before")
        pair.first.alice.activate(artifact)
        racer = pair.racer(0, "admin")
        change: dict[str, Request] = {
            "publish": partial(racer.set, artifact, visibility="public"),
            "upload": partial(racer.try_upload, artifact, "blob", b"after"),
            "patch": partial(racer.set, artifact, description="after"),
            "deactivate": partial(racer.set, artifact, status="deactivated"),
        }
        changed, deleted = pair.race(change[other], partial(pair.racer(1, "admin").delete, artifact))
        assert deleted.status_code in (204, 409)
        after = pair.second.admin.get(artifact)
        assert after.status_code == (404 if deleted.status_code == 204 else 200)
        if deleted.status_code == 204:
            assert changed.status_code in (200, 404, 409)
            assert artifact["id"] not in [
                held["id"] for held in pair.first.admin.page("all", "limit=1000")["artifacts"]
            ]
            continue
        assert changed.status_code == 200
        document = pair.show_alike(artifact)
        assert (document["visibility"] == "public") is (other == "publish")
        assert (document["status"] == "deactivated") is (other == "deactivate")
        data = pair.first.admin.download(artifact, "blob").content
        assert data == (b"after" if other == "upload" else b"before")


def set_quota(pair: Pair, project: str, name: str, value: int) -> None:
    records = [{"project_id": project, "project_quotas": [{"quota_name": name, "quota_value": value}]}]
    assert pair.first.admin.request("PUT", "/quotas", json=records).status_code == 200


def test_the_last_artifact_of_a_quota_is_had_once(pair: Pair) -> None:
    """Of six creators where one more artifact is allowed one is served; after a deletion there is room for one
    again.
    """
    for number in range(ROUNDS):
        owner = f"u:number-{number}:member"
        set_quota(pair, f"number-{number}", "max_artifact_number", 2)
        first = image(pair.first.actor(owner))
        for _ in range(2):
            answers = pair.race(
                *(partial(pair.racer(n, owner).try_create, "images", name=new_name()) for n in range(RACERS))
            )
            assert statuses(answers) == {201: 1, 403: RACERS - 1}
            assert pair.second.usage(f"number-{number}") == (2, 0)
            assert pair.first.actor(owner).delete(first).status_code == 204
            [first] = [{**answer.json(), "type_name": "images"} for answer in answers if answer.status_code == 201]


@pytest.mark.parametrize("announced", [True, False])
def test_the_last_byte_of_a_quota_is_had_once(pair: Pair, announced: bool) -> None:
    """Of six uploads of which two fit no more are stored, and no byte is lost: what is left can be used to the last
    one.
    """
    for number in range(ROUNDS):
        project = f"bytes-{announced}-{number}"
        owner = f"u:{project}:member"
        set_quota(pair, project, "max_uploaded_data", 1000)
        found = [image(pair.first.actor(owner)) for _ in range(RACERS)]
        data = bytes(400)
        answers = pair.race(
            *(
                partial(pair.racer(n, owner).try_upload, artifact, "image", data if announced else in_pieces(data))
                for n, artifact in enumerate(found)
            )
        )
        stored = statuses(answers)[200]
        assert statuses(answers) == Counter({200: stored, 413: RACERS - stored})
        # Without an announced length some quota is reserved ahead, so that fewer may pass than fit in the end.
        assert stored == 2 if announced else stored in (0, 1, 2)
        assert pair.second.usage(project) == (RACERS, 400 * stored)
        last, more, *_ = (held for held, answer in zip(found, answers, strict=True) if answer.status_code == 413)
        rest = 1000 - 400 * stored
        assert pair.second.actor(owner).try_upload(last, "image", bytes(rest)).status_code == 200
        assert pair.first.actor(owner).try_upload(more, "image", b"x").status_code == 413
        assert pair.second.usage(project) == (RACERS, 1000)


@pytest.mark.parametrize("way", ["record", "upload"])
def test_a_blob_meets_an_activation(pair: Pair, way: str) -> None:
    """An artifact that is active has its blob whole or not at all, from the first moment on, and ever after the
    same.
    """
    url = pair.origin.url("/content")
    for _ in range(ROUNDS):
        artifact = image(pair.first.alice)
        store = {
            "record": partial(pair.racer(0).try_locate, artifact, "image", url),
            "upload": partial(pair.racer(0).try_upload, artifact, "image", CONTENT),
        }[way]
        seen: list[Json] = []

        def watch(number: int, artifact: Json = artifact, seen: list[Json] = seen) -> httpx2.Response:
            seen += [pair.racer(number).show(artifact) for _ in range(12)]
            return pair.racer(number).get(artifact)

        stored, activated, *_ = pair.race(
            store, partial(pair.racer(1).set, artifact, status="active"), partial(watch, 2), partial(watch, 3)
        )
        assert stored.status_code in (200, 403, 409)
        assert activated.status_code in (200, 409)
        if activated.status_code == 409:
            assert stored.status_code == 200
            pair.second.alice.activate(artifact)
        after = pair.show_alike(artifact)
        assert (after["image"] is not None) == (stored.status_code == 200)
        assert all(document["image"] == after["image"] for document in seen if document["status"] == "active")
        assert pair.first.alice.try_upload(artifact, "image", b"late").status_code == 403
        if after["image"]:
            assert (after["image"]["sha256"], after["image"]["external"]) == (
                hashlib.sha256(CONTENT).hexdigest(),
                way == "record",
            )
            assert pair.second.alice.download(artifact, "image").content == CONTENT


@pytest.mark.parametrize("store", ["file", "database"])
def test_readers_of_a_blob_that_is_uploaded_again_get_one_or_the_other(
    tmp_path_factory: pytest.TempPathFactory, store: str
) -> None:
    """While one process replaces a blob again and again, readers at both get whole contents of one upload or another,
    and nothing else.
    """
    contents = [bytes([number]) * (2 << 20) + b"end" for number in range(12)]
    over = threading.Event()
    seen: list[tuple[int, bool]] = []

    def read(server: Server, path: str) -> None:
        with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            actor = ActorClient(client, ACTORS["alice"])
            while not over.is_set():
                answer = actor.request("GET", path)
                seen.append((answer.status_code, answer.content in contents))

    with ExitStack() as stack:
        directory = tmp_path_factory.mktemp("again")
        text = f"[store]\nremoval_delay = 60\n[artifact_type:images]\ndefault_store = {store}\n"
        servers = [stack.enter_context(Server(directory, text)) for _ in range(2)]
        image = servers[0].alice.create("images", name="again")
        servers[0].alice.upload(image, "image", contents[0])
        path = f"/artifacts/images/{image['id']}/image"
        readers = [threading.Thread(target=read, args=(server, path)) for server in servers for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            for content in contents[1:]:
                servers[0].alice.upload(image, "image", content)
            eventually(lambda: len(seen) >= 20)
        finally:
            over.set()
            for reader in readers:
                reader.join()
    assert set(seen) == {(200, True)}
