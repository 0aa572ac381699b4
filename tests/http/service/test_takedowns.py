"""Takedowns: what readers get, what is no longer requested or recorded, and that it all comes back."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from glare.app import build_services, close
from glare.db import checks
from glare.db.tables import audit, blobs, location_checks
from glare.digest import BLOCK
from glare.domain.verification import CheckKind
from glare.egress.cancellation import Cancellation
from glare.errors import Blocked
from glare.operations.locations.verify import verify
from glare.operations.takedowns.lookup import require_open
from support.runs.verifying import HOUR, V2, Verifying, verifying
from support.service import Glare, Json, path_of
from support.zips import packed

DATA = random.Random(451).randbytes(BLOCK + 77)
OTHER = random.Random(452).randbytes(300)
MIRROR = "mirror.test.example"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifying]:
    """One service for the tests that look at nothing but their own artifacts."""
    with verifying(tmp_path_factory.mktemp("takedowns")) as found:
        yield found


@pytest.fixture
def site(shared: Verifying) -> Iterator[Verifying]:
    """The service, with nothing taken down before or after."""
    yield shared
    for takedown in shared.glare.admin.request("GET", "/takedowns").json()["takedowns"]:
        give_back(shared.glare, takedown)


def take_down(glare: Glare, kind: str, value: str, reason: str = "a notice") -> Json:
    response = glare.admin.request("POST", "/takedowns", json={"kind": kind, "value": value, "reason": reason})
    assert response.status_code == 201, response.text
    document: Json = response.json()
    return document


def give_back(glare: Glare, takedown: Json) -> None:
    assert glare.admin.request("DELETE", f"/takedowns/{takedown['id']}").status_code == 204


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_blocked(response: httpx2.Response, takedown: Json) -> bool:
    """Whether this is the answer that readers get, which names the takedown and says nothing of why."""
    assert response.status_code == 451, f"{response.status_code}: {response.text[:500]}"
    body = response.json()
    assert body["title"] == "Unavailable For Legal Reasons"
    assert body["error"]["type"] == "Blocked"
    assert response.headers["X-Glare-Error-Code"] == "Blocked"
    assert takedown["reason"] not in response.text
    return takedown["id"] in body["error"]["message"]


def draft(glare: Glare, name: str) -> Json:
    return glare.alice.create("sample_artifact", name=name, string_required="x")


def stored(glare: Glare, name: str, data: bytes) -> Json:
    """An active artifact with data of its own."""
    artifact = draft(glare, name)
    glare.alice.upload(artifact, "blob", data)
    return glare.alice.activate(artifact)


def test_a_digest_is_blocked_for_every_reader_and_comes_back(site: Verifying) -> None:
    """Stored and external blobs of the content are 451 to GET, HEAD, ranges and conditions; metadata stays; undoing
    ends it.
    """
    glare = site.glare
    artifact = stored(glare, "digest", DATA)
    image = site.record("/digest", DATA, name="digest")
    asked = site.origin.count("/digest")
    takedown = take_down(glare, "digest", sha256(DATA).upper(), reason="court order 17")
    assert takedown["value"] == sha256(DATA)
    for actor in (glare.alice, glare.admin):
        assert is_blocked(actor.download(artifact, "blob"), takedown)
        assert is_blocked(actor.download(image, "image"), takedown)
        assert is_blocked(actor.download(artifact, "blob", Range="bytes=0-9"), takedown)
        assert is_blocked(actor.download(artifact, "blob", If_None_Match=f'"{sha256(DATA)}"'), takedown)
        assert actor.request("HEAD", f"{path_of(artifact)}/blob").status_code == 451
        assert actor.request("HEAD", f"{path_of(image)}/image").status_code == 451
    assert site.origin.count("/digest") == asked
    assert glare.alice.show(artifact)["blob"]["sha256"] == sha256(DATA)
    assert "digest" in glare.alice.names("images", "name=digest")
    give_back(glare, takedown)
    assert glare.alice.download(artifact, "blob").content == DATA
    assert glare.alice.download(image, "image").content == DATA


def test_a_blocked_digest_is_not_stored_again(site: Verifying) -> None:
    """An upload, a recording and an unpacked member of the content are refused once measured: no blob, no object, no
    quota.
    """
    glare = site.glare
    takedown = take_down(glare, "digest", sha256(OTHER))
    artifact = draft(glare, "refused")
    before = glare.usage("wonderland"), glare.objects()
    assert is_blocked(glare.alice.try_upload(artifact, "blob", OTHER), takedown)
    site.origin.put("/refused", OTHER)
    assert is_blocked(glare.alice.try_locate(artifact, "blob", site.origin.url("/refused")), takedown)
    assert (glare.usage("wonderland"), glare.objects()) == before
    assert glare.alice.show(artifact)["blob"] is None
    unpacked = glare.alice.create("unpacking_artifact", name="refused")
    archive = packed({"good": b"good", "bad": OTHER})
    assert is_blocked(glare.alice.try_upload(unpacked, "zip", archive), takedown)
    assert glare.alice.show(unpacked)["content"] == {}
    assert (glare.usage("wonderland")[1], glare.objects()) == (before[0][1], before[1])
    assert glare.leftovers() == {}
    give_back(glare, takedown)
    glare.alice.upload(artifact, "blob", OTHER)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("host", MIRROR),
        ("host", "TEST.example."),
        ("url", "http://{authority}/named"),
        ("url", "https://{authority}/x/../%6eamed"),
    ],
    ids=["host", "a host above", "URL", "URL, spelled differently"],
)
def test_a_host_or_url_is_not_asked_any_more(site: Verifying, kind: str, value: str) -> None:
    """Readers get 451 without a request, recordings and asked-for checks are refused; other hosts and stored bytes are
    not.
    """
    glare, origin = site.glare, site.origin
    image = site.record("/named", DATA, host=MIRROR, name=f"named by {kind} {value}")
    same = stored(glare, f"stored {kind} {value}", DATA)
    location = site.location_of(image)
    takedown = take_down(glare, kind, value.format(authority=f"{MIRROR}:{origin.port}"))
    asked = origin.count("/named")
    assert is_blocked(glare.alice.download(image, "image"), takedown)
    assert is_blocked(
        glare.alice.try_locate(draft(glare, f"again {kind} {value}"), "blob", origin.url("/named", MIRROR)), takedown
    )
    assert is_blocked(glare.alice.request("POST", f"/locations/{location['id']}/checks"), takedown)
    assert origin.count("/named") == asked
    assert glare.alice.show(image)["image"]["url"] == origin.url("/named", MIRROR)
    assert glare.alice.download(same, "blob").content == DATA
    glare.alice.locate(draft(glare, f"by address {kind} {value}"), "blob", origin.url("/named"))
    give_back(glare, takedown)
    assert glare.alice.download(image, "image").content == DATA


def test_a_url_without_a_query_means_any_and_one_with_a_query_that_alone(site: Verifying) -> None:
    """What follows the question mark is no way around a takedown of the path."""
    glare, origin = site.glare, site.origin
    for target in ("/q?v=1", "/q?v=2"):
        origin.put(target, OTHER)
    whole = take_down(glare, "url", origin.url("/q"))
    assert is_blocked(glare.alice.try_locate(draft(glare, "any query"), "blob", origin.url("/q?v=1")), whole)
    give_back(glare, whole)
    one = take_down(glare, "url", origin.url("/q?v=1"))
    assert is_blocked(glare.alice.try_locate(draft(glare, "that query"), "blob", origin.url("/q?%76=1")), one)
    glare.alice.locate(draft(glare, "another query"), "blob", origin.url("/q?v=2"))


def test_no_redirect_leads_into_a_blocked_host(site: Verifying) -> None:
    """Each hop is asked for: recording, download and check end at the redirect, and the blocked host sees nothing."""
    glare, origin = site.glare, site.origin
    target = "/final"
    origin.put(target, DATA)
    origin.refuse("/start", 302, {"Location": origin.url(target, MIRROR)})
    image = glare.alice.create("images", name="redirected", container_format="bare", disk_format="raw")
    glare.alice.locate(image, "image", origin.url("/start"))
    glare.alice.activate(image)
    takedown = take_down(glare, "host", MIRROR)
    asked = origin.count(target)
    assert is_blocked(glare.alice.download(image, "image"), takedown)
    assert is_blocked(glare.alice.try_locate(draft(glare, "redirected"), "blob", origin.url("/start")), takedown)
    assert check_now(site, image) is None
    assert origin.count(target) == asked
    give_back(glare, takedown)
    assert glare.alice.download(image, "image").content == DATA


def check_now(site: Verifying, image: Json) -> Any:
    """What a worker's full check finds."""
    services = site.glare.services
    with services.db.read() as connection:
        target = checks.find(connection, site.location_of(image)["id"])
    assert target is not None
    return verify(services, target, CheckKind.FULL, Cancellation())


@pytest.mark.parametrize("kind", ["digest", "host"])
def test_checks_wait_until_it_is_undone(tmp_path: Path, kind: str) -> None:
    """While it lasts nothing is asked and no state, history or event changes; afterwards checks go on."""
    with verifying(tmp_path) as fresh:
        image = fresh.record("/checked", DATA, host=MIRROR)
        takedown = take_down(fresh.glare, kind, sha256(DATA) if kind == "digest" else MIRROR)
        before, asked = fresh.location_of(image), fresh.origin.count("/checked")
        for _ in range(4):
            fresh.later(7 * HOUR)
        after = fresh.location_of(image)
        assert fresh.origin.count("/checked") == asked
        assert {**after, "next_check_at": None} == {**before, "next_check_at": None}
        assert (fresh.history(image), fresh.events(image)) == ([], [])
        give_back(fresh.glare, takedown)
        assert fresh.later(7 * HOUR) == 1
        assert fresh.history(image)[0][1] == "equal"


def test_equal_replicas_go_on_where_one_is_blocked(site: Verifying) -> None:
    """Asking for a member at a blocked URL is answered from an equal one; the set leaves the blocked one out; without
    any it is 451.
    """
    glare, origin = site.glare, site.origin
    image = glare.alice.create("images", name="replicated", container_format="bare", disk_format="raw")
    for key in ("a", "b"):
        origin.put(f"/{key}", DATA)
        located = glare.alice.request(
            "PUT",
            f"{path_of(image)}/locations/{key}",
            json={"url": origin.url(f"/{key}")},
            headers={"Content-Type": "application/vnd+openstack.glare-custom-location+json", **V2},
        )
        assert located.status_code == 200, located.text
    first = take_down(glare, "url", origin.url("/a"))
    asked = origin.count("/a")
    answer = glare.alice.request("GET", f"{path_of(image)}/locations/a", headers=V2)
    assert answer.content == DATA
    assert origin.url("/b") in answer.headers["link"]
    assert origin.url("/a") not in answer.headers["link"]
    assert origin.count("/a") == asked
    metalink = {"Accept": "application/metalink4+xml"}
    listed = glare.alice.request("GET", f"{path_of(image)}/locations", headers=metalink)
    assert origin.url("/b") in listed.text
    assert origin.url("/a") not in listed.text
    folder = glare.alice.request("GET", f"{path_of(image)}/locations", headers=V2).json()
    assert list(folder["members"]) == ["b"]
    take_down(glare, "url", origin.url("/b"))
    for headers in (V2, metalink):
        assert glare.alice.request("GET", f"{path_of(image)}/locations", headers=headers).status_code == 451
    assert is_blocked(glare.alice.request("GET", f"{path_of(image)}/locations/a", headers=V2), first)
    assert set(glare.alice.request("GET", path_of(image), headers=V2).json()["locations"]) == {"a", "b"}


def test_publishing_decides_where_a_recording_races_with_a_takedown(site: Verifying) -> None:
    """A takedown that comes while the body is being measured is seen by the transaction that would publish."""
    glare = site.glare
    made: list[Json] = []
    site.origin.put("/race", OTHER)
    original = glare.services.egress.open

    class Racing:
        """The client, with a takedown between the request and its body."""

        settings = glare.services.egress.settings
        parse = staticmethod(glare.services.egress.parse)

        @staticmethod
        def open(*args: Any, **options: Any) -> Any:
            response = original(*args, **options)
            made.append(take_down(glare, "digest", sha256(OTHER)))
            return response

    egress = glare.services.egress
    artifact = draft(glare, "race")
    object.__setattr__(glare.services, "egress", Racing)
    try:
        answer = glare.alice.try_locate(artifact, "blob", site.origin.url("/race"))
    finally:
        object.__setattr__(glare.services, "egress", egress)
    assert is_blocked(answer, made[0])
    assert glare.alice.show(artifact)["blob"] is None
    assert glare.leftovers() == {}


def test_another_process_obeys_at_once(site: Verifying) -> None:
    """What one process has committed, one that was started before refuses in its next read and its next request."""
    glare = site.glare
    other = build_services(glare.settings)
    try:
        url = other.egress.parse(site.origin.url("/other-process"))
        takedown = take_down(glare, "host", "127.0.0.1")
        with pytest.raises(Blocked, match=takedown["id"]):
            other.egress.open(url)
        with other.db.read() as connection, pytest.raises(Blocked):
            require_open(connection, url=url.text)
    finally:
        close(other)


def test_takedowns_are_made_listed_shown_and_undone_by_admins_alone(site: Verifying) -> None:
    """The API answers 403 to everybody else, pages by id, filters by kind, and refuses the same value twice."""
    glare = site.glare
    made = [take_down(glare, "host", f"host{number}.example.org") for number in range(3)]
    digest = take_down(glare, "digest", "0" * 64)
    again = glare.admin.request(
        "POST", "/takedowns", json={"kind": "host", "value": "HOST0.example.org", "reason": "x"}
    )
    assert again.status_code == 409
    assert made[0]["id"] in again.json()["error"]["message"]
    for actor in (glare.alice, glare.anonymous):
        for method, path in (
            ("POST", "/takedowns"),
            ("GET", "/takedowns"),
            ("GET", f"/takedowns/{digest['id']}"),
            ("DELETE", f"/takedowns/{digest['id']}"),
        ):
            options = {"json": {"kind": "digest", "value": "1" * 64, "reason": "x"}} if method == "POST" else {}
            assert actor.request(method, path, **options).status_code in (401, 403), (method, path)
    assert glare.admin.request("GET", f"/takedowns/{digest['id']}").json() == digest
    found, path = [], "/takedowns?kind=host&limit=2"
    while path:
        page = glare.admin.request("GET", path).json()
        found += page["takedowns"]
        path = page.get("next", "")
    assert found == sorted(made, key=lambda one: one["id"])
    give_back(glare, digest)
    assert glare.admin.request("GET", f"/takedowns/{digest['id']}").status_code == 404
    assert glare.admin.request("DELETE", f"/takedowns/{digest['id']}").status_code == 404


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "body",
    [
        [],
        {"kind": "digest", "value": "0" * 64},
        {"kind": "digest", "value": "0" * 63, "reason": "x"},
        {"kind": "blob", "value": "0" * 64, "reason": "x"},
        {"kind": "host", "value": "localhost", "reason": "x"},
        {"kind": "host", "value": "files.example.org/path", "reason": "x"},
        {"kind": "host", "value": "files.example.org:8080", "reason": "x"},
        {"kind": "host", "value": "https://files.example.org", "reason": "x"},
        {"kind": "url", "value": "ftp://files.example.org/x", "reason": "x"},
        {"kind": "url", "value": "files.example.org", "reason": "x"},
        {"kind": "host", "value": "files.example.org", "reason": "x\0"},
        {"kind": "host", "value": "files.example.org", "reason": "x" * 2001},
        {"kind": "host", "value": "files.example.org", "reason": "x", "more": 1},
    ],
)
def test_what_is_no_takedown_is_refused(site: Verifying, body: Any) -> None:
    """A value of the wrong form is 400, and takes nothing down."""
    answer = site.glare.admin.request("POST", "/takedowns", json=body)
    assert answer.status_code == 400, answer.text
    assert site.glare.admin.request("GET", "/takedowns").json()["takedowns"] == []


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("kind", "value", "stored_as"),
    [
        ("host", "2130706433", "127.0.0.1"),
        ("host", "[2001:DB8::1]", "2001:db8::1"),
        ("host", "2001:db8:0::1", "2001:db8::1"),
        ("host", "Bücher.Example.", "xn--bcher-kva.example"),
        ("url", "https://FILES.example.org:443", "https://files.example.org/"),
    ],
)
def test_values_are_stored_in_one_spelling(site: Verifying, kind: str, value: str, stored_as: str) -> None:
    """A host or URL is kept as the client that would be sent there reads it, so no spelling of it gets around."""
    assert take_down(site.glare, kind, value)["value"] == stored_as


def test_the_audit_log_says_who_took_what_down_and_holds_no_url(site: Verifying) -> None:
    """Making and undoing are an entry each, of the admin, with the host of a URL at most."""
    glare = site.glare
    takedown = take_down(glare, "url", "https://files.example.org/secret-path?token=hidden")
    give_back(glare, takedown)
    with glare.services.db.read() as connection:
        entries = connection.execute(
            select(audit).where(audit.c.target == takedown["id"]).order_by(audit.c.id)
        ).mappings()
        found = [(entry["action"], entry["user_id"], bytes(entry["detail"])) for entry in entries]
    assert [(action, user) for action, user, _ in found] == [("takedown_create", "admin"), ("takedown_delete", "admin")]
    assert all(b"https://files.example.org" in detail and b"secret" not in detail for *_, detail in found)
    assert all(b"hidden" not in detail for *_, detail in found)


def test_the_records_stay(site: Verifying) -> None:
    """Taking down deletes no blob, no object and no history."""
    glare = site.glare

    def counted() -> tuple[int, int, int]:
        with glare.services.db.read() as connection:
            rows = [
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (blobs, location_checks)
            ]
        return rows[0], rows[1], len(glare.objects())

    stored(glare, "stays", b"stays")
    before = counted()
    take_down(glare, "digest", sha256(b"stays"))
    take_down(glare, "host", "127.0.0.1")
    assert counted() == before
