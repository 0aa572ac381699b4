"""Replicas for download managers: Metalink documents and Link headers."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from glare.digest import BLOCK
from support.runs.verifying import HOUR, V2, Verifying, verifying
from support.service import LOCATION, Json, path_of

pytestmark = pytest.mark.sqlite

DATA = random.Random(51).randbytes(2 * BLOCK + 3)
METALINK = {"Accept": "*/*,application/metalink4+xml"}
NS = "{urn:ietf:params:xml:ns:metalink}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Verifying]:
    with verifying(tmp_path) as found:
        found.origin.put("/a", DATA)
        found.origin.put("/b&c?x=1", DATA)
        yield found


def replicated(site: Verifying, name: str = "cirros & <co>") -> Json:
    """An active image with two origins, a confidential one, and a stored one."""
    image = site.glare.alice.create("images", name=name, version="1.2.3", container_format="bare", disk_format="raw")
    for key, target, hidden in (("eu", "/a", False), ("us", "/b&c?x=1", False), ("hidden", "/a", True)):
        body = json.dumps({"url": site.origin.url(target), "confidential": hidden}).encode()
        path = f"{path_of(image)}/locations/{key}"
        assert site.glare.alice.request("PUT", path, content=body, headers={"Content-Type": LOCATION, **V2}).is_success
    site.glare.alice.try_upload(image, "locations/über", DATA, headers=V2)
    return site.glare.alice.activate(image)


def document(site: Verifying, image: Json) -> ET.Element:
    answer = site.glare.alice.request("GET", f"{path_of(image)}/locations", headers=METALINK)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/metalink4+xml"), answer.text
    [file] = ET.fromstring(answer.content).iter(f"{NS}file")  # noqa: S314 - this very service has made it
    return file


def texts(file: ET.Element, tag: str) -> list[str]:
    return [found.text or "" for found in file.iter(f"{NS}{tag}")]


def test_the_document_has_everything_to_check_and_no_secret(site: Verifying) -> None:
    """Size, digests of the whole and of each block, the origins first, and Glare's own address for what is stored or
    confidential.
    """
    image = replicated(site)
    file = document(site, image)
    assert file.attrib["name"] == "cirros_co-1.2.3.raw"
    assert texts(file, "identity") == ["cirros & <co>"]
    assert texts(file, "size") == [str(len(DATA))]
    whole, _, *pieces = texts(file, "hash")
    assert whole == hashlib.sha256(DATA).hexdigest()
    assert pieces == [hashlib.sha256(DATA[at : at + BLOCK]).hexdigest() for at in range(0, len(DATA), BLOCK)]
    [element] = file.iter(f"{NS}pieces")
    assert element.attrib == {"length": str(BLOCK), "type": "sha-256"}
    own = f"http://testserver{path_of(image)}/locations"
    assert texts(file, "url") == [
        site.origin.url("/a"),
        site.origin.url("/b&c?x=1"),
        f"{own}/hidden",
        f"{own}/%C3%BCber",
    ]
    assert [url.attrib["priority"] for url in file.iter(f"{NS}url")] == ["1", "2", "3", "4"]
    for url in texts(file, "url")[2:]:
        assert site.glare.alice.request("GET", url.removeprefix("http://testserver")).content == DATA


def test_only_good_members_are_in_it(site: Verifying) -> None:
    """A changed origin is left out; without any good one the answer is 409, and of an empty folder 404."""
    image = replicated(site)
    site.origin.put("/a", DATA[::-1])
    site.later(7 * HOUR)
    assert texts(document(site, image), "url")[0] == site.origin.url("/b&c?x=1")
    draft = site.glare.alice.create("images", name="empty")
    empty = site.glare.alice.request("GET", f"{path_of(draft)}/locations", headers=METALINK)
    assert empty.status_code == 404
    single = site.record("/only", DATA)
    body = json.dumps({"url": site.origin.url("/only")}).encode()
    path = f"{path_of(single)}/locations"
    site.glare.alice.request("PUT", f"{path}/one", content=body, headers={"Content-Type": LOCATION, **V2})
    site.origin.put("/only", DATA[::-1])
    site.later(7 * HOUR)
    assert site.glare.alice.request("GET", path, headers=METALINK).status_code == 409


def test_it_follows_the_rules_of_downloads(site: Verifying) -> None:
    """Who may not read the blob may not read the document; HEAD answers without one; JSON stays what 1.2 asks for."""
    image = replicated(site)
    path = f"{path_of(image)}/locations"
    assert site.glare.bob.request("GET", path, headers=METALINK).status_code == 404
    head = site.glare.alice.request("HEAD", path, headers=METALINK)
    assert (head.status_code, head.content) == (200, b"")
    assert site.glare.alice.request("GET", path, headers={**V2, "Accept": "*/*"}).json()["replicas"] is True
    assert site.glare.alice.request("GET", path, headers={"Accept": "*/*"}).status_code == 400


def test_members_name_their_duplicates(site: Verifying) -> None:
    """GET and HEAD of a member carry Link headers and the digest; a plain blob does not."""
    image = replicated(site)
    for method in ("GET", "HEAD"):
        answer = site.glare.alice.request(method, f"{path_of(image)}/locations/eu", headers=V2)
        links = answer.headers["link"].split(", ")
        assert links[0] == f"<{site.origin.url('/a')}>; rel=duplicate; pri=1"
        assert links[1] == f"<{site.origin.url('/b&c?x=1')}>; rel=duplicate; pri=2"
        assert (
            links[-1]
            == f'<http://testserver{path_of(image)}/locations>; rel=describedby; type="application/metalink4+xml"'
        )
        assert answer.headers["digest"] == f"SHA-256={base64.b64encode(hashlib.sha256(DATA).digest()).decode()}"
    plain = site.record("/plain", DATA)
    assert "link" not in site.glare.alice.download(plain, "image").headers


def test_a_host_that_is_none_is_not_repeated(site: Verifying) -> None:
    """What a client sends as Host stands in no document unless it is a host."""
    image = replicated(site)
    answer = site.glare.alice.request("GET", f"{path_of(image)}/locations", headers={**METALINK, "Host": "a<b>"})
    assert b"<b>" not in answer.content
    assert b"http://localhost/artifacts/" in answer.content
