"""Headers that ask for what is not done are refused before anything is stored; the page of all headers is true."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from glare.http.claims import DIGEST_HEADERS
from glare.http.problems import STATUS
from glare.http.request_headers import CHANGES, DOCUMENTED, FORMS, REFUSED, Answer, Refused
from support.service import PATCH, Glare, path_of

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

SRC = Path(__file__).resolve().parents[2] / "src" / "glare"
READ = re.compile(r"headers\.(?:get|getlist)\(\s*\"([a-z0-9-]+)\"|\"([a-z0-9-]+)\" in (?:call\.)?headers\b")
DATA = b"0123456789"


REGISTERED = """
a-im accept accept-charset accept-datetime accept-encoding accept-language accept-signature alt-used authorization
cache-control cdn-loop connection content-digest content-disposition content-encoding content-id content-language
content-length content-location content-md5 content-range content-type cookie date depth destination digest early-data
expect expires forwarded from host if if-match if-modified-since if-none-match if-range if-schedule-tag-match
if-unmodified-since keep-alive link lock-token max-forwards mime-version negotiate origin overwrite pragma prefer
priority proxy-authorization range referer repeatability-request-id repr-digest signature signature-input slug te
traceparent tracestate trailer transfer-encoding upgrade user-agent via want-content-digest want-digest want-repr-digest
"""
"""Request fields of the IANA registry that ask a server for something, or say something about the body."""

OF_THE_MESSAGE = ("content-length", "expect", "host", "transfer-encoding")
"""Those that say where a message ends or goes: tests/server sends them."""


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.header)
def test_a_header_that_is_not_done_is_refused(api: Glare, row: Refused) -> None:
    """A change with it has the status of the page, a message with name, value and remedy, and changes nothing."""
    artifact = api.alice.create("images", name=f"refused {row.header}")
    if "PUT" in row.methods:
        answer = api.alice.try_upload(artifact, "image", DATA, headers={row.header: row.sample})
    else:
        answer = api.alice.request(min(row.methods), path_of(artifact), headers={row.header: row.sample})
    assert answer.status_code == STATUS[row.error.category]
    message = answer.json()["error"]["message"]
    assert row.header in message.lower()
    assert row.sample in message
    assert message.endswith(f"{row.remedy}.")
    assert api.alice.show(artifact)["image"] is None


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Content-Encoding", "identity"),
        ("Upload-Complete", "?1"),
        ("X-Ms-Blob-Type", "BlockBlob"),
        ("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"),
        ("Trailer", "X-Timing"),
        ("X-HTTP-Method-Override", "PUT"),
        ("Prefer", "return=minimal"),
        ("If-Modified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("Accept", "application/xml"),
        ("TE", "trailers"),
        ("Content-Location", "/elsewhere"),
        ("Content-Transfer-Encoding", "binary"),
        ("Overwrite", "T"),
        ("X-Checksum-Deploy", "false"),
        ("X-Explode-Archive", "false"),
        ("X-Amz-Checksum-CRC64NVME", "AAAAAAAAAAA="),
    ],
)
def test_a_header_that_asks_for_nothing_is_no_hindrance(api: Glare, header: str, value: str) -> None:
    """Values that say what is done anyway, and headers that may be ignored, store the data as they are."""
    artifact = api.alice.create("images", name=f"harmless {header}")
    api.alice.upload(artifact, "image", DATA, headers={header: value})
    assert api.alice.download(artifact, "image").content == DATA


@pytest.mark.parametrize("method", sorted(CHANGES))
def test_it_is_refused_with_every_method(api: Glare, method: str) -> None:
    """POST, PATCH and DELETE with a header that is refused change nothing either."""
    artifact = api.alice.create("images", name=f"method {method}")
    path = {"POST": "/artifacts/images", "PUT": f"{path_of(artifact)}/image"}.get(method, path_of(artifact))
    for row in REFUSED:
        if method in row.methods:
            answer = api.alice.request(method, path, content=b"[]", headers={row.header: row.sample})
            assert answer.status_code == STATUS[row.error.category], row.header
    assert api.alice.show(artifact) == artifact
    assert api.alice.names("images", f"name={artifact['name']}") == [artifact["name"]]


def test_the_tail_of_a_file_does_not_replace_it(api: Glare) -> None:
    """What `curl -C 4 -T FILE` sends leaves the blob that is there, and says what to do."""
    artifact = api.alice.create("images", name="tail")
    api.alice.upload(artifact, "image", DATA)
    answer = api.alice.try_upload(artifact, "image", DATA[4:], headers={"Content-Range": "bytes 4-9/10"})
    assert answer.status_code == 400
    assert "send all of the data in one PUT" in answer.json()["error"]["message"]
    assert api.alice.download(artifact, "image").content == DATA


def test_a_range_of_a_read_is_no_change(api: Glare) -> None:
    """What is refused in changes is honoured or ignored in reads."""
    artifact = api.alice.create("images", name="read")
    api.alice.upload(artifact, "image", DATA)
    assert api.alice.download(artifact, "image", Range="bytes=2-3").content == DATA[2:4]
    assert api.alice.get(artifact, headers={"Range": "bytes=2-3"}).status_code == 200
    assert api.alice.get(artifact, headers={"If-Unmodified-Since": "Sat, 29 Oct 1994 19:43:31 GMT"}).status_code == 200


def test_a_coding_is_answered_with_the_one_that_is_taken(api: Glare) -> None:
    """415 for a coding names the coding that is taken (RFC 9110, 15.5.16), for JSON too."""
    artifact = api.alice.create("images", name="coded")
    answer = api.alice.patch(
        artifact, {"op": "replace", "path": "/description", "value": "x"}, headers={"Content-Encoding": "br"}
    )
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert api.alice.show(artifact)["description"] == ""


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_no_data(api: Glare, form: str) -> None:
    """The envelope that `curl -F` and browsers send is refused with the command that does it right."""
    artifact = api.alice.create("images", name=f"form {form}")
    answer = api.alice.try_upload(artifact, "image", b"--x--", headers={"Content-Type": f"{form}; boundary=x"})
    assert answer.status_code == 415
    assert "curl -T FILE" in answer.json()["error"]["message"]
    assert api.alice.show(artifact)["image"] is None


@pytest.mark.parametrize("method", sorted(CHANGES))
def test_a_change_takes_no_query(api: Glare, method: str) -> None:
    """A part number, or whatever else stands in the query of a change, is not passed over."""
    artifact = api.alice.create("images", name=f"query {method}")
    path = "/artifacts/images" if method == "POST" else path_of(artifact)
    path = f"{path}/image" if method == "PUT" else path
    answer = api.alice.request(
        method, f"{path}?partNumber=2&uploadId=7", content=b"[]", headers={"Content-Type": PATCH}
    )
    assert answer.status_code == 400
    assert "partNumber=2" in answer.json()["error"]["message"]
    assert api.alice.show(artifact)["image"] is None


def test_another_method_is_not_smuggled(api: Glare) -> None:
    """A header that names another method is refused also with GET, and the artifact stays."""
    artifact = api.alice.create("images", name="override")
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert api.alice.get(artifact, headers={header: "DELETE"}).status_code == 400
        assert api.alice.get(artifact, headers={header: "GET"}).status_code == 200


def test_conditions_on_what_has_an_entity_tag(api: Glare) -> None:
    """Artifacts hold If-Match with GET too; entity tags in If-None-Match of a change are refused, not passed over."""
    artifact = api.alice.create("images", name="tagged")
    tag = api.alice.get(artifact).headers["etag"]
    assert api.alice.get(artifact, headers={"If-Match": tag}).status_code == 200
    assert api.alice.get(artifact, headers={"If-Match": "*"}).status_code == 200
    assert api.alice.get(artifact, headers={"If-Match": '"other"'}).status_code == 412
    change = {"op": "replace", "path": "/description", "value": "x"}
    assert api.alice.patch(artifact, change, headers={"If-None-Match": tag}).status_code == 400
    assert api.alice.patch(artifact, change, headers={"If-None-Match": "*"}).status_code == 412
    date = "Sat, 29 Oct 1994 19:43:31 GMT"
    assert api.alice.patch(artifact, change, headers={"If-Match": tag, "If-Unmodified-Since": date}).status_code == 200


def test_conditions_on_what_has_none(api: Glare) -> None:
    """A change of what has no entity tag fails where it depends on one, and where nothing must be there."""
    body = {"name": "untagged"}
    for headers, status in (
        ({"If-Match": '"x"'}, 412),
        ({"If-None-Match": "*"}, 412),
        ({"If-Match": "*"}, 201),
    ):
        assert api.alice.request("POST", "/artifacts/images", json=body, headers=headers).status_code == status
    quotas = api.admin.request("PUT", "/quotas", json=[], headers={"If-Match": '"x"'})
    assert quotas.status_code == 412


def test_every_header_that_is_read_is_on_the_page() -> None:
    """No module of the door or of identity reads a header that the table does not have."""
    known = {row.header for row in DOCUMENTED if row.answer is Answer.HONOURED} | {row.header for row in REFUSED}
    found = {
        name
        for folder in ("http", "identity")
        for path in (SRC / folder).rglob("*.py")
        for match in READ.finditer(path.read_text(encoding="utf-8"))
        for name in match.groups()
        if name and path.name != "bodies.py"
    }
    assert {"range", "if-match", "x-auth-token", "prefer", "traceparent"} <= found
    assert found <= known
    assert set(DIGEST_HEADERS) <= known


def test_the_registered_headers_are_on_the_page() -> None:
    """Whatever the registry has is honoured, ignored for a reason, or refused."""
    assert set(REGISTERED.split()) <= {row.header for row in DOCUMENTED} | {row.header for row in REFUSED}


@pytest.mark.parametrize(
    "header",
    sorted({row.header for row in DOCUMENTED if row.answer is Answer.IGNORED} - {row.header for row in REFUSED}),
)
def test_an_ignored_header_changes_nothing(api: Glare, header: str) -> None:
    """What the page calls ignored leaves the data, their type and their digests as they are without it."""
    artifact = api.alice.create("images", name=f"ignored {header}")
    blob = api.alice.upload(artifact, "image", DATA, headers={header: "1"})["image"]
    assert (blob["size"], blob["content_type"], blob["sha256"]) == (
        len(DATA),
        "application/octet-stream",
        hashlib.sha256(DATA).hexdigest(),
    )
    assert api.alice.download(artifact, "image", **{header: "1"}).content == DATA


def test_what_ends_a_message_is_the_servers() -> None:
    """Those headers are in the table too, as honoured."""
    honoured = {row.header for row in DOCUMENTED if row.answer is Answer.HONOURED}
    assert honoured >= set(OF_THE_MESSAGE)


def test_rows_do_not_contradict() -> None:
    """A header has one row for each place, and is ignored or refused there, not both."""
    assert len({row.header for row in REFUSED}) == len(REFUSED)
    assert len({(row.header, row.where) for row in DOCUMENTED}) == len(DOCUMENTED)
    ignored = {
        row.header for row in DOCUMENTED if row.answer is Answer.IGNORED and row.where in ("changes", "everywhere")
    }
    assert not ignored & {row.header for row in REFUSED}
