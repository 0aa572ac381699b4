"""Requests that nobody's client would send: refused in the contract's shape, with the remedy, and nothing is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.origins.bare import Bare, ask, stored, token
from support.service import LOCATION, PATCH, Glare, Json, path_of, running

KIND = "sample_artifact"
MANY = settings(max_examples=60, derandomize=True, database=None)

REMEDY = re.compile(
    r"\b(must|may|can|give|use|see|send|write|leave|read|name|encode|wait|retry|instead|needs|possible|only|first"
    r"|one of|log in|ask|delete|upload|replace|choose|appends|point|takes|lists|remove|quote|at most|lowest)\b"
)
"""What a sentence that helps has at least one of."""


UNSERVED = (501, 508)
"""Statuses beyond 500 that a request brings about by itself: an unknown method, and a loop."""


class Watched:
    """The service, and what it holds. `send` sees that a refusal has the contract's shape and that it leaves no
    trace.
    """

    def __init__(self, glare: Glare) -> None:
        self.glare = glare
        self.sample = glare.alice.create(
            KIND, name="sample", string_required="x", list_of_str=["a"], dict_of_str={"k": "v"}, tags=["t"]
        )
        glare.alice.upload(self.sample, "blob", b"0123456789")
        self._before = stored(glare)

    def send(
        self,
        method: str,
        target: bytes,
        headers: dict[bytes, bytes] | None = None,
        body: bytes = b"",
        actor: str = "alice",
    ) -> tuple[Bare, str]:
        """The answer, and the message of a refusal, empty for anything else."""
        sent = dict([token(actor)]) | (headers or {})
        answer = ask(self.glare, method, target, list(sent.items()), body)
        now = stored(self.glare)
        message = ""
        if answer.status >= 400:
            assert now == self._before
            message = "" if method == "HEAD" else message_of(answer)
        self._before = now
        return answer, message


def message_of(answer: Bare) -> str:
    """The message of a refusal, whose shape is the contract's and which helps whoever reads it."""
    assert answer.status < 500 or answer.status in UNSERVED, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-openstack-request-id"]
    assert answer.headers["x-glare-error-code"]
    document = answer.json()
    assert document.keys() - {"min_version", "max_version"} == {"code", "title", "explanation", "error"}
    assert document["code"] == answer.status
    assert document["error"].keys() == {"message", "type"}
    message: str = document["error"]["message"]
    assert message.endswith("."), message
    assert len(message) < 1000, message
    assert REMEDY.search(message), message
    return message


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with running(tmp_path_factory.mktemp("malformed"), "refusal_floor = 0\n") as glare:
        yield Watched(glare)
        assert glare.leftovers() == {}


ODD = (
    *(
        "",
        "a",
        "0",
        "-1",
        "00",
        "-",
        "9" * 40,
        "k",
        "~",
        "~0",
        "~1",
        "~2",
        "~01",
        "é",
        "\U0001f600",
        "\0",
        "\x7f",
        "\ud800",
    ),
    *(
        "x" * 5000,
        ".",
        "..",
        "//",
        " ",
        "\n",
        "nan",
        "1e999",
        "True",
        "null",
        "{}",
        "[]",
        "'",
        '"',
        "%",
        "%00",
        "\\",
        "\u202e",
    ),
)
TEXT = st.sampled_from(ODD) | st.text(max_size=8)
FIELDS = (
    *(
        "id",
        "name",
        "owner",
        "status",
        "created_at",
        "description",
        "tags",
        "metadata",
        "visibility",
        "version",
        "blob",
    ),
    *(
        "dict_of_blobs",
        "link1",
        "bool1",
        "int1",
        "float1",
        "str1",
        "list_of_str",
        "list_of_int",
        "dict_of_str",
        "dict_of_int",
    ),
    *(
        "list_of_links",
        "dict_of_links",
        "string_regex",
        "string_validators",
        "int_validators",
        "dict_validators",
        "unknown",
    ),
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
POINTER = (
    st.lists(st.sampled_from(FIELDS) | TEXT, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts)) | TEXT
)
OPERATION = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "replace", "remove", "copy", "move", "test"]) | VALUE,
        "path": POINTER | VALUE,
        "from": POINTER | VALUE,
        "value": VALUE,
        "extra": VALUE,
    },
)
PATCHES = st.lists(OPERATION | VALUE, max_size=3) | VALUE
BROKEN = st.sampled_from(
    [
        *(
            b"",
            b"[",
            b"nul",
            b"[1,]",
            b"\xff",
            b"\xef\xbb\xbf[]",
            b"[]x",
            b"'a'",
            b'{"a": 1, "a"}',
            b'"\\ud800"',
            b'"\x00"',
        ),
        *("[]".encode("utf-16"), b"[" * 100_000, b"[" * 3000 + b"]" * 3000, b'{"a":' * 3000 + b"1" + b"}" * 3000),
        *(b"-", b"1e9999", b"NaN", b"[Infinity]", b"9" * 100_000, b'"' + b"x" * 100_000 + b'"', b"\0", b'["\\x"]'),
    ]
)


def encoded(value: Any) -> bytes:
    """JSON with all that Python lets through: lone surrogates as escapes, NaN as a bare word."""
    return json.dumps(value).encode()


@MANY
@given(PATCHES.map(encoded) | BROKEN, st.sampled_from(["alice", "alice", "admin", "bob"]))
def test_malformed_patches(watched: Watched, body: bytes, actor: str) -> None:
    """Whatever is sent as a patch, it is done, or refused by a sentence."""
    headers = {b"content-type": PATCH.encode()}
    answer, message = watched.send("PATCH", path_of(watched.sample).encode(), headers, body, actor)
    if answer.status == 400:
        assert re.search(r"Operation \d+|JSON|patch|Field|field", message), message


@MANY
@given(
    st.dictionaries(st.sampled_from(FIELDS) | TEXT, VALUE, max_size=3),
    TEXT | VALUE,
    PATCHES.map(encoded) | BROKEN,
    st.booleans(),
)
@example({"unknown" * 1000: 1}, "long", b"", True)
@example({"int1": 10**400}, "large", b"", True)
def test_malformed_creations(watched: Watched, fields: Json, name: Any, other: bytes, is_object: bool) -> None:
    """Whatever is sent as a new artifact, it is made as it is shown, or refused by a sentence that names the field."""
    body = encoded({"name": name, **fields}) if is_object else other
    answer, message = watched.send("POST", f"/artifacts/{KIND}".encode(), {b"content-type": b"application/json"}, body)
    assert answer.status in (201, 400, 403, 409, 413), answer
    if answer.status == 201:
        created = answer.json()
        assert watched.send("GET", path_of({**created, "type_name": KIND}).encode())[0].json() == created
    elif is_object and answer.status in (400, 403):
        assert re.search(r"[Ff]ield|JSON|[Tt]ype", message), message


@MANY
@given(TEXT | st.integers() | st.floats() | st.text("0123456789.-+ab ", max_size=12))
def test_malformed_versions(watched: Watched, version: Any) -> None:
    """A version is read, or refused by a sentence that names the field, in a body and in a filter alike."""
    body = encoded({"name": "versioned", "version": version})
    answer, message = watched.send("POST", f"/artifacts/{KIND}".encode(), {b"content-type": b"application/json"}, body)
    assert answer.status in (201, 400, 409), answer
    assert answer.status != 400 or "version" in message or "JSON" in message, message
    text = quote_from_bytes(str(version).encode(errors="surrogatepass")).encode()
    answer, message = watched.send("GET", b"/artifacts/%b?version=eq:%b" % (KIND.encode(), text))
    assert answer.status in (200, 400), answer
    assert answer.status != 400 or "version" in message or "UTF-8" in message, message


URLS = st.sampled_from(
    [
        *(
            "http://",
            "http://:@/",
            "https://[::1",
            "http://a b/",
            "http://unknown.test.example:99999/",
            "ftp://x/",
            "httpfoo",
        ),
        *(
            "http://127.0.0.1:22/",
            "http://user:secret@x.example/",
            "http://x.example/#f",
            "http://\U0001f600/",
            "http://x\0/",
        ),
        *(
            "http://" + "x" * 3000,
            "http://2130706433/",
            "http://0x7f.1/",
            "http://169.254.169.254/",
            "http://x.example/\ud800",
        ),
    ]
)
MEMBERS = {
    f"/{KIND}/{{id}}/small_blob": (LOCATION, ("url", "md5", "sha1", "sha256", "size", "location_type", "confidential")),
    "/quotas": ("application/json", ("project_id", "project_quotas", "quota_name", "quota_value")),
}


@MANY
@given(st.data(), st.sampled_from(sorted(MEMBERS)))
def test_malformed_documents(watched: Watched, data: st.DataObject, place: str) -> None:
    """A location or quota document of any shape is refused by a sentence that names the member; no quota is set by a
    wrong one.
    """
    kind, members = MEMBERS[place]
    document = st.dictionaries(st.sampled_from(members), VALUE | URLS, max_size=4)
    body = data.draw(document.map(encoded) | st.lists(document, max_size=2).map(encoded) | BROKEN)
    target = place if place == "/quotas" else f"/artifacts{place.format(**watched.sample)}"
    answer, message = watched.send("PUT", target.encode(), {b"content-type": kind.encode()}, body, "admin")
    assert answer.status == 400 or (place == "/quotas" and body in (b"[]", b"[ ]")) or "deeply" in message, answer
    assert answer.status != 400 or re.search(r"[Mm]ember|Entry|JSON|body|'url'|scheme", message), message


PERCENT = (
    *(b"%", b"%z", b"%zz", b"%0", b"%00", b"%ff", b"%c3%28", b"%ed%a0%80", b"%f0%9f%98%80", b"%2f", b"%2F%2f", b"%5c"),
    *(
        b"%2e%2e",
        b"..",
        b".",
        b"",
        b"+",
        b"%20",
        b"%0a",
        b"%0d%0aX: y",
        b"a" * 9000,
        b"\xc3\xa9",
        b"\xff",
        b"'",
        b'"',
        b";",
        b"*",
    ),
)
PIECE = st.sampled_from(PERCENT) | st.binary(max_size=6).map(lambda data: quote_from_bytes(data).encode())
OPERATORS = st.sampled_from(
    [b"", b"eq:", b"in:", b"like:", b"gt:", b"or:", b"and:in:", b":", b"x:", b"eq:eq:", b"or:or:"]
)
PARAMETERS = st.sampled_from(
    [
        name.encode()
        for name in (*FIELDS, "sort", "limit", "marker", "tags-any", "metadata.k", "dict_of_str.", ".k", "all")
    ]
)


@MANY
@given(
    st.lists(st.tuples(PARAMETERS | PIECE, OPERATORS, PIECE | st.sampled_from([b"a", b"1", b"1,2", b'"'])), max_size=3)
)
def test_malformed_filters(watched: Watched, parameters: list[tuple[bytes, bytes, bytes]]) -> None:
    """A query of any bytes is answered, or refused by a sentence that names one of its parameters."""
    query = b"&".join(b"%b=%b%b" % parameter for parameter in parameters)
    answer, message = watched.send("GET", b"/artifacts/%b?%b" % (KIND.encode(), query))
    assert answer.status in (200, 400, 404), answer
    if answer.status == 400 and all(name.isalnum() for name, _, _ in parameters):
        assert any(name.decode()[:20] in message for name, _, _ in parameters) or "UTF-8" in message, message


METHODS = st.sampled_from(["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "BREW", ""])


@MANY
@given(METHODS, st.lists(PIECE, max_size=4), st.sampled_from(["nothing", "type", "artifact", "folder", "quotas"]))
@example("GET", [b"a" * 9000], "artifact")
@example("PUT", [b"a" * 9000], "artifact")
@example("GET", [b"a" * 9000], "folder")
@example("DELETE", [b"a" * 9000], "folder")
@example("PUT", [b"%00"], "folder")
@example("PUT", [b"", b"..", b"%2e%2e", b"%2F"], "folder")
def test_malformed_paths(watched: Watched, method: str, pieces: list[bytes], below: str) -> None:
    """Any bytes in any part of a path name something, or nothing: what was stored under them is found under them."""
    own = path_of(watched.sample)
    start = {
        "nothing": "",
        "type": "/artifacts",
        "artifact": own,
        "folder": f"{own}/dict_of_blobs",
        "quotas": "/project-quotas",
    }[below].encode()
    target = start + b"".join(b"/" + piece for piece in pieces)
    if target == own.encode():
        return  # Its deletion would be as well-formed as anything.
    headers = {b"content-type": PATCH.encode() if method == "PATCH" else b"text/plain"} if method[:1] == "P" else {}
    body = {"PUT": b"x", "PATCH": b"[]", "POST": b"{}"}.get(method, b"")
    answer, _ = watched.send(method, target or b"/", headers, body)
    if answer.status == 200 and method == "PUT":
        assert watched.send("GET", target)[0].body == b"x"


HEADER_TEXT = st.sampled_from(
    [
        *(
            b"",
            b" ",
            b",",
            b";",
            b"*",
            b"/",
            b"\xff",
            b"\xc3\xa9",
            b"x" * 20_000,
            b"," * 5000,
            b'"' * 999,
            b"%00",
            b"\t",
            b"\x01",
        ),
        *(
            b"0",
            b"-1",
            b"1e3",
            b"\xb2",
            b"9" * 30,
            b"1,1",
            b"bytes=",
            b"bytes=0-",
            b"bytes=5-2",
            b"bytes=-0",
            b"bytes=99-",
        ),
        *(
            b"bytes=" + b"0-1," * 3000,
            b'"',
            b'W/"',
            b'"a", "b',
            b"sha-256=:!:",
            b"sha-256=::",
            b"artifact",
            b"artifact 9.9",
        ),
        *(
            b"artifact 01.0",
            b"artifact 1.1.1",
            b"artifact " + b"9" * 400 + b".0",
            b"latest",
            b"application/json; charset=utf-7",
        ),
        *(
            b"application/vnd.openstack.artifacts-",
            b"application/vnd.openstack.artifacts-9.0",
            b"chunked",
            b"gzip",
            b"a:b:c:d",
        ),
        *(
            b"application/json-patch+json",
            LOCATION.encode(),
            b"multipart/form-data",
            b"100-continue",
            b"req-x",
            b"a:\xff\xfe:b",
        ),
    ]
)
NAMES = (
    *(
        b"content-type",
        b"content-length",
        b"accept",
        b"openstack-api-version",
        b"if-match",
        b"if-none-match",
        b"if-range",
    ),
    *(
        b"range",
        b"content-md5",
        b"digest",
        b"x-checksum-sha256",
        b"x-amz-content-sha256",
        b"repr-digest",
        b"content-digest",
        b"x-auth-token",
        b"x-project-id",
        b"x-roles",
        b"cdn-loop",
    ),
    *(
        b"transfer-encoding",
        b"x-openstack-request-id",
        b"prefer",
        b"expect",
        b"host",
        b"origin",
        b"x-forwarded-for",
        b"cookie",
    ),
)
REQUESTS = st.sampled_from(
    [
        *(("GET", "", "", b""), ("GET", "/blob", "", b""), ("HEAD", "/blob", "", b""), ("PATCH", "", PATCH, b"[]")),
        *(("PUT", "/small_blob", "text/plain", b"data"), ("PUT", "/link1", LOCATION, b'{"url": "http://x/"}')),
        ("DELETE", "/blob", "", b""),
    ]
)


@MANY
@given(REQUESTS, st.dictionaries(st.sampled_from(NAMES), HEADER_TEXT, min_size=1, max_size=2))
def test_malformed_headers(
    watched: Watched, request_: tuple[str, str, str, bytes], headers: dict[bytes, bytes]
) -> None:
    """A header of any bytes is ignored, understood, or refused by a sentence."""
    method, below, content_type, body = request_
    kind = {b"content-type": content_type.encode()} if content_type else {}
    watched.send(method, f"{path_of(watched.sample)}{below}".encode(), {**kind, **headers}, body)
