"""Links: reading without an account, for as long as whoever made them may read and wants it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import update

from glare.db.callers import links as rows
from glare.db.tables import links
from glare.errors import Unavailable
from glare.events.webhooks import SecretBox
from glare.operations.upkeep.sweep import sweep
from support.origins.crooked import Crooked, honest
from support.service import LOCATION, ActorClient, Glare, Json, path_of, running

SINCE = {"OpenStack-API-Version": "artifact 1.2"}
DATA = b"bytes for those who have the address" * 3


@pytest.fixture
def glare(tmp_path: Path) -> Iterator[Glare]:
    with running(tmp_path) as found:
        yield found


def image(actor: ActorClient, data: bytes = DATA, name: str = "linked") -> Json:
    """An active image with these bytes."""
    made = actor.create("images", name=name, container_format="bare", disk_format="raw")
    actor.upload(made, "image", data)
    return actor.activate(made)


def link_to(actor: ActorClient, artifact: Json, blob: str = "image", **members: Any) -> Json:
    answer = actor.request("POST", "/links", json={"artifact": artifact["id"], "blob": blob, **members})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def follow(glare: Glare, link: Json, method: str = "GET", **headers: str) -> httpx2.Response:
    """What somebody with nothing but the address gets."""
    return glare.client.request(method, urlsplit(link["url"]).path, headers=headers, follow_redirects=False)


def revoke(actor: ActorClient, **members: Any) -> httpx2.Response:
    return actor.request("POST", "/links/revocation", json=members)


def test_the_address_is_all_that_a_reader_needs(glare: Glare) -> None:
    """Whole, by range and by HEAD; what comes names the file, and no cache may keep it."""
    link = link_to(glare.alice, image(glare.alice))
    whole = follow(glare, link)
    assert (whole.status_code, whole.content) == (200, DATA)
    assert "linked" in whole.headers["content-disposition"]
    part = follow(glare, link, Range="bytes=3-9")
    assert (part.status_code, part.content) == (206, DATA[3:10])
    head = follow(glare, link, "HEAD")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(DATA)))
    for answer in (whole, part, head):
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_link_ends_with_what_its_maker_may_read(glare: Glare) -> None:
    """Deactivated and deleted artifacts are gone for the reader as for the maker; a takedown says that it is one."""
    artifact = image(glare.alice)
    link = link_to(glare.alice, artifact)
    assert glare.admin.set(artifact, status="deactivated").status_code == 200
    gone = follow(glare, link)
    assert gone.status_code == 404
    assert artifact["id"] not in gone.text
    assert glare.admin.set(artifact, status="active").status_code == 200
    assert follow(glare, link).status_code == 200
    taken = {"kind": "digest", "value": artifact["image"]["sha256"], "reason": "court order"}
    takedown = glare.admin.request("POST", "/takedowns", json=taken).json()
    assert follow(glare, link).status_code == 451
    assert glare.admin.request("DELETE", f"/takedowns/{takedown['id']}").status_code == 204
    assert glare.alice.delete(artifact).status_code == 204
    assert follow(glare, link).status_code == 404


def test_a_link_lasts_as_long_as_it_says(glare: Glare) -> None:
    """After its time it leads nowhere, and no longer than the operator allows may be asked for."""
    artifact = image(glare.alice)
    link = link_to(glare.alice, artifact, expires_in=60)
    with glare.services.db.read() as connection:
        stored = rows.find(connection, link["id"])
    assert stored is not None
    assert stored.expires_at - stored.created_at == 60_000_000
    assert stored.is_open(stored.expires_at - 1)
    assert not stored.is_open(stored.expires_at)
    glare.services.db.transact(
        lambda connection: connection.execute(update(links).values(expires_at=stored.created_at + 1))
    )
    assert follow(glare, link).status_code == 404
    asked = {"artifact": artifact["id"], "blob": "image", "expires_in": 31 * 86400}
    answer = glare.alice.request("POST", "/links", json=asked)
    assert answer.status_code == 400
    assert "[links] longest_time" in answer.text


def test_uses_are_counted(glare: Glare) -> None:
    """Each GET is one, HEAD is none, and the count is there to see."""
    link = link_to(glare.alice, image(glare.alice), uses=2)
    assert follow(glare, link, "HEAD").status_code == 200
    assert follow(glare, link).status_code == 200
    assert glare.alice.request("GET", f"/links/{link['id']}").json()["uses_left"] == 1
    assert follow(glare, link, Range="bytes=0-0").status_code == 206
    assert follow(glare, link).status_code == 404


@pytest.mark.parametrize(("network", "status"), [("127.0.0.0/8", 200), ("192.0.2.0/24", 404), ("::/0", 404)])
def test_a_link_may_be_for_one_network(glare: Glare, network: str, status: int) -> None:
    """The reader's address counts; from elsewhere the link leads nowhere."""
    assert follow(glare, link_to(glare.alice, image(glare.alice), network=network)).status_code == status


def test_links_are_revoked_one_by_one_or_all_at_once(glare: Glare) -> None:
    """At once, for every reader; those to other artifacts stay where only one artifact's are meant."""
    first, second = image(glare.alice), image(glare.alice, b"other", "other")
    one, two, three = link_to(glare.alice, first), link_to(glare.alice, first), link_to(glare.alice, second)
    assert glare.alice.request("DELETE", f"/links/{one['id']}").status_code == 204
    assert [follow(glare, link).status_code for link in (one, two, three)] == [404, 200, 200]
    assert revoke(glare.alice, artifact=first["id"]).json() == {"revoked": 1}
    assert [follow(glare, link).status_code for link in (two, three)] == [404, 200]
    assert revoke(glare.alice).json() == {"revoked": 1}
    assert follow(glare, three).status_code == 404
    assert glare.alice.request("GET", "/links").json()["links"] == []


def test_nobody_reads_by_a_link_that_was_not_made(glare: Glare) -> None:
    """An id without its signature, with another one's, or of nothing is the same 404."""
    artifact = image(glare.alice)
    link, other = link_to(glare.alice, artifact), link_to(glare.alice, artifact)
    token, _, name = urlsplit(link["url"]).path.removeprefix("/links/").partition("/")
    foreign = urlsplit(other["url"]).path.split("/")[2].partition(".")[2]
    for wrong in (link["id"], f"{link['id']}.", f"{link['id']}.{foreign}", token[:-1], f"{token}x", "é", "a.b"):
        answer = glare.client.get(f"/links/{wrong}/{name}")
        assert answer.status_code == 404, wrong
        assert "leads nowhere" in answer.text


def test_others_neither_make_nor_see_links(glare: Glare) -> None:
    """Links are made to what the caller's project owns; others see none of them."""
    artifact = image(glare.alice)
    link = link_to(glare.alice, artifact)
    asked = {"artifact": artifact["id"], "blob": "image"}
    assert glare.bob.request("POST", "/links", json=asked).status_code == 404
    assert glare.admin.publish(artifact)["visibility"] == "public"
    assert glare.bob.request("POST", "/links", json=asked).status_code == 403
    for method in ("GET", "DELETE"):
        assert glare.bob.request(method, f"/links/{link['id']}").status_code == 404
    assert glare.bob.request("GET", "/links?project=wonderland").status_code == 403
    assert revoke(glare.bob, project="wonderland").status_code == 403
    assert revoke(glare.bob).json() == {"revoked": 0}
    [listed] = glare.alice.request("GET", "/links").json()["links"]
    assert listed == {name: value for name, value in link.items() if name != "url"}
    assert glare.admin.request("GET", "/links?project=wonderland").json()["links"] == [listed]


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"blob": "nothing"}, "nothing"),
        ({"blob": "name"}, "name"),
        ({"network": "10.0.0.1/8"}, "network"),
        ({"uses": 0}, "uses"),
        ({"expires_in": 0}, "expires_in"),
        ({"more": 1}, "more"),
    ],
)
def test_what_cannot_be_linked_is_refused(glare: Glare, members: Json, word: str) -> None:
    """With the member's name."""
    asked = {"artifact": image(glare.alice)["id"], "blob": "image", **members}
    answer = glare.alice.request("POST", "/links", json=asked)
    assert answer.status_code == 400
    assert word in answer.text


@pytest.mark.parametrize("text", ["%00", "%C3%A9", "x" * 300])
def test_ids_that_cannot_be_are_refused_on_every_database(glare: Glare, text: str) -> None:
    """NUL and letters beyond ASCII are compared with no column: some databases refuse to."""
    for method in ("GET", "DELETE"):
        assert glare.alice.request(method, f"/links/{text}").status_code == 404
    assert glare.client.get(f"/links/{text}/image").status_code == 404
    for name in ("artifact", "marker"):
        assert glare.alice.request("GET", f"/links?{name}={text}").status_code in (200, 400)
    plain = unquote(text)
    assert revoke(glare.alice, artifact=plain).status_code in (200, 400)
    asked = {"artifact": plain, "blob": "image"}
    assert glare.alice.request("POST", "/links", json=asked).status_code in (400, 404)


def test_a_project_has_so_many_links(tmp_path: Path) -> None:
    """Those that have ended do not count."""
    with running(tmp_path, "[links]\nmax_per_project = 2\n") as glare:
        artifact = image(glare.alice)
        used, _ = link_to(glare.alice, artifact, uses=1), link_to(glare.alice, artifact)
        asked = {"artifact": artifact["id"], "blob": "image"}
        assert glare.alice.request("POST", "/links", json=asked).status_code == 409
        assert follow(glare, used).status_code == 200
        link_to(glare.alice, artifact)


def test_links_that_are_used_up_one_after_the_other_do_not_pile_up(tmp_path: Path) -> None:
    """With those that have ended a project has twice as many as it may, however long they are listed."""
    with running(tmp_path, "[links]\nmax_per_project = 2\n") as glare:
        artifact = image(glare.alice)
        for _ in range(9):
            assert follow(glare, link_to(glare.alice, artifact, uses=1)).status_code == 200
            assert len(glare.alice.request("GET", "/links").json()["links"]) <= 4


def test_links_that_are_made_at_once_keep_the_limit(tmp_path: Path) -> None:
    """Of many that come at the same moment as many are made as there is room for."""
    with running(tmp_path, "[links]\nmax_per_project = 3\n") as glare:
        asked = {"artifact": image(glare.alice)["id"], "blob": "image"}
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: glare.alice.request("POST", "/links", json=asked), range(16)))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 13
        assert len(glare.alice.request("GET", "/links").json()["links"]) == 3


def test_a_link_that_an_admin_has_made_reads_as_the_admin(glare: Glare) -> None:
    """It belongs to the artifact's project, which sees and revokes it, and has the rights of who made it."""
    artifact = image(glare.alice)
    link = link_to(glare.admin, artifact)
    assert link["project"] == "wonderland"
    with glare.services.db.read() as connection:
        stored = rows.find(connection, link["id"])
    assert stored is not None
    assert (stored.maker.user, stored.maker.project, stored.maker.roles) == ("admin", "cloud", frozenset({"admin"}))
    assert follow(glare, link).status_code == 200
    assert glare.alice.request("DELETE", f"/links/{link['id']}").status_code == 204
    assert follow(glare, link).status_code == 404


def test_a_folder_of_replicas_is_read_as_metalink(tmp_path: Path) -> None:
    """Its members that are stored are read by the same link; the folder's other face, with what its owner sees, is
    not.
    """
    with Crooked(honest(DATA)) as origin, running(tmp_path, ports=(origin.port,)) as glare:
        made = glare.alice.create("images", name="linked", container_format="bare", disk_format="raw")
        glare.alice.try_upload(made, "locations/here", DATA, headers=SINCE)
        document = {"url": f"{origin.url}?token=secret"}
        located = glare.alice.request(
            "PUT", f"{path_of(made)}/locations/there", json=document, headers={"Content-Type": LOCATION, **SINCE}
        )
        assert located.status_code == 200, located.text
        link = link_to(glare.alice, glare.alice.activate(made), "locations")
        assert link["url"].endswith("/locations.meta4")
        metalink = follow(glare, link, Accept="application/json")
        assert metalink.headers["content-type"].startswith("application/metalink4+xml")
        assert "secret" not in metalink.text
        token = urlsplit(link["url"]).path.split("/")[2]
        assert f"/links/{token}/here" in metalink.text
        assert "/artifacts/" not in metalink.text
        member = glare.client.get(f"/links/{token}/here")
        assert (member.status_code, member.content) == (200, DATA)
        assert "link" not in member.headers
        assert glare.client.get(f"/links/{token}/nowhere").status_code == 404


def test_no_address_of_a_link_is_in_a_log(glare: Glare, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of one that works nor of one that does not; the audit log has the id."""
    link = link_to(glare.alice, image(glare.alice))
    address = urlsplit(link["url"]).path
    with caplog.at_level(logging.DEBUG, "glare"):
        assert follow(glare, link).status_code == 200
        glare.client.get(f"{address}xxx")
        glare.client.get(f"/links/{address.split('/')[2][:-2]}/image")
    signature = address.split("/")[2].partition(".")[2]
    ours = [record for record in caplog.records if record.name.startswith("glare")]
    assert len(ours) >= 3
    assert signature[:20] not in "".join(f"{record.getMessage()} {vars(record)}" for record in ours)
    audited = glare.admin.request("GET", "/audit?action=link.create").json()["audit"]
    assert [entry["target"] for entry in audited] == [link["id"]]


def test_making_and_revoking_are_in_the_audit_log(glare: Glare) -> None:
    """One entry each, with the blob or how many there were; a revocation of nothing leaves none."""
    artifact = image(glare.alice)
    one = link_to(glare.alice, artifact)
    link_to(glare.alice, artifact)
    assert glare.alice.request("DELETE", f"/links/{one['id']}").status_code == 204
    assert [revoke(glare.alice).json()["revoked"] for _ in range(2)] == [1, 0]
    audited = [entry for entry in glare.admin.request("GET", "/audit").json()["audit"] if "link." in entry["action"]]
    assert [(entry["action"], entry["target"]) for entry in reversed(audited)][2:] == [
        ("link.delete", one["id"]),
        ("link.delete", "wonderland"),
    ]
    assert all(entry["user"] == "alice" for entry in audited)


def test_older_keys_go_on_signing_what_they_have_signed(tmp_path: Path) -> None:
    """A new key comes first in the file, and links of the old one work for as long as it stays."""
    path = tmp_path / "keys"
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    path.write_text(f"{old}\n")
    signature = SecretBox(path).sign("link", "1")
    path.write_text(f"{new}\n{old}\n")
    assert SecretBox(path).sign("link", "1") != signature
    assert SecretBox(path).has_signed("link", "1", signature)
    assert not SecretBox(path).has_signed("link", "2", signature)
    assert not SecretBox(path).has_signed("other", "1", signature)
    path.write_text(f"{new}\n")
    assert not SecretBox(path).has_signed("link", "1", signature)


PRIVATE = {"cache-control": "private, no-store", "referrer-policy": "no-referrer", "x-robots-tag": "noindex"}


def is_private(answer: httpx2.Response) -> bool:
    """Whether no cache keeps the answer, no page that it shows tells its address, and it leads nowhere else."""
    return PRIVATE.items() <= dict(answer.headers).items() and "location" not in answer.headers


def test_every_answer_of_a_link_is_kept_from_caches(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes of it, and of whatever else is asked for there; the answer that has the address, too."""
    artifact = image(glare.alice)
    link = link_to(glare.alice, artifact)
    taken = link_to(glare.alice, image(glare.alice, b"taken down", "other"))
    path, etag = urlsplit(link["url"]).path, f'"{artifact["image"]["sha256"]}"'
    body = {"kind": "digest", "value": hashlib.sha256(b"taken down").hexdigest(), "reason": "court order"}
    assert glare.admin.request("POST", "/takedowns", json=body).status_code == 201
    seen = {
        200: follow(glare, link),
        206: follow(glare, link, Range="bytes=1-2"),
        304: follow(glare, link, **{"If-None-Match": etag}),
        400: glare.client.request("GET", path, headers={"X-Auth-Token": "a", "Authorization": "Bearer b"}, content="x"),
        404: follow(glare, {"url": f"{link['url'].rpartition('/')[0]}x/image"}),
        405: follow(glare, link, "POST"),
        412: follow(glare, link, **{"If-Match": '"other"'}),
        416: follow(glare, link, Range="bytes=9999-"),
        451: follow(glare, taken),
    }
    for status, answer in seen.items():
        assert (answer.status_code, is_private(answer)) == (status, True), (status, answer.headers)
        if status in (200, 404, 416, 451):
            head = follow(glare, taken if status == 451 else link, "HEAD")
            assert is_private(head)
    for method, place in (("GET", "/links"), ("GET", f"/links/{link['id']}"), ("DELETE", f"/links/{link['id']}")):
        assert is_private(glare.alice.request(method, place))
    asked = {"artifact": artifact["id"], "blob": "image"}
    assert is_private(glare.alice.request("POST", "/links", json=asked))
    assert is_private(glare.bob.request("POST", "/links", json=asked))
    assert is_private(glare.stranger.request("GET", "/links"))
    assert "x-robots-tag" not in glare.alice.get(artifact).headers
    other = link_to(glare.alice, artifact)
    for error, status in ((Unavailable("The database is away; retry later."), 503), (RuntimeError("a defect"), 500)):

        def broken(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("glare.operations.links.follow.find_link", broken)
        failed = follow(glare, other)
        assert (failed.status_code, is_private(failed)) == (status, True)


def test_links_of_a_maker_are_listed_and_revoked(glare: Glare) -> None:
    """What a project does when somebody leaves."""
    artifact = image(glare.alice)
    carol = glare.actor("carol:wonderland:member")
    mine, hers = link_to(glare.alice, artifact), link_to(carol, artifact)
    assert [link["id"] for link in glare.alice.request("GET", "/links?user=carol").json()["links"]] == [hers["id"]]
    assert glare.alice.request("GET", "/links?user=dave").json()["links"] == []
    assert revoke(glare.alice, user="dave").json() == {"revoked": 0}
    assert revoke(glare.bob, user="carol").json() == {"revoked": 0}
    assert revoke(glare.alice, user="carol").json() == {"revoked": 1}
    assert [follow(glare, link).status_code for link in (mine, hers)] == [200, 404]


def test_links_that_ended_are_listed_for_a_while(tmp_path: Path) -> None:
    """Then workers forget them, whether anybody makes another one or not; one that was used up ended then."""
    with running(tmp_path, "[links]\nretention = 1 h\n") as glare:
        artifact = image(glare.alice)
        used, lasting = link_to(glare.alice, artifact, uses=1), link_to(glare.alice, artifact)
        link_to(glare.alice, artifact, expires_in=1)
        assert follow(glare, used).status_code == 200
        ended = glare.alice.request("GET", f"/links/{used['id']}").json()
        assert ended["uses_left"] == 0
        assert ended["expires_at"] < used["expires_at"]
        sweep(glare.services)
        assert len(glare.alice.request("GET", "/links").json()["links"]) == 3
        hour = 3600 * 1_000_000
        later = replace(glare.services, clock=lambda: glare.services.clock() + hour + 2_000_000)
        sweep(later)
        assert [link["id"] for link in glare.alice.request("GET", "/links").json()["links"]] == [lasting["id"]]
        assert follow(glare, lasting).status_code == 200
