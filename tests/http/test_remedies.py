"""Messages that say what to do: a later version's field, a misspelled name; and what a takedown may name."""

from __future__ import annotations

import httpx2
import pytest

from support.service import PATCH, Glare, path_of

SINCE_1_3 = {"OpenStack-API-Version": "artifact 1.3"}
LATER = "OpenStack-API-Version: artifact 1.2"


def message(answer: httpx2.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    text: str = answer.json()["error"]["message"]
    assert text.endswith("."), text
    return text


def test_a_field_of_a_later_version_names_the_header(api: Glare) -> None:
    """Whoever uses `images.locations` without a version learns which header to send, wherever the field is named."""
    image = api.alice.create("images", name="later")
    change = {"op": "add", "path": "/locations", "value": {}}
    for answer in (
        api.alice.try_create("images", name="x", locations={}),
        api.alice.patch(image, change),
        api.alice.try_upload(image, "locations/eu", b"x"),
        api.alice.request("GET", "/artifacts/images?locations=eu"),
        api.alice.request("GET", "/artifacts/images?sort=locations"),
    ):
        assert LATER in message(answer, 400)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "meant"),
    [
        ("GET", "/artifacts/image", None, 404, "did you mean 'images'?"),
        ("POST", "/artifacts/heat_template", {"name": "x"}, 404, "did you mean 'heat_templates'?"),
        ("GET", "/schemas/Images", None, 404, "did you mean 'images'?"),
        ("POST", "/artifacts/images", {"name": "x", "disk_fromat": "raw"}, 400, "did you mean 'disk_format'?"),
        ("GET", "/artifacts/images?nmae=x", None, 400, "did you mean 'name'?"),
        ("GET", "/artifacts/images?sort=naem:asc", None, 400, "did you mean 'name'?"),
        ("GET", "/artifact/images", None, 404, "did you mean 'artifacts'?"),
        ("GET", "/location", None, 404, "did you mean 'locations'?"),
        ("GET", "/images", None, 404, "did you mean '/artifacts/images'?"),
        ("POST", "/artifacts/images", {"nmae": "x"}, 400, "'nmae' looks like it"),
    ],
)
def test_a_misspelled_name(api: Glare, method: str, path: str, body: object, status: int, meant: str) -> None:
    """Types, fields and paths that are nearly right are named as they are."""
    options = {} if body is None else {"json": body}
    assert meant in message(api.alice.request(method, path, **options), status)


def test_a_misspelled_name_of_an_artifact(api: Glare) -> None:
    """So are fields in the path of a blob and in a patch."""
    image = api.alice.create("images", name="misspelled")
    assert "did you mean 'image'?" in message(api.alice.try_upload(image, "imgae", b"x"), 400)
    change = {"op": "replace", "path": "/descripton", "value": "x"}
    assert "did you mean 'description'?" in message(api.alice.patch(image, change), 400)
    tested = {"op": "test", "path": "/descripton", "value": "x"}
    assert "did you mean 'description'?" in message(api.alice.patch(image, tested), 400)


def test_what_is_like_nothing_gets_no_guess(api: Glare) -> None:
    """No name is offered where none is near, nor for a name that is longer than any; artifacts are never guessed."""
    for path in ("/artifacts/zzzzzz", f"/artifacts/{'images' * 50}", "/zzzzzz", "/artifacts/images/1234"):
        assert "did you mean" not in message(api.alice.request("GET", path), 404)


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example.org:8081/x",
        "https://files.example.org:444/",
        "http://127.0.0.1/x",
        "http://files.example.org/?a=b",
    ],
)
def test_a_url_that_may_not_be_requested_can_be_taken_down(api: Glare, url: str) -> None:
    """What the egress rules say of ports and addresses is about requests, and a takedown makes none."""
    body = {"kind": "url", "value": url, "reason": "court order"}
    answer = api.admin.request("POST", "/takedowns", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["value"] == url


def test_a_takedown_of_no_url_is_refused(api: Glare) -> None:
    """A port that does not exist, another scheme and a name without a host are none."""
    for url in (
        "http://files.example.org:99999/x",
        "http://files.example.org:0/",
        "ftp://files.example.org/x",
        "http:///x",
    ):
        body = {"kind": "url", "value": url, "reason": "court order"}
        assert "'value' of a url cannot be used" in message(api.admin.request("POST", "/takedowns", json=body), 400)


def test_a_fourth_number_of_a_version(api: Glare) -> None:
    """Older requests get what they got, build metadata; since 1.3 it is refused with what to write, also in filters."""
    assert api.alice.create("images", name="four", version="1.2.3.4")["version"] == "1.2.3+4"
    body = {"name": "four again", "version": "1.2.3.4"}
    refused = api.alice.request("POST", "/artifacts/images", json=body, headers=SINCE_1_3)
    assert "1.2.3+4" in message(refused, 400)
    page = api.alice.request("GET", "/artifacts/images?version=1.2.3.4", headers=SINCE_1_3)
    assert "three numbers" in message(page, 400)
    for version in ("1", "1.2", "1.2.3-4", "1.2.3+4"):
        answer = api.alice.request(
            "POST", "/artifacts/images", json={"name": "fine", "version": version}, headers=SINCE_1_3
        )
        assert answer.status_code == 201, answer.text
    change = api.alice.request(
        "PATCH",
        path_of(api.alice.create("images", name="five")),
        json=[{"op": "add", "path": "/version", "value": "1.2.3.4.5"}],
        headers={"Content-Type": PATCH, **SINCE_1_3},
    )
    assert change.status_code == 400
