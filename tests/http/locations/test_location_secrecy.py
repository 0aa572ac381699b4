"""Confidential locations: who sees the whole URL, and that no log and no event ever does."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from glare.db.tables import outbox
from support.origins.origin import Origin
from support.service import Glare, Json, path_of, running

SECRET = "s3cr3tvalue"

URLS = {
    "signed by parameter": (f"/file?X-Amz-Signature={SECRET}", {}),
    "a token": (f"/file?a=b&token={SECRET}", {}),
    "Azure": (f"/file?sig={SECRET}", {}),
    "Swift": (f"/file?temp_url_sig={SECRET}&temp_url_expires=1", {}),
    "asked for": (f"/dir-{SECRET}/file", {"confidential": True}),
    "asked for, with a query": (f"/file?q={SECRET}", {"confidential": True}),
}


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as server:
        for target, _ in URLS.values():
            server.put(target, b"data")
        server.put(f"/plain?q={SECRET}", b"data")
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("secrecy"), ports=(origin.port,)) as service:
        yield service
        assert service.leftovers() == {}


def shared(api: Glare, name: str, url: str, **members: object) -> Json:
    """A public artifact with this location as its blob and in its folder."""
    artifact = api.alice.create("sample_artifact", name=name, string_required="x")
    api.alice.locate(artifact, "dict_of_blobs/key", url, **members)
    api.alice.locate(artifact, "blob", url, **members)
    api.alice.activate(artifact)
    return api.admin.publish(artifact)


@pytest.mark.parametrize(("target", "members"), URLS.values(), ids=URLS.keys())
def test_a_confidential_location_is_shown_whole_to_its_owner_and_admins_only(
    api: Glare, origin: Origin, target: str, members: Json
) -> None:
    """Show and list give everybody else scheme and host, no port, path or query; the data is served all the same."""
    artifact = shared(
        api, f"confidential {list(URLS.values()).index((target, members))}", origin.url(target), **members
    )
    for actor, expected in (
        (api.alice, origin.url(target)),
        (api.admin, origin.url(target)),
        (api.bob, "http://127.0.0.1"),
        (api.anonymous, "http://127.0.0.1"),
    ):
        listed = [
            one for one in actor.page("sample_artifact", "limit=1000")["artifacts"] if one["id"] == artifact["id"]
        ]
        for document in (actor.show(artifact), *listed):
            assert document["blob"]["url"] == expected
            assert document["dict_of_blobs"]["key"]["url"] == expected
        if "127.0.0.1:" not in expected:
            assert SECRET not in actor.get(artifact).text
            assert SECRET not in actor.request("GET", "/artifacts/all").text
        response = actor.download(artifact, "blob")
        assert (response.status_code, response.content) == (200, b"data")
        assert SECRET not in str(response.headers)


def test_a_location_that_is_not_confidential_is_shown_whole(api: Glare, origin: Origin) -> None:
    """Without the parameter of a known secret, and where its owner says so, the URL is there for everybody who may show
    the artifact.
    """
    url = origin.url(f"/plain?q={SECRET}")
    artifact = shared(api, "plain", url, confidential=False)
    assert api.bob.show(artifact)["blob"]["url"] == url


def test_a_signed_location_is_confidential_even_when_denied(api: Glare, origin: Origin) -> None:
    """`confidential: false` does not open a URL with a signature."""
    artifact = shared(api, "denied", origin.url(URLS["Azure"][0]), confidential=False)
    assert api.bob.show(artifact)["blob"]["url"] == "http://127.0.0.1"


def test_a_query_that_nobody_knows_is_confidential(api: Glare, origin: Origin) -> None:
    """Where the request says nothing about it; a client that knows no such member gets its answer as ever, and others
    the bytes.
    """
    artifact = shared(api, "unknown", origin.url(f"/plain?q={SECRET}"))
    assert api.alice.show(artifact)["blob"]["url"].endswith(SECRET)
    assert api.bob.show(artifact)["blob"]["url"] == "http://127.0.0.1"
    assert api.bob.download(artifact, "blob").content == b"data"


def test_events_hold_no_url(api: Glare, origin: Origin) -> None:
    """What is recorded for receivers names the artifact, and never a location."""
    artifact = shared(api, "events", origin.url(URLS["a token"][0]))
    api.admin.request("DELETE", f"{path_of(artifact)}/blob")
    with api.services.db.read() as connection:
        rows = connection.execute(select(outbox)).mappings().all()
    text = json.dumps([{name: str(value) for name, value in row.items()} for row in rows])
    assert "set_location" in text
    assert SECRET not in text
    assert "http" not in text


def test_logs_hold_no_query(api: Glare, origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    """Whether a location is recorded, refused, served or fails: no log line holds its query, or a token."""
    caplog.set_level(logging.DEBUG)
    artifact = api.alice.create("sample_artifact", name="logs")
    target = f"/logged?token={SECRET}"
    origin.put(target, b"data")
    for url in (
        origin.url(f"/missing?token={SECRET}"),
        f"http://127.0.0.1:1/?token={SECRET}",
        f"http://10.0.0.1:{origin.port}/?token={SECRET}",
        f"http://user:{SECRET}@127.0.0.1:{origin.port}/",
        f"http://nowhere.test.example:{origin.port}/?token={SECRET}",
        f"ftp://127.0.0.1/?token={SECRET}",
        origin.url(f"/x y?token={SECRET}"),
        origin.url(f"/x?token={SECRET}#fragment"),
    ):
        response = api.alice.try_locate(artifact, "blob", url)
        assert response.status_code == 400, url
        assert SECRET not in response.text, url
    assert api.alice.try_locate(artifact, "blob", origin.url(target), sha256="0" * 64).status_code == 400
    api.alice.locate(artifact, "blob", origin.url(target))
    assert api.alice.download(artifact, "blob").content == b"data"
    origin.put(target, b"DATA")
    failed = api.alice.download(artifact, "blob")
    assert failed.status_code == 502
    assert SECRET not in failed.text
    assert "egress" in caplog.text, "attempts are logged"
    recorded = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert SECRET not in recorded
    assert "alice:wonderland" not in recorded
