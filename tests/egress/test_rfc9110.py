"""What RFC 9110 and RFC 9112 let a server answer to a GET, one sentence after the other: what is taken, and how the
rest is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from glare.egress.asked import Asked
from glare.egress.client import EgressClient
from glare.errors import Cause, OriginFailed
from support.origins.crooked import Crooked, Visit
from support.origins.egress import quick

DATA = b"0123456789"
LENGTH = "Content-Length: 10"
CHUNKS = b"4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"


def answer(*lines: str, body: bytes = DATA, status: str = "HTTP/1.1 200 OK") -> bytes:
    """An answer of this status line, these header lines and this body."""
    return "\r\n".join([status, *lines, "", ""]).encode("latin-1") + body


TAKEN = {
    # RFC 9112, 4: the reason phrase may be absent, and nobody reads it.
    "no reason": answer(LENGTH, status="HTTP/1.1 200 "),
    "no reason, no space": answer(LENGTH, status="HTTP/1.1 200"),
    "a reason in another language": answer(LENGTH, status="HTTP/1.1 200 R\xfcckgabe"),
    # 2.3 and 2.2: an older minor version; a line may end with a bare LF.
    "HTTP/1.0": answer(LENGTH, status="HTTP/1.0 200 OK"),
    "bare LF": answer(LENGTH).replace(b"\r\n", b"\n"),
    # 5.1 and RFC 9110, 5.5: white space around values, empty ones, bytes beyond ASCII, any case of names.
    "white space": answer("Content-Length: \t 10 \t", "X:", "Y: \xe9\xff"),
    "no white space": answer("CONTENT-LENGTH:10"),
    # 5.2: obs-fold is one space.
    "obs-fold": answer(LENGTH, "X-Folded: a", "  b", "\tc"),
    # RFC 9110, 8.6: a length that is repeated with the same value is one.
    "a list of equal lengths": answer("Content-Length: 10, 10"),
    "equal lengths": answer(LENGTH, LENGTH),
    # RFC 9112, 7.1: chunks with extensions, any case and leading zeros of sizes; trailers.
    "chunks": answer("Transfer-Encoding: chunked", body=CHUNKS),
    "Chunked": answer("Transfer-Encoding: Chunked", body=CHUNKS),
    "one large chunk": answer("Transfer-Encoding: chunked", body=b"00A\r\n0123456789\r\n000\r\n\r\n"),
    "extensions": answer("Transfer-Encoding: chunked", body=b'4;a\r\n0123\r\n6;b=c;d="e\xe9"\r\n456789\r\n0;f\r\n\r\n'),
    "trailers": answer(
        "Transfer-Encoding: chunked", "Trailer: Digest", body=CHUNKS[:-2] + b"Digest: x\r\nContent-Length: 3\r\n\r\n"
    ),
    # RFC 9110, 15.2: any number of interim answers comes before the final one.
    "100": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(LENGTH),
    "102 and 103": b"HTTP/1.1 102 \r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + answer(LENGTH),
    "an unknown 1xx": b"HTTP/1.1 199 What\r\n\r\n" + answer(LENGTH),
    "an interim length": b"HTTP/1.1 103 Early\r\nContent-Length: 3\r\n\r\n" + answer(LENGTH),
    # 14.4: a range means something in a 206 and a 416 only. 14.6: nor is a whole of this type made of parts.
    "a range of a whole": answer(LENGTH, "Content-Range: bytes 0-4/10"),
    "a type of parts": answer(LENGTH, "Content-Type: multipart/byteranges; boundary=x"),
    # 8.4: identity is no coding. 8.3: a type is not needed. 14.3: neither are ranges.
    "identity": answer(LENGTH, "Content-Encoding: identity"),
    "Identity": answer(LENGTH, "Content-Encoding: Identity"),
    "an empty coding": answer(LENGTH, "Content-Encoding: "),
    "a list of none": answer(LENGTH, "Content-Encoding: , identity", "Content-Encoding: identity"),
    "no ranges": answer(LENGTH, "Accept-Ranges: none"),
    # 12.5.5, 8.7: what a cache or an author's tool wants to know.
    "for others": answer(LENGTH, "Vary: *", "Content-Location: /other", "Connection: close", "Keep-Alive: timeout=5"),
    "for browsers": answer(
        LENGTH, "Set-Cookie: a=b", "Refresh: 0; url=http://10.0.0.1/", 'Alt-Svc: h2=":1"', "Link: <http://10.0.0.1/>"
    ),
    "keep-alive": answer(LENGTH, "Connection: keep-alive"),
    "an odd date": answer(LENGTH, "Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT", "Date: soon"),
}

REFUSED = {
    # RFC 9112, 6.3: contradicting or unknown framing.
    "other lengths": (answer(LENGTH, "Content-Length: 11"), "not valid HTTP"),
    "a list of other lengths": (answer("Content-Length: 10, 11"), "not valid HTTP"),
    "a signed length": (answer("Content-Length: +10"), "not valid HTTP"),
    "a negative length": (answer("Content-Length: -1"), "not valid HTTP"),
    "a hexadecimal length": (answer("Content-Length: 0xA"), "not valid HTTP"),
    "an empty length": (answer("Content-Length: "), "not valid HTTP"),
    "two framings": (answer(LENGTH, "Transfer-Encoding: chunked", body=CHUNKS), "both a length"),
    "a coded transfer": (answer("Transfer-Encoding: gzip, chunked", body=CHUNKS), "not valid HTTP"),
    "no length": (answer(), "declares no length"),
    "a space before the colon": (answer("Content-Length : 10"), "not valid HTTP"),
    "another protocol": (answer(LENGTH, status="ICY 200 OK"), "not valid HTTP"),
    "HTTP/2": (answer(LENGTH, status="HTTP/2 200"), "not valid HTTP"),
    # RFC 9110, 15: what is no answer to a plain GET.
    "101": (answer("Upgrade: h2c", "Connection: upgrade", status="HTTP/1.1 101 Switching"), "not valid HTTP"),
    "202": (answer(LENGTH, status="HTTP/1.1 202 Accepted"), "status 202"),
    "203": (answer(LENGTH, status="HTTP/1.1 203 Changed"), "has changed what it sends"),
    "204": (answer(status="HTTP/1.1 204 None", body=b""), "status 204"),
    "205": (answer("Content-Length: 0", status="HTTP/1.1 205 Reset", body=b""), "status 205"),
    "206 without a range": (answer(LENGTH, "Content-Range: bytes 0-9/20", status="HTTP/1.1 206 Part"), "status 206"),
    "300 without a choice": (answer(LENGTH, status="HTTP/1.1 300 Choose"), "status 300"),
    "304 without a condition": (answer(status="HTTP/1.1 304 Same", body=b""), "status 304"),
    "305": (answer(LENGTH, "Location: http://10.0.0.1/", status="HTTP/1.1 305 Use"), "status 305"),
    "404 without a length": (answer(status="HTTP/1.1 404 Gone"), "status 404"),
    "404 under a coding": (answer(LENGTH, "Content-Encoding: gzip", status="HTTP/1.1 404 Gone"), "status 404"),
    "416": (answer(LENGTH, "Content-Range: bytes */0", status="HTTP/1.1 416 No"), "status 416"),
    "416 that says nothing": (answer(LENGTH, status="HTTP/1.1 416 No"), "status 416"),
    **{
        f"{status} without a place": (answer(LENGTH, status=f"HTTP/1.1 {status} Go"), f"status {status}")
        for status in (301, 302, 303, 307, 308)
    },
    # 13 and 15.5: conditions that nobody has made, and errors that are none of a file's.
    **{
        f"{status}": (answer(LENGTH, status=f"HTTP/1.1 {status} No"), f"status {status}")
        for status in (226, 400, 401, 402, 403, 405, 406, 407, 408, 410, 412, 417, 421, 425, 429, 451, 500, 503, 511)
    },
    # 8.4: codings, in any case, in a list, in several fields, known or not.
    **{
        f"coded {'; '.join(lines)}": (answer(LENGTH, *lines), "content encoding")
        for lines in (
            ("Content-Encoding: GZIP",),
            ("Content-Encoding: identity, br",),
            ("Content-Encoding: identity", "Content-Encoding: zstd"),
            ("Content-Encoding: gzip;q=1",),
        )
    },
    "an unknown status": (answer(LENGTH, status="HTTP/1.1 299 What"), "status 299"),
}

PARTS = {
    # RFC 9110, 14.4 and 15.3.7; 14.1: names of units have no case.
    "as asked": answer("Content-Length: 4", "Content-Range: bytes 2-5/10", body=b"2345"),
    "of an unknown whole": answer("Content-Length: 4", "Content-Range: bytes 2-5/*", body=b"2345"),
    "in capitals": answer("Content-Length: 4", "Content-Range: BYTES 2-5/10", body=b"2345"),
    "in chunks": answer("Transfer-Encoding: chunked", "Content-Range: bytes 2-5/10", body=b"4\r\n2345\r\n0\r\n\r\n"),
    "up to the end of the connection": answer("Content-Range: bytes 2-5/10", body=b"2345"),
    "with a type": answer("Content-Length: 4", "Content-Range: bytes 2-5/10", "Content-Type: text/plain", body=b"2345"),
}

NO_PARTS = {
    "another one": (answer("Content-Length: 4", "Content-Range: bytes 3-6/10", body=b"3456"), "another range"),
    "an earlier one": (answer("Content-Length: 6", "Content-Range: bytes 0-5/10", body=b"012345"), "another range"),
    "a longer one": (answer("Content-Length: 5", "Content-Range: bytes 2-6/10", body=b"23456"), "another range"),
    "a shorter one": (answer("Content-Length: 3", "Content-Range: bytes 2-4/10", body=b"234"), "another range"),
    "none": (answer("Content-Length: 4", body=b"2345"), "another range"),
    "no range": (answer("Content-Length: 4", "Content-Range: bytes */10", body=b"2345"), "another range"),
    "of other units": (answer("Content-Length: 4", "Content-Range: lines 2-5/10", body=b"2345"), "another range"),
    "beyond the whole": (answer("Content-Length: 4", "Content-Range: bytes 2-5/5", body=b"2345"), "another range"),
    **{
        f"said as {said}": (answer("Content-Length: 4", f"Content-Range: {said}", body=b"2345"), "another range")
        for said in ("bytes */*", "bytes=2-5/10", "2-5/10", "bytes 2-5", "bytes 2-5/", "bytes 2-5/10, bytes 2-5/10")
    },
    "backwards": (answer("Content-Length: 0", "Content-Range: bytes 2-1/10", body=b""), "another range"),
    "of negative numbers": (answer("Content-Length: 4", "Content-Range: bytes -2-5/10", body=b"2345"), "another range"),
    "of a length that differs": (
        answer("Content-Length: 5", "Content-Range: bytes 2-5/10", body=b"23456"),
        "Content-Length and Content-Range differ",
    ),
    "several": (
        answer("Content-Length: 4", "Content-Type: multipart/byteranges; boundary=x", body=b"--x-"),
        "several parts",
    ),
    "several of one": (
        answer("Content-Length: 4", "Content-Range: bytes 2-5/10", "Content-Type: Multipart/ByteRanges", body=b"2345"),
        "several parts",
    ),
}

BROKEN_PARTS = {
    "cut": (answer("Content-Length: 4", "Content-Range: bytes 2-5/10", body=b"234"), "after 3 of 4"),
    "cut, up to the end of the connection": (answer("Content-Range: bytes 2-5/10", body=b"234"), "after 3 of 4"),
    "cut, in chunks": (
        answer("Transfer-Encoding: chunked", "Content-Range: bytes 2-5/10", body=b"3\r\n234\r\n0\r\n\r\n"),
        "3 of the 4 bytes",
    ),
    "too long": (answer("Content-Length: 4", "Content-Range: bytes 2-5/10", body=b"23456"), "more bytes"),
    "too long, up to the end of the connection": (answer("Content-Range: bytes 2-5/10", body=b"23456"), "more bytes"),
    "too long, in chunks": (
        answer("Transfer-Encoding: chunked", "Content-Range: bytes 2-5/10", body=b"5\r\n23456\r\n0\r\n\r\n"),
        "5 of the 4 bytes",
    ),
}


@pytest.fixture(scope="module")
def crooked() -> Iterator[Crooked]:
    with Crooked(lambda visit: None) as server:
        yield server


@pytest.fixture
def client(crooked: Crooked) -> EgressClient:
    return EgressClient(quick(crooked.port))


def read(client: EgressClient, crooked: Crooked, raw: bytes, **options: Any) -> bytes:
    """The whole body of the answer `raw`."""
    crooked.behave = lambda visit: visit.send(raw)
    with client.open(client.parse(crooked.url), Asked(**options)) as response:
        return b"".join(iter(lambda: response.read(3), b""))


@pytest.mark.parametrize("name", TAKEN)
def test_taken(client: EgressClient, crooked: Crooked, name: str) -> None:
    """An answer that the standards allow brings its content."""
    assert read(client, crooked, TAKEN[name]) == DATA


@pytest.mark.parametrize("name", REFUSED)
def test_refused(client: EgressClient, crooked: Crooked, name: str) -> None:
    """An answer that is none to a plain GET, or whose end nobody can know, is refused for what is wrong with it."""
    raw, said = REFUSED[name]
    with pytest.raises(OriginFailed, match=said):
        read(client, crooked, raw)


@pytest.mark.parametrize("name", PARTS)
def test_parts(client: EgressClient, crooked: Crooked, name: str) -> None:
    """The range that was asked for, in every form that it may come in."""
    raw = PARTS[name].replace(b"200 OK", b"206 Partial Content")
    assert read(client, crooked, raw, byte_range=(2, 5)) == b"2345"


@pytest.mark.parametrize("name", NO_PARTS)
def test_other_parts(client: EgressClient, crooked: Crooked, name: str) -> None:
    """A 206 that is not the range that was asked for, or says two things at once, is refused before its body."""
    raw, said = NO_PARTS[name]
    with pytest.raises(OriginFailed, match=said):
        read(client, crooked, raw.replace(b"200 OK", b"206 Partial Content"), byte_range=(2, 5))


@pytest.mark.parametrize("name", BROKEN_PARTS)
def test_parts_that_are_not_whole(client: EgressClient, crooked: Crooked, name: str) -> None:
    """The range says how long its body is, however the body's end is marked."""
    raw, said = BROKEN_PARTS[name]
    with pytest.raises(OriginFailed, match=said):
        read(client, crooked, raw.replace(b"200 OK", b"206 Partial Content"), byte_range=(2, 5))


@pytest.mark.parametrize(
    "lines", [("Content-Range: bytes */10",), ("Content-Range: bytes */*",), ("Content-Range: items */10",), ()]
)
@pytest.mark.parametrize("status", [204, 205, 304, 412, 416])
def test_a_range_that_is_answered_with_nothing(
    client: EgressClient, crooked: Crooked, status: int, lines: tuple[str, ...]
) -> None:
    """What is no content is none, whatever it says of ranges (RFC 9110, 15.5.17)."""
    raw = answer("Content-Length: 0", *lines, body=b"", status=f"HTTP/1.1 {status} No")
    with pytest.raises(OriginFailed, match=f"status {status}"):
        read(client, crooked, raw, byte_range=(2, 5))


@pytest.mark.parametrize("first", [300, 301, 302, 303, 307, 308])
def test_a_chain_of_redirects_asks_for_the_same(client: EgressClient, crooked: Crooked, first: int) -> None:
    """Of a GET all of them lead on with a GET (RFC 9110, 15.4), for the same range, without the fragment; dots of the
    path are resolved, and no body on the way is read.
    """
    seen: list[tuple[str, str, str | None]] = []
    steps = {"/file": (first, "./a/../b/c?x#one"), "/b/c?x": (307, "?y"), "/b/c?y": (303, "../d;#two")}

    def behave(visit: Visit) -> None:
        seen.append((visit.command, visit.path, visit.headers.get("Range")))
        if visit.path in steps:
            status, location = steps[visit.path]
            visit.head(status, Location=location, Content_Length=10**9)
            visit.send(b"<a href='/elsewhere'>")
            return
        visit.send(PARTS["as asked"].replace(b"200 OK", b"206 Partial Content"))

    crooked.behave = behave
    with client.open(client.parse(crooked.url), Asked(byte_range=(2, 5))) as response:
        assert response.read(10) == b"2345"
        assert response.url.target == "/d;"
    assert seen == [("GET", path, "bytes=2-5") for path in ("/file", "/b/c?x", "/b/c?y", "/d;")]


def test_a_beginning_is_taken_where_it_is_asked_for(client: EgressClient, crooked: Crooked) -> None:
    """A server may send less than was asked for (RFC 9110, 15.3.7), and says what it sends."""
    raw = NO_PARTS["a shorter one"][0].replace(b"200 OK", b"206 Partial Content")
    assert read(client, crooked, raw, byte_range=(2, 5), partial=True) == b"234"
    assert read(client, crooked, raw, byte_range=(2, None), partial=True) == b"234"
    with pytest.raises(OriginFailed, match="another range"):
        read(client, crooked, raw, byte_range=(2, None))
    end = answer("Content-Length: 3", "Content-Range: bytes 7-9/10", body=b"789", status="HTTP/1.1 206 Part")
    assert read(client, crooked, end, byte_range=(7, None)) == b"789"


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_a_range_that_is_answered_with_the_whole(client: EgressClient, crooked: Crooked, name: str) -> None:
    """A server may ignore ``Range`` (RFC 9110, 14.2)."""
    assert read(client, crooked, TAKEN[name], byte_range=(2, 5)) == DATA


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (answer(LENGTH, body=DATA[:9]), Cause.INCOMPLETE),
        (answer("Transfer-Encoding: chunked", body=CHUNKS[:-9]), Cause.INCOMPLETE),
        (answer("Transfer-Encoding: chunked", body=CHUNKS[:-2]), Cause.INCOMPLETE),
        (answer("Transfer-Encoding: chunked", body=b"4\r\n01234\r\n0\r\n\r\n"), Cause.PROTOCOL),
        (answer("Transfer-Encoding: chunked", body=b"-4\r\n0123\r\n0\r\n\r\n"), Cause.PROTOCOL),
        (answer(LENGTH, body=DATA + b"!"), Cause.PROTOCOL),
    ],
)
def test_a_body_that_is_not_whole(client: EgressClient, crooked: Crooked, raw: bytes, cause: Cause) -> None:
    """A message that ends early is incomplete (RFC 9112, 8), which may pass; one that cannot be read is broken."""
    with pytest.raises(OriginFailed) as caught:
        read(client, crooked, raw)
    assert caught.value.cause is cause
