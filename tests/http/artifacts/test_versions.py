"""The versions document, and how a request names the microversion that it wants."""

from __future__ import annotations

import pytest

from support.service import Glare

MEDIA = "application/vnd.openstack.artifacts-"
ITEM = {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"}


@pytest.mark.parametrize("path", ["/", "/versions"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_versions_document_answers_any_method(api: Glare, path: str, method: str) -> None:
    """The root and /versions answer every method with 300, without credentials and without microversion headers."""
    answer = api.stranger.request(method, path)
    assert answer.status_code == 300
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "versions": [
            {"version": "1.0", "status": "STABLE", "media-type": f"{MEDIA}1.0", "links": [ITEM]},
            {"version": "1.1", "status": "EXPERIMENTAL", "media-type": f"{MEDIA}1.1", "links": [ITEM]},
            {"version": "1.2", "status": "EXPERIMENTAL", "media-type": f"{MEDIA}1.2", "links": [ITEM]},
            {"version": "1.3", "status": "EXPERIMENTAL", "media-type": f"{MEDIA}1.3", "links": [ITEM]},
        ]
    }
    assert "openstack-api-version" not in answer.headers
    assert "vary" not in answer.headers


def test_versions_document_has_a_head(api: Glare) -> None:
    """HEAD of the versions document is the same answer without its body."""
    answer = api.stranger.request("HEAD", "/versions")
    assert answer.status_code == 300
    assert answer.content == b""
    assert int(answer.headers["content-length"]) == len(api.stranger.request("GET", "/versions").content)


NEGOTIATED = [
    ({}, "1.0"),
    ({"OpenStack-API-Version": "artifact 1.0"}, "1.0"),
    ({"OpenStack-API-Version": "artifact 1.1"}, "1.1"),
    ({"OpenStack-API-Version": "artifact latest"}, "1.3"),
    ({"OpenStack-API-Version": "  artifact   1.1  "}, "1.1"),
    ({"OpenStack-API-Version": "compute 2.40"}, "1.0"),
    ({"OpenStack-API-Version": "compute 2.40, artifact 1.1"}, "1.1"),
    ({"OpenStack-API-Version": "artifact 1.1,compute 2.40"}, "1.1"),
    ({"OpenStack-API-Version": "compute latest, identity 3.1"}, "1.0"),
    ({"OpenStack-API-Version": ""}, "1.0"),
    ({"OpenStack-API-Version": "1.1"}, "1.0"),
    ({"Accept": "application/json"}, "1.0"),
    ({"Accept": "*/*"}, "1.0"),
    ({"Accept": f"{MEDIA}1.1"}, "1.1"),
    ({"Accept": f"{MEDIA}1.0"}, "1.0"),
    ({"Accept": f"{MEDIA}latest"}, "1.3"),
    ({"Accept": f"{MEDIA}1.0", "OpenStack-API-Version": "artifact 1.1"}, "1.0"),
    ({"Accept": f"{MEDIA}1.1", "OpenStack-API-Version": "artifact 9.9"}, "1.1"),
    ({"Accept": f"application/json, {MEDIA}1.1"}, "1.0"),
]


@pytest.mark.parametrize(("headers", "version"), NEGOTIATED)
def test_version_is_negotiated(api: Glare, headers: dict[str, str], version: str) -> None:
    """The answer names the microversion that the request asked for, and that it varies with it."""
    answer = api.alice.request("GET", "/schemas/images", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["openstack-api-version"] == f"artifact {version}"
    assert answer.headers["vary"] == "openstack-api-version"


MALFORMED = ["", "1", "1.", ".1", "0.1", "01.0", "1.01", "1.x", "v1.0", "-1.0", "1.0.0", "LATEST", "1.1; q=0.5"]


@pytest.mark.parametrize("version", MALFORMED)
def test_malformed_version_in_accept_is_400(api: Glare, version: str) -> None:
    """The whole rest of the Accept header is the version; what is none is refused."""
    answer = api.alice.request("GET", "/schemas", headers={"Accept": MEDIA + version})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "BadRequest"


@pytest.mark.parametrize("version", MALFORMED)
def test_malformed_version_in_header_is_400(api: Glare, version: str) -> None:
    """An entry for this service whose version is none is refused, and not taken for the default."""
    answer = api.alice.request("GET", "/schemas", headers={"OpenStack-API-Version": f"artifact {version}"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "BadRequest"


@pytest.mark.parametrize("headers", [{"OpenStack-API-Version": "artifact {}"}, {"Accept": MEDIA + "{}"}])
@pytest.mark.parametrize("version", ["1.4", "1.99", "2.0", "999999999.0"])
def test_version_out_of_range_is_406(api: Glare, headers: dict[str, str], version: str) -> None:
    """A well-formed version that is not spoken is 406, and the answer says which are."""
    answer = api.alice.request(
        "GET", "/schemas", headers={name: text.format(version) for name, text in headers.items()}
    )
    assert answer.status_code == 406
    body = answer.json()
    assert (body["min_version"], body["max_version"]) == ("1.0", "1.3")
    assert set(body) == {"code", "title", "explanation", "error", "min_version", "max_version"}
    assert body["error"]["type"] == "InvalidGlobalAPIVersion"
    assert answer.headers["openstack-api-version"] == "artifact 1.0"


def test_version_header_may_come_in_several_lines(api: Glare) -> None:
    """A header that is sent twice means the same as one with both values."""
    lines = [
        ("X-Auth-Token", "alice:wonderland:member"),
        ("OpenStack-API-Version", "compute 2.40"),
        ("OpenStack-API-Version", "artifact 1.1"),
    ]
    answer = api.client.request("GET", "/schemas/images", headers=lines)
    assert answer.headers["openstack-api-version"] == "artifact 1.1"


def test_version_is_looked_at_before_credentials(api: Glare) -> None:
    """A request for a version that is not spoken hears so, whoever asks and wherever."""
    answer = api.stranger.request("GET", "/nowhere", headers={"OpenStack-API-Version": "artifact 7.0"})
    assert answer.status_code == 406


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_quotas_answer_at_every_version(api: Glare, version: str) -> None:
    """What was declared for 1.1 answers at 1.0 as well (quirk 2)."""
    answer = api.admin.request("GET", "/quotas", headers={"OpenStack-API-Version": f"artifact {version}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/schemas", 200),
        ("GET", "/artifacts/images", 200),
        ("GET", "/artifacts/unknown", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/schemas", 405),
        ("BREW", "/nowhere", 501),
        ("POST", "/artifacts/images", 415),
    ],
)
def test_every_answer_names_version_and_request(api: Glare, method: str, path: str, status: int) -> None:
    """Successes and errors alike carry the microversion, Vary and a request id."""
    answer = api.alice.request(method, path, headers={"OpenStack-API-Version": "artifact 1.1"})
    assert answer.status_code == status
    assert answer.headers["openstack-api-version"] == "artifact 1.1"
    assert answer.headers["vary"] == "openstack-api-version"
    assert answer.headers["x-openstack-request-id"].startswith("req-")


def test_missing_credentials_name_version_and_request(api: Glare) -> None:
    """A 401 carries them too, and the ways to say who is calling."""
    answer = api.stranger.request("GET", "/schemas", headers={"OpenStack-API-Version": "artifact 1.1"})
    assert answer.status_code == 401
    assert answer.headers["openstack-api-version"] == "artifact 1.1"
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_request_ids_differ(api: Glare) -> None:
    """Each request has an id of its own."""
    ids = {api.alice.request("GET", "/schemas").headers["x-openstack-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_request_id_of_a_caller_is_kept(api: Glare) -> None:
    """A well-formed id of the caller's goes through; anything else is replaced, as it goes into logs."""
    known = "req-6f9619ff-8b86-d011-b42d-00cf4fc964ff"
    answer = api.alice.request("GET", "/schemas", headers={"X-Openstack-Request-Id": known})
    assert answer.headers["x-openstack-request-id"] == known
    answer = api.alice.request("GET", "/schemas", headers={"X-Openstack-Request-Id": "req-nonsense"})
    assert answer.headers["x-openstack-request-id"] != "req-nonsense"
