"""Confidential locations on every path that data leaves Glare by: whoever is not owner or admin sees scheme and host
only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from glare.db import checks
from glare.db.tables import metadata
from glare.domain.declared.hooks import ArtifactView
from glare.domain.verification import CheckKind
from glare.egress.cancellation import Cancellation
from glare.operations.locations.verify import verify
from support.runs.verifying import HOUR, V2, Verifying, verifying
from support.sample_types import SampleArtifact
from support.service import LOCATION, ActorClient, Json, path_of

pytestmark = pytest.mark.sqlite

SECRET = "s3cr3tvalue"
DATA = b"the bytes of a blob"

TARGETS: Mapping[str, tuple[str, Json]] = {
    "asked for": (f"/dir-{SECRET}/file?q={SECRET}", {"confidential": True}),
    "by a parameter's name": (f"/file?X-Amz-Signature={SECRET}", {}),
    "by a parameter's escaped name": (f"/other?%74oken={SECRET}", {}),
    "by a redirect to a signed URL": ("/start", {}),
}
"""How a URL with a secret comes to be asked for; of the last one the recorded URL has none."""


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifying]:
    directory = tmp_path_factory.mktemp("confidential")
    with verifying(directory, "redirect = true\n[verification]\nspot_blocks = 1\nfailures = 2\n") as found:
        yield found


def shared(site: Verifying, name: str, target: str, members: Json) -> Json:
    """A public artifact with this location in a blob field and in a folder."""
    alice = site.glare.alice
    artifact = alice.create("sample_artifact", name=name, string_required="x")
    for path in ("blob", "dict_of_blobs/key"):
        alice.locate(artifact, path, site.origin.url(target), **members)
    alice.activate(artifact)
    return site.glare.admin.publish(artifact)


def everything(site: Verifying, actor: ActorClient, artifact: Json) -> list[httpx2.Response]:
    """The answers on every path that shows, lists, serves or refuses something of the artifact."""
    path = path_of(artifact)
    own = site.glare.admin.request("GET", f"/locations?artifact={artifact['id']}").json()["locations"]
    locations = [location["id"] for location in own]
    reads = [
        path,
        "/artifacts/sample_artifact?limit=1000",
        f"/artifacts/sample_artifact?name={artifact['name']}",
        "/artifacts/all",
        f"/artifacts/all/{artifact['id']}",
        f"{path}/blob",
        f"{path}/blob?redirect=true",
        f"{path}/dict_of_blobs",
        f"{path}/dict_of_blobs/key",
        f"{path}/dict_of_blobs/none",
        "/locations",
        f"/locations?artifact={artifact['id']}",
        *(f"/locations/{location}" for location in locations),
        *(f"/locations/{location}/checks" for location in locations),
        "/schemas/sample_artifact",
    ]
    answers = [actor.request("GET", read, headers=V2) for read in reads]
    answers += [actor.request("GET", read) for read in reads[:6]]
    answers.append(actor.request("HEAD", f"{path}/blob"))
    metalink = {"Accept": "application/metalink4+xml", **V2}
    answers.append(actor.request("GET", f"{path}/dict_of_blobs", headers=metalink))
    answers.append(actor.request("GET", f"{path}/blob", headers={"Range": "bytes=0-3"}))
    answers += [actor.request("POST", f"/locations/{location}/checks") for location in locations]
    answers.append(actor.try_locate(artifact, "blob", site.origin.url("/start")))
    answers.append(actor.request("DELETE", f"{path}/blob", headers={"If-Match": '"0"'}))
    return answers


def leaks(answers: list[httpx2.Response]) -> list[str]:
    """Those that hold a secret, in their body or headers."""
    return [
        f"{answer.request.method} {answer.request.url.path}"
        for answer in answers
        if SECRET in answer.text or SECRET in str(answer.headers)
    ]


def record_all(site: Verifying) -> list[Json]:
    for target, _ in TARGETS.values():
        site.origin.put(target, DATA)
    signed = f"/signed?sig={SECRET}"
    site.origin.put(signed, DATA)
    site.origin.refuse("/start", 302, {"Location": site.origin.url(signed)})
    return [shared(site, f"c{number}", target, members) for number, (target, members) in enumerate(TARGETS.values())]


def test_no_secret_leaves_by_any_path(
    site: Verifying, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers to others, events, audit log, every column but the URL's own, metrics and logs: before and after
    locations break.
    """

    def tells_all(_self: SampleArtifact, artifact: ArtifactView, _document: Mapping[str, Any]) -> Mapping[str, Any]:
        """A type that shows all that it is given."""
        blobs = {slot.path: blob for slot, blob in artifact.artifact.blobs.items()}
        urls = {path: getattr(blob.location, "url", None) for path, blob in blobs.items()}
        return {"__some_meta_information__": f"{artifact['blob']} {artifact['dict_of_blobs']} {urls} {blobs}"}

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(SampleArtifact, "format", tells_all)
    glare = site.glare
    artifacts = record_all(site)
    others = (glare.bob, glare.anonymous)
    statuses: set[int] = set()

    def sweep() -> None:
        for artifact in artifacts:
            for actor in others:
                answers = everything(site, actor, artifact)
                assert leaks(answers) == []
                statuses.update(answer.status_code for answer in answers)
        for actor in (glare.alice, glare.admin, glare.stranger):
            everything(site, actor, artifacts[0])

    sweep()
    site.later(7 * HOUR)
    for target, _ in TARGETS.values():
        site.origin.put(target, DATA.upper())
    site.later(7 * HOUR)
    for artifact in artifacts:
        check_all(site, artifact)
    sweep()
    site.origin.refuse("/start", 302, {"Location": f"http://user:{SECRET}@127.0.0.1:0/x?sig={SECRET}"})
    site.origin.refuse(TARGETS["asked for"][0], 500, {"Retry-After": "1"})
    for artifact in artifacts:
        check_all(site, artifact)
    sweep()
    assert {200, 206, 302, 403, 404, 409} <= statuses
    assert SECRET not in glare.admin.request("GET", "/audit?limit=1000").text
    assert "glare_" in glare.client.get("/metrics").text
    assert SECRET not in glare.client.get("/metrics").text
    assert columns_with(site, SECRET) == {("blobs", "url")}
    ours = [
        record for record in caplog.records if not record.name.startswith("httpx")
    ]  # The client of this test has a log, too.
    reported = [f"{record.getMessage()} {vars(record)} {record.exc_text}" for record in ours]
    assert any("egress" in line for line in reported)
    assert [line[:300] for line in reported if SECRET in line] == []


def check_all(site: Verifying, artifact: Json) -> None:
    """Have a worker read every location of the artifact."""
    services = site.glare.services
    found = site.glare.admin.request("GET", f"/locations?artifact={artifact['id']}").json()["locations"]
    for location in found:
        with services.db.read() as connection:
            target = checks.find(connection, location["id"])
        assert target is not None
        assert SECRET not in repr(target)
        verify(services, target, CheckKind.FULL, Cancellation())


def columns_with(site: Verifying, secret: str) -> set[tuple[str, str]]:
    """The columns of the whole database in which the text is somewhere."""
    found = set()
    with site.glare.services.db.read() as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(select(table)).mappings():
                for name, value in row.items():
                    text = (
                        bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else str(value)
                    )
                    if secret in text:
                        found.add((table.name, str(name)))
    return found


def test_owner_and_admins_see_it_whole(site: Verifying) -> None:
    """What the others do not see is there for those who may, on the same paths; where a redirect led is there for
    nobody.
    """
    for artifact, (target, _) in zip(record_all(site), TARGETS.values(), strict=True):
        url = site.origin.url(target)
        for actor in (site.glare.alice, site.glare.admin):
            assert actor.show(artifact)["blob"]["url"] == url
            listed = actor.request("GET", f"/locations?artifact={artifact['id']}").json()["locations"]
            assert [location["url"] for location in listed] == [url, url]
            folder = actor.request("GET", f"{path_of(artifact)}/dict_of_blobs", headers=V2).json()
            assert folder["members"]["key"]["url"] == url
            if SECRET not in url:
                paths = (path_of(artifact), f"{path_of(artifact)}/blob", f"{path_of(artifact)}/dict_of_blobs", "/audit")
                assert leaks([actor.request("GET", path, headers=V2) for path in paths]) == []


def test_a_confidential_location_is_never_redirected_to(site: Verifying) -> None:
    """Where redirects are allowed and asked for, the bytes of a confidential location come from Glare all the same."""
    *confidential, redirected = record_all(site)
    for artifact in confidential:
        for actor in (site.glare.alice, site.glare.stranger, site.glare.bob):
            answer = actor.request("GET", f"{path_of(artifact)}/blob?redirect=true")
            assert answer.status_code in (200, 401)
            assert "location" not in answer.headers
    answer = site.glare.bob.request("GET", f"{path_of(redirected)}/blob?redirect=true")
    assert (answer.status_code, answer.headers["location"]) == (302, site.origin.url("/start"))


def test_replicas_name_confidential_members_by_their_place_here(site: Verifying) -> None:
    """Metalink, Link headers and the set give download managers the plain member's origin, and of the confidential one
    an address of Glare's.
    """
    alice = site.glare.alice
    image = alice.create("images", name="replicas", container_format="bare", disk_format="raw")
    for key, target in (("open", "/mirror"), ("signed", f"/mirror?sig={SECRET}")):
        site.origin.put(target, DATA)
        body = json.dumps({"url": site.origin.url(target)}).encode()
        recorded = alice.request(
            "PUT", f"{path_of(image)}/locations/{key}", content=body, headers={"Content-Type": LOCATION, **V2}
        )
        assert recorded.status_code == 200, recorded.text
    alice.upload(image, "image", DATA)
    site.glare.admin.publish(alice.activate(image))
    path = f"{path_of(image)}/locations"
    for actor in (site.glare.bob, site.glare.anonymous):
        answers = [
            actor.request("GET", path, headers={"Accept": "application/metalink4+xml"}),
            actor.request("GET", path, headers=V2),
            actor.request("GET", f"{path}/open", headers=V2),
            actor.request("GET", f"{path}/signed", headers=V2),
            actor.request("HEAD", f"{path}/signed", headers=V2),
        ]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert leaks(answers) == []
        for text in (answers[0].text, answers[3].headers["link"]):
            assert site.origin.url("/mirror") in text
            assert f"{path}/signed" in text
