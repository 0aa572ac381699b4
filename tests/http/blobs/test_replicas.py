"""Folders of replicas: every member is the same content, and an active artifact keeps a good one."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from glare.digest import BLOCK
from support.runs.verifying import HOUR, V2, Verifying, verifying
from support.service import LOCATION, Json, path_of
from support.zips import packed

DATA = random.Random(21).randbytes(BLOCK + 9)
OTHER = DATA[:-1] + bytes([DATA[-1] ^ 1])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Verifying]:
    with verifying(tmp_path) as found:
        found.origin.put("/a", DATA)
        found.origin.put("/b", DATA)
        found.origin.put("/other", OTHER)
        yield found


def draft(site: Verifying, name: str = "replicated") -> Json:
    return site.glare.alice.create("images", name=name, container_format="bare", disk_format="raw")


def locate(site: Verifying, image: Json, key: str, target: str, **members: Any) -> Any:
    """Record a replica."""
    body = json.dumps({"url": site.origin.url(target), **members}).encode()
    path = f"{path_of(image)}/locations/{key}"
    return site.glare.alice.request("PUT", path, content=body, headers={"Content-Type": LOCATION, **V2})


def upload(site: Verifying, image: Json, key: str, data: Any) -> Any:
    return site.glare.alice.try_upload(image, f"locations/{key}", data, headers=V2)


def remove(site: Verifying, image: Json, key: str) -> int:
    return int(site.glare.alice.request("DELETE", f"{path_of(image)}/locations/{key}", headers=V2).status_code)


def folder(site: Verifying, image: Json) -> Json:
    answer = site.glare.alice.request("GET", f"{path_of(image)}/locations", headers=V2)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def keys(site: Verifying, image: Json) -> list[str]:
    return list(folder(site, image)["members"])


def test_members_are_equal_wherever_they_live(site: Verifying) -> None:
    """The first member fixes the content; uploads and locations join where they are equal, and others change
    nothing.
    """
    image = draft(site)
    assert locate(site, image, "eu", "/a").status_code == 200
    assert upload(site, image, "stored", DATA).status_code == 200
    for refused in (locate(site, image, "bad", "/other"), upload(site, image, "bad", OTHER)):
        assert refused.status_code == 409
        assert "same content" in refused.json()["error"]["message"]
    assert keys(site, image) == ["eu", "stored"]


@pytest.mark.sqlite
def test_what_contradicts_is_refused_before_a_byte_is_fetched(site: Verifying) -> None:
    """A claim or a length that cannot be equal is refused without a request; a longer body ends at the fixed size."""
    image = draft(site)
    locate(site, image, "eu", "/a")
    asked = site.origin.count("/other")
    assert locate(site, image, "bad", "/other", size=5).status_code == 409
    assert locate(site, image, "bad", "/other", sha256="0" * 64).status_code == 409
    assert site.origin.count("/other") == asked
    assert upload(site, image, "bad", DATA + b"more").status_code == 409
    assert upload(site, image, "bad", iter([DATA, b"more"])).status_code == 409
    site.origin.put("/long", DATA + b"more")
    assert locate(site, image, "bad", "/long").status_code == 409
    assert keys(site, image) == ["eu"]


def test_racing_first_members_cannot_differ(site: Verifying) -> None:
    """Of two different contents that come at once one wins, and the other is 409 with nothing left of it."""
    for number in range(3):
        image = draft(site, f"race-{number}")
        with ThreadPoolExecutor(2) as threads:
            codes = [
                threads.submit(upload, site, image, "one", DATA),
                threads.submit(upload, site, image, "two", OTHER),
            ]
        assert sorted(code.result().status_code for code in codes) == [200, 409]
        assert len(keys(site, image)) == 1


def test_an_active_artifact_gains_equal_members_and_keeps_a_good_one(site: Verifying) -> None:
    """Members join and leave; the last good one stays, and nothing is replaced in place."""
    image = draft(site)
    locate(site, image, "eu", "/a")
    site.glare.alice.activate(image)
    assert upload(site, image, "stored", DATA).status_code == 200
    assert locate(site, image, "us", "/b").status_code == 200
    assert locate(site, image, "bad", "/other").status_code == 409
    assert upload(site, image, "eu", DATA).status_code == 409
    used = site.glare.usage("wonderland")[1]
    assert remove(site, image, "stored") == 200
    assert site.glare.usage("wonderland")[1] == used - len(DATA)
    assert remove(site, image, "eu") == 200
    assert remove(site, image, "us") == 409
    assert keys(site, image) == ["us"]
    assert site.glare.alice.download(image, "locations/us", **{"OpenStack-API-Version": "artifact 1.2"}).content == DATA


def test_the_last_good_one_is_not_the_last_one(site: Verifying) -> None:
    """A member that has changed may leave; the good one may not while only changed ones remain."""
    image = draft(site)
    locate(site, image, "eu", "/a")
    locate(site, image, "us", "/b")
    site.glare.alice.activate(image)
    site.origin.put("/b", OTHER)
    site.later(7 * HOUR)
    document = folder(site, image)
    assert document["good"] == 1
    assert {key: member["state"] for key, member in document["members"].items()} == {"eu": "verified", "us": "changed"}
    assert remove(site, image, "eu") == 409
    assert remove(site, image, "us") == 200
    assert keys(site, image) == ["eu"]


def test_two_deletions_at_once_leave_one(site: Verifying) -> None:
    """Both of the last two cannot go, however they race."""
    image = draft(site)
    locate(site, image, "eu", "/a")
    locate(site, image, "us", "/b")
    site.glare.alice.activate(image)
    with ThreadPoolExecutor(2) as threads:
        codes = list(threads.map(lambda key: remove(site, image, key), ("eu", "us")))
    assert sorted(codes) == [200, 409]
    assert len(keys(site, image)) == 1


@pytest.mark.sqlite
def test_a_draft_may_empty_its_folder_and_begin_anew(site: Verifying) -> None:
    """Before activation everything may leave, and an empty folder fixes nothing."""
    image = draft(site)
    assert upload(site, image, "one", DATA).status_code == 200
    assert remove(site, image, "one") == 200
    assert site.glare.usage("wonderland")[1] == 0
    assert upload(site, image, "one", OTHER).status_code == 200
    assert upload(site, image, "one", DATA).status_code == 200


@pytest.mark.sqlite
def test_the_set_is_shown_since_1_2(site: Verifying) -> None:
    """The folder shows its content once and each member with its state; older requests get the error that they know."""
    image = draft(site)
    locate(site, image, "eu", "/a")
    upload(site, image, "stored", DATA)
    document = folder(site, image)
    assert (document["field"], document["replicas"], document["size"], document["good"]) == (
        "locations",
        True,
        len(DATA),
        2,
    )
    member = document["members"]["eu"]
    assert (member["state"], member["external"], member["good"]) == ("verified", True, True)
    assert member["location"] == site.location_of(image, "locations/eu")["id"]
    assert (document["members"]["stored"]["location"], document["members"]["stored"]["state"]) == (None, None)
    old = site.glare.alice.request("GET", f"{path_of(image)}/locations")
    assert old.status_code == 400
    assert "locations" not in site.glare.alice.show(image)
    plain = site.glare.alice.create("heat_templates", name="t")
    site.glare.alice.upload(plain, "nested_templates/a", b"x")
    assert site.glare.alice.request("GET", f"{path_of(plain)}/nested_templates").status_code == 400
    new = site.glare.alice.request("GET", f"{path_of(plain)}/nested_templates", headers=V2).json()
    assert (new["replicas"], list(new["members"])) == (False, ["a"])
    assert site.glare.bob.request("GET", f"{path_of(image)}/locations", headers=V2).status_code == 404


@pytest.mark.sqlite
def test_an_older_artifact_is_as_before(site: Verifying) -> None:
    """An image without replicas is activated, shown, listed and downloaded at every version."""
    image = site.record("/a", DATA)
    for version in ("1.0", "1.1", "1.2"):
        headers = {"OpenStack-API-Version": f"artifact {version}"}
        document = site.glare.alice.get(image, headers=headers).json()
        assert document.get("locations") == ({} if version == "1.2" else None)
        assert site.glare.alice.request("GET", f"{path_of(image)}/image", headers=headers).content == DATA
        page = site.glare.alice.request("GET", "/artifacts/images?name=recorded", headers=headers).json()
        assert len(page["artifacts"]) == 1
    assert folder(site, image)["members"] == {}
    assert folder(site, image)["size"] is None


def test_what_is_taken_down_is_good_for_nobody(site: Verifying) -> None:
    """The last member that may be read stays, though another one is there; one that is taken down may leave."""
    image = draft(site)
    locate(site, image, "eu", "/a")
    locate(site, image, "us", "/b")
    site.glare.alice.activate(image)
    taken = {"kind": "url", "value": site.origin.url("/a"), "reason": "law"}
    assert site.glare.admin.request("POST", "/takedowns", json=taken).status_code == 201
    assert remove(site, image, "us") == 409
    assert remove(site, image, "eu") == 200


@pytest.mark.sqlite
def test_archives_unpack_into_replicas(site: Verifying) -> None:
    """Equal members come, other ones replace all of them at once, and unequal ones are 409 with nothing changed."""
    crate = site.glare.alice.create("crate_artifact", name="crate")

    def unpack(*contents: bytes) -> int:
        data = packed({f"{number}": content for number, content in enumerate(contents)})
        return int(site.glare.alice.try_upload(crate, "doubled", data).status_code)

    assert unpack(b"one", b"one") == 200
    assert unpack(b"one", b"two") == 409
    assert unpack(b"two", b"two") == 200
    document = site.glare.alice.show(crate)["copies"]
    assert {key: blob["sha256"] for key, blob in document.items()} == dict.fromkeys(
        ("0", "1"), hashlib.sha256(b"two").hexdigest()
    )
    assert site.glare.alice.try_upload(crate, "copies/2", b"three").status_code == 409


@pytest.mark.sqlite
def test_confidential_members_show_scheme_and_host(site: Verifying) -> None:
    """Who may read a public image sees no more of a confidential URL."""
    image = draft(site)
    locate(site, image, "eu", "/a", confidential=True)
    site.glare.alice.activate(image)
    site.glare.admin.publish(image)
    path = f"{path_of(image)}/locations"
    urls = [
        actor.request("GET", path, headers=V2).json()["members"]["eu"]["url"]
        for actor in (site.glare.alice, site.glare.admin, site.glare.bob)
    ]
    assert urls == [site.origin.url("/a"), site.origin.url("/a"), "http://127.0.0.1"]
