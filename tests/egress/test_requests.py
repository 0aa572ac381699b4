"""What is asked of an origin, and what comes of an honest answer."""

from __future__ import annotations

import logging

import pytest

from glare.egress.asked import Asked
from glare.egress.client import EgressClient
from glare.egress.loop import carried_on, passed_through
from glare.errors import LocationRefused, OriginFailed
from support.origins.egress import NAME, read
from support.origins.hostile import CONTENT, Hostile
from support.origins.origin import Origin


def test_plain_read(client: EgressClient, origin: Origin) -> None:
    """A body comes as the origin has it, and the request says who asks, for identity, without cookies or
    credentials.
    """
    origin.put("/a?b=1", CONTENT, content_type="image/x")
    with client.open(client.parse(origin.url("/a?b=1", NAME))) as response:
        assert (response.status, response.length, response.span) == (200, len(CONTENT), None)
        assert response.headers["content-TYPE"] == "image/x"
        assert b"".join(iter(lambda: response.read(1000), b"")) == CONTENT
        assert response.read(10) == b""
    seen = origin.seen[0].headers
    assert seen == {
        "host": f"{NAME}:{origin.port}",
        "accept": "*/*",
        "user-agent": "glare",
        "accept-encoding": "identity",
        "cdn-loop": "glare-test",
        "connection": "close",
    }


def test_empty_body(client: EgressClient, origin: Origin) -> None:
    """An empty file is a whole body."""
    origin.put("/empty", b"")
    assert read(client, origin.url("/empty")) == b""


@pytest.mark.parametrize("behaviour", ["honest", "chunked", "interim_once"])
def test_honest_framings(client: EgressClient, hostile: Hostile, behaviour: str) -> None:
    """A body of declared length, a chunked one and one after interim responses are read whole."""
    assert read(client, hostile.url(behaviour)) == CONTENT


def test_head(client: EgressClient, origin: Origin) -> None:
    """HEAD tells the declared length and has no body."""
    origin.put("/a", b"12345")
    with client.open(client.parse(origin.url("/a")), Asked("HEAD")) as response:
        assert (response.length, response.read(10)) == (5, b"")


def test_post(client: EgressClient, origin: Origin, hostile: Hostile) -> None:
    """A body is sent with its length, and a redirect of it is an answer like any other."""
    url = client.parse(hostile.url("redirect", to="http://10.0.0.1/"))
    with client.open(url, Asked("POST", body=b"{}", statuses=None)) as response:
        assert response.status == 302


def test_conditional(client: EgressClient, origin: Origin) -> None:
    """A caller that allows 304 gets it, without a body."""
    origin.put("/a", b"12345", etag='"v1"')
    url = client.parse(origin.url("/a"))
    with client.open(url, Asked(headers={"If-None-Match": '"v1"'}, statuses=(200, 304))) as response:
        assert (response.status, response.read(1)) == (304, b"")


def test_reserved_headers(client: EgressClient, origin: Origin) -> None:
    """A caller cannot send credentials or the headers that the guard relies on."""
    url = client.parse(origin.url("/a"))
    for name in ("Cookie", "authorization", "Host", "Accept-Encoding"):
        with pytest.raises(ValueError, match=name):
            client.open(url, Asked(headers={name: "x"}))


def test_read_after_close(client: EgressClient, origin: Origin) -> None:
    """A body that was closed before its end does not look as if it had ended."""
    origin.put("/a", CONTENT)
    with client.open(client.parse(origin.url("/a"))) as response:
        response.read(10)
    with pytest.raises(OriginFailed, match="closed before"):
        response.read(10)


def test_loop_header(client: EgressClient, origin: Origin) -> None:
    """Our id is added to the CDN-Loop that a request came with, and recognised when it comes back."""
    origin.put("/a", b"1")
    read(client, origin.url("/a"), cdn_loop="other; v=1")
    assert origin.seen[0].headers["cdn-loop"] == "other; v=1, glare-test"
    assert passed_through(origin.seen[0].headers["cdn-loop"], "glare-test")
    assert passed_through("a,GLARE-test;x=y", "glare-test")
    assert passed_through("a" * 5000, "glare-test")
    assert not passed_through("glare-test2, other", "glare-test")
    assert not passed_through("", "glare-test")
    assert carried_on("a\r\nb", "c") == "ab, c"


def test_log(client: EgressClient, origin: Origin, hostile: Hostile, caplog: pytest.LogCaptureFixture) -> None:
    """Every attempt is one log line with outcome, reason, addresses and bytes, and without path or query."""
    caplog.set_level(logging.INFO, "glare.egress")
    origin.put("/secret?sig=secret", b"12345")
    read(client, hostile.url("redirect", NAME, to=origin.url("/secret?sig=secret")))
    with pytest.raises(LocationRefused):
        client.open(client.parse(origin.url("/secret", "two.test.example")))
    with pytest.raises(OriginFailed):
        read(client, hostile.url("short"))
    with client.open(client.parse(hostile.url("honest"))) as response:
        response.read(7)
    fields = [vars(record)["egress"] for record in caplog.records]
    assert [field["outcome"] for field in fields] == ["redirected", "ok", "refused", "failed", "abandoned"]
    assert [field["bytes"] for field in fields] == [0, 5, 0, len(CONTENT) - 10, 7]
    assert [field["hop"] for field in fields] == [0, 1, 0, 0, 0]
    assert fields[0]["url"] == f"http://{NAME}:{hostile.port}"
    assert fields[1]["addresses"] == ["127.0.0.1"]
    assert "169.254.169.254" in fields[2]["reason"]
    assert "secret" not in caplog.text
