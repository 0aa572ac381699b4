from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from glare.egress.asked import Asked
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient, Listeners
from glare.egress.decision import UNREACHABLE, Address
from glare.egress.loop import carried_on, passed_through
from glare.egress.names import NameBounds, system_resolve
from glare.egress.race import begin_connect
from glare.egress.ranges import Span
from glare.egress.response import Response
from glare.egress.url import Url
from glare.errors import Blocked, LocationRefused, OriginFailed, OutboundBusy
from support.origins.black_hole import BlackHole
from support.origins.egress import quick, resolve
from support.origins.hostile import CONTENT, Hostile
from support.origins.origin import Origin

NAME = "mirror.test.example"


def read(client: EgressClient, url: str, **options: Any) -> bytes:
    """The whole body."""
    with client.open(client.parse(url), Asked(**options)) as response:
        return b"".join(iter(lambda: response.read(50_000), b""))


def drain(response: Response) -> None:
    """Read to the end."""
    while response.read(50_000):
        pass


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


@pytest.fixture
def _proxy_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.mark.usefixtures("_proxy_environment")
def test_environment_proxy_is_ignored(client: EgressClient, origin: Origin) -> None:
    """Proxies of the environment are not used."""
    origin.put("/a", b"1")
    assert read(client, origin.url("/a")) == b"1"


# What comes after the headers


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("short", "after"),
        ("long", "more bytes"),
        ("long_tiny", "more bytes"),
        ("reset", "broke"),
        ("chunked_cut", "ends early"),
        ("chunked_broken", "broken"),
        ("crumbs", "crumbs"),
        ("drip_body", "per second"),
        ("stall", "per second"),
    ],
)
def test_bad_bodies(client: EgressClient, hostile: Hostile, behaviour: str, said: str) -> None:
    """A body that is short, long, broken, cut, dripping or stalled is never read to a good end."""
    with client.open(client.parse(hostile.url(behaviour))) as response:
        with pytest.raises(OriginFailed, match=said):
            drain(response)
        with pytest.raises(OriginFailed, match=said):
            response.read(1)


def test_read_after_close(client: EgressClient, origin: Origin) -> None:
    """A body that was closed before its end does not look as if it had ended."""
    origin.put("/a", CONTENT)
    with client.open(client.parse(origin.url("/a"))) as response:
        response.read(10)
    with pytest.raises(OriginFailed, match="closed before"):
        response.read(10)


def test_body_deadline(hostile: Hostile) -> None:
    """An endless body ends at the time that bodies may take, however fast it comes."""
    client = EgressClient(quick(hostile.port, body_seconds=0.01, grace_seconds=5.0))
    with pytest.raises(OriginFailed, match="took longer"):
        read(client, hostile.url("endless"))


def test_slow_reader_is_not_the_origins_fault(hostile: Hostile) -> None:
    """Time that the reader takes does not count against the origin's rate."""
    client = EgressClient(quick(hostile.port, grace_seconds=0.1, window_seconds=0.05, minimum_rate=10_000_000))
    with client.open(client.parse(hostile.url("honest"))) as response:
        assert response.read(10)
        time.sleep(0.4)
        drain(response)


# What comes before the body


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("gzipped", "content encoding 'gzip'.*'size' and 'sha256'"),
        ("partial", "status 206"),
        ("missing", "status 404"),
        ("not_modified", "status 304"),
        ("lost", "status 302"),
        ("both_framings", "both a length"),
        ("two_lengths", "not valid HTTP"),
        ("no_length", "declares no length.*'size' and 'sha256'"),
        ("not_http", "not valid HTTP"),
        ("switch", "not valid HTTP"),
        ("hang_up", "without an answer"),
        ("huge_header", "too large"),
        ("many_headers", "too many headers"),
        ("interim", "too large"),
        ("interim_drip", "within 0.6 s"),
        ("drip_headers", "within 0.6 s"),
        ("silent", "within 0.6 s"),
        ("loop", "more than 3 times"),
    ],
)
def test_bad_answers(impatient: EgressClient, hostile: Hostile, behaviour: str, said: str) -> None:
    """An answer that is not a plain, bounded, timely 200 is refused with its reason, by the header deadline."""
    began = time.monotonic()
    with pytest.raises(OriginFailed, match=said):
        impatient.open(impatient.parse(hostile.url(behaviour)))
    assert time.monotonic() - began < 2


def test_a_body_that_ends_with_the_connection_is_taken_where_it_is_asked_for(
    client: EgressClient, hostile: Hostile
) -> None:
    """Who wants the status above all gets such an answer with its body; everybody else has it refused."""
    url = client.parse(hostile.url("no_length"))
    with client.open(url, Asked(provable=True)) as response:
        assert (response.status, response.length) == (200, None)
        body = bytearray()
        while data := response.read(1 << 20):
            body += data
    assert bytes(body) == CONTENT
    with pytest.raises(OriginFailed, match="declares no length"):
        client.open(url)


def test_a_body_that_is_not_wanted_is_no_failure(hostile: Hostile) -> None:
    """Dismissed after its headers an answer counts as ok, and only closed as abandoned."""
    outcomes: list[str] = []
    settings = quick(hostile.port)
    client = EgressClient(
        settings, resolve=resolve, listeners=Listeners(lambda outcome, seconds, size: outcomes.append(outcome))
    )
    url = client.parse(hostile.url("honest"))
    client.open(url).dismiss()
    client.open(url).close()
    assert outcomes == ["ok", "abandoned"]


def test_ranges(client: EgressClient, origin: Origin) -> None:
    """A range comes exactly as it was asked for."""
    origin.put("/a", CONTENT)
    url = origin.url("/a")
    assert read(client, url, byte_range=(1000, 2000)) == CONTENT[1000:2001]
    with client.open(client.parse(url), Asked(byte_range=(5, 9))) as response:
        assert (response.status, response.span, response.length) == (206, Span(5, 9, len(CONTENT)), 5)
    assert origin.seen[0].headers["range"] == "bytes=1000-2000"


@pytest.mark.parametrize("behaviour", ["honest", "lying_range", "no_range", "missing"])
def test_bad_ranges(client: EgressClient, hostile: Hostile, behaviour: str) -> None:
    """A range that is answered with another range, with none, with an error, or (where asked) whole is refused."""
    with pytest.raises(OriginFailed):
        client.open(client.parse(hostile.url(behaviour)), Asked(byte_range=(0, 99), whole_for_range=False))


def test_whole_for_range(client: EgressClient, hostile: Hostile) -> None:
    """An origin without ranges answers with its whole body, and the caller is told that it begins at 0."""
    with client.open(client.parse(hostile.url("honest")), Asked(byte_range=(10, 99))) as response:
        assert (response.status, response.span, response.length) == (200, None, len(CONTENT))


# Redirects


@pytest.mark.parametrize("status", ["300", "301", "302", "303", "307", "308"])
def test_redirects(client: EgressClient, hostile: Hostile, status: str) -> None:
    """A redirect is followed, relative or absolute, with a fragment dropped, and its own body never read."""
    for to in ("/honest", hostile.url("honest", NAME) + "#part"):
        with client.open(client.parse(hostile.url("redirect", to=to, status=status))) as response:
            assert response.url.target == "/honest"
    assert read(client, hostile.url("endless_redirect", to="/honest")) == CONTENT


def test_redirect_in_utf8(client: EgressClient, hostile: Hostile, origin: Origin) -> None:
    """Bytes of a Location that are not ASCII lead to the path with those bytes percent-encoded, whatever they spell."""
    origin.put("/%C3%BC", b"1")
    origin.put("/%FC", b"2")
    assert read(client, hostile.url("redirect", to=origin.url("/ü"))) == b"2"  # One byte, Latin-1
    to = origin.url("/ü").encode().decode("latin-1")
    assert read(client, hostile.url("redirect", to=to)) == b"1"


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://private.test.example/",
        "http://two.test.example/",
        "http://unknown.test.example/",
    ],
)
def test_redirect_to_a_forbidden_place(hostile: Hostile, to: str) -> None:
    """A redirect is decided like a first request, and nothing connects to where it may not lead."""
    tried = []

    def connect(host: str, port: int) -> socket.socket:
        tried.append(host)
        return begin_connect(host, port)

    client = EgressClient(quick(hostile.port, 80), resolve=resolve, connect=connect)
    with pytest.raises(LocationRefused) as caught:
        client.open(client.parse(hostile.url("redirect", to=to)))
    assert caught.value.message == UNREACHABLE
    assert set(tried) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "to",
    [
        "ftp://8.8.8.8/",
        "http://u:p@8.8.8.8/",
        "file:///etc/passwd",
        "//[::1",
        "http://a b.example/",
        "http:/path",
        "http://8.8.8.8\\@127.0.0.1/",
        "http://8.8.8.8:22/",
    ],
)
def test_redirect_to_a_bad_url(client: EgressClient, hostile: Hostile, to: str) -> None:
    """A redirect to what is no acceptable URL is refused."""
    with pytest.raises(OriginFailed, match="redirect"):
        client.open(client.parse(hostile.url("redirect", to=to)))


def test_redirect_from_https_to_http(
    hostile: Hostile, certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """No redirect leads from https to http."""
    with Hostile(certified(NAME)) as secure:
        client = EgressClient(quick(hostile.port, secure.port), resolve=resolve, tls=trusting)
        with pytest.raises(OriginFailed, match="from https to http"):
            client.open(client.parse(secure.url("redirect", NAME, to=hostile.url("honest"))))
        assert hostile.visits("honest") == 0


# TLS


def test_tls(certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext) -> None:
    """Over TLS the name of the URL is checked, while the connection goes to the address that was decided on."""
    with Origin(certified(NAME)) as origin:
        origin.put("/a", CONTENT)
        client = EgressClient(quick(origin.port), resolve=resolve, tls=trusting)
        assert read(client, origin.url("/a", NAME)) == CONTENT
        with pytest.raises(OriginFailed, match="certificate"):
            client.open(client.parse(origin.url("/a")))


def test_tls_by_address(certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext) -> None:
    """An address as host is checked against the certificate's addresses."""
    with Origin(certified("127.0.0.1")) as origin:
        origin.put("/a", b"1")
        assert read(EgressClient(quick(origin.port), tls=trusting), origin.url("/a")) == b"1"


def test_untrusted_certificate(certified: Callable[..., ssl.SSLContext]) -> None:
    """The system's trust store is the default, and an authority that it does not hold is refused."""
    with Origin(certified(NAME)) as origin:
        client = EgressClient(quick(origin.port), resolve=resolve)
        with pytest.raises(OriginFailed, match="certificate"):
            client.open(client.parse(origin.url("/a", NAME)))


def test_tls_to_a_plain_server(impatient: EgressClient, hostile: Hostile) -> None:
    """A server that does not speak TLS, or does not answer the handshake, is refused in time."""
    url = hostile.url("honest").replace("http:", "https:")
    with pytest.raises(OriginFailed):
        impatient.open(impatient.parse(url))


# Names and addresses


def test_mixed_addresses(client: EgressClient, origin: Origin) -> None:
    """A name that resolves to an allowed and a forbidden address is refused, and nothing is requested."""
    origin.put("/a", b"1")
    with pytest.raises(LocationRefused) as caught:
        client.open(client.parse(origin.url("/a", "two.test.example")))
    assert "169.254.169.254" in caught.value.reason
    assert "169.254" not in caught.value.message
    assert origin.seen == []


def test_address_that_changes_after_the_decision(origin: Origin) -> None:
    """A name is resolved once; the connection goes to the address that was decided on, whatever the name says later."""
    answers = iter([[ip_address("127.0.0.1")], [ip_address("127.0.0.2")]])
    tried = []

    def connect(host: str, port: int) -> socket.socket:
        tried.append(host)
        return begin_connect(host, port)

    origin.put("/a", b"1")
    client = EgressClient(quick(origin.port), resolve=lambda _: next(answers), connect=connect)
    assert read(client, origin.url("/a", NAME)) == b"1"
    assert tried == ["127.0.0.1"]
    assert list(answers) == [[ip_address("127.0.0.2")]]
    assert origin.seen[0].headers["host"].startswith(NAME)


def test_next_address(origin: Origin) -> None:
    """Where the first of a name's addresses does not answer, the next one is tried."""
    tried = []

    def connect(host: str, port: int) -> socket.socket:
        tried.append(host)
        if host == "8.8.8.8":
            raise ConnectionRefusedError
        return begin_connect(host, port)

    origin.put("/a", b"1")
    addresses = [ip_address("8.8.8.8"), ip_address("127.0.0.1")]
    client = EgressClient(quick(origin.port), resolve=lambda _: addresses, connect=connect)
    assert read(client, origin.url("/a", NAME)) == b"1"
    assert tried == ["8.8.8.8", "127.0.0.1"]


def test_system_names_are_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is asked for the absolute name, so that no search domain is tried, and for every address once."""
    asked = []

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(0, 0, 0, "", (text, 0)) for text in ("192.0.2.1", "fe80::1%lo", "192.0.2.1")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert system_resolve("mirror.example") == (ip_address("192.0.2.1"), ip_address("fe80::1"))
    assert asked == ["mirror.example."]


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_refusals_look_alike() -> None:
    """Unknown name, forbidden address and closed port give one message, in no less than the floor; reasons differ."""
    port = _closed_port()
    client = EgressClient(quick(port, refusal_floor_seconds=0.3), resolve=resolve)
    seen = []
    for host in ("unknown.test.example", "private.test.example", "10.0.0.1", "2130706434", "127.0.0.1", NAME):
        began = time.monotonic()
        with pytest.raises(LocationRefused) as caught:
            client.open(client.parse(f"http://{host}:{port}/"))
        assert 0.3 <= time.monotonic() - began < 1
        seen.append(caught.value)
    assert {error.message for error in seen} == {UNREACHABLE}
    assert len({error.reason for error in seen}) >= 4


def test_operator_host_is_not_resolved(origin: Origin) -> None:
    """A name of the operator's own is refused before anybody is asked for its address."""
    client = EgressClient(quick(origin.port, forbidden_hosts=frozenset({"test.example"})), resolve=pytest.fail)
    with pytest.raises(LocationRefused, match="may not be reached"):
        client.open(client.parse(origin.url("/a", NAME)))


def test_a_takedown_is_asked_about_before_the_name_is_resolved(
    origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    """What is blocked is refused with an error of its own, for any method, and the log has the attempt."""
    asked: list[str] = []

    def blocked(url: Url) -> str:
        asked.append(url.host)
        return "takedown-1"

    client = EgressClient(quick(origin.port), resolve=pytest.fail, blocked=blocked)
    for method in ("GET", "POST"):
        with pytest.raises(Blocked, match="takedown-1"):
            client.open(client.parse(origin.url("/a", NAME)), Asked(method))
    assert asked == [NAME, NAME]
    assert [vars(record)["egress"]["outcome"] for record in caplog.records if "egress" in vars(record)] == [
        "refused"
    ] * 2
    assert origin.seen == []


@pytest.mark.parametrize("location", ["http://[s3cr3t", "http://a\u2100s3cr3t/", "//user:s3cr3t@x/"])
def test_a_broken_redirect_is_not_quoted(
    client: EgressClient, origin: Origin, caplog: pytest.LogCaptureFixture, location: str
) -> None:
    """Neither the error nor the log repeats a Location that is no URL, since it may hold a signature."""
    caplog.set_level(logging.INFO)
    origin.refuse("/start", 302, {"Location": location.encode().decode("latin-1")})
    with pytest.raises(OriginFailed) as caught:
        client.open(client.parse(origin.url("/start")))
    assert "s3cr3t" not in f"{caught.value} {caught.value.reason} {[vars(record) for record in caplog.records]}"


def test_slow_name_blocks_nobody(origin: Origin) -> None:
    """A name that does not answer is given up at its deadline, and others are resolved meanwhile."""
    release = threading.Event()

    def slow(host: str) -> list[Address]:
        if host.startswith("slow"):
            release.wait(10)
        return [ip_address("127.0.0.1")]

    origin.put("/a", b"1")
    bounds = NameBounds(threads=1, slow_threads=1, patience=0.0, quick=0.1)
    client = EgressClient(quick(origin.port, resolve_seconds=0.2, name_bounds=bounds), resolve=slow)
    with pytest.raises(LocationRefused) as caught:
        client.open(client.parse(origin.url("/a", "slow.one.example")))
    assert "no answer" in caught.value.reason
    assert read(client, origin.url("/a", NAME)) == b"1"
    with pytest.raises(LocationRefused):
        client.open(client.parse(origin.url("/a", "slow.two.example")))
    with pytest.raises(OutboundBusy) as full:
        client.open(client.parse(origin.url("/a", NAME)))
    assert full.value.retry_after
    release.set()


def test_connection_that_hangs_ends_at_the_deadline(origin: Origin) -> None:
    """An address that never answers is unreachable, like a closed port."""
    with BlackHole() as hole:
        client = EgressClient(quick(origin.port, header_seconds=0.2), connect=lambda *_: hole.connect())
        with pytest.raises(LocationRefused) as caught:
            client.open(client.parse(origin.url("/a")))
    assert caught.value.message == UNREACHABLE


# Cancelling


def test_cancel_ends_a_blocked_read(client: EgressClient, hostile: Hostile) -> None:
    """A read that waits for the origin ends at once when another thread cancels."""
    client = EgressClient(quick(hostile.port, grace_seconds=20.0))
    with client.open(client.parse(hostile.url("stall"))) as response:
        timer = threading.Timer(0.2, response.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(OriginFailed, match="cancelled"):
            drain(response)
        assert time.monotonic() - began < 1
        timer.join()


def test_cancel_over_tls(certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext) -> None:
    """Cancelling works the same over TLS."""
    with Hostile(certified(NAME)) as hostile:
        client = EgressClient(quick(hostile.port, grace_seconds=20.0), resolve=resolve, tls=trusting)
        with client.open(client.parse(hostile.url("stall", NAME))) as response:
            timer = threading.Timer(0.2, response.cancel)
            timer.start()
            with pytest.raises(OriginFailed, match="cancelled"):
                drain(response)
            timer.join()


def test_cancelled_while_waiting_for_headers(hostile: Hostile) -> None:
    """A caller who is gone is noticed while the headers are waited for."""
    client = EgressClient(quick(hostile.port, header_seconds=20.0))
    gone = Cancellation()
    timer = threading.Timer(0.2, gone.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(OriginFailed, match="cancelled"):
        client.open(client.parse(hostile.url("silent")), cancellation=gone)
    assert time.monotonic() - began < 1.5
    timer.join()


# Loops, the proxy and the log


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


class ConnectProxy:
    """A proxy that records what it is asked to CONNECT to, and connects there where it is told to."""

    def __init__(self, willing: bool) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.asked: list[str] = []
        self._willing = willing
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        with client:
            self.asked.append(client.recv(65536).decode().split("\r\n")[0])
            if not self._willing:
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            host, _, port = self.asked[0].split(" ")[1].rpartition(":")
            with socket.create_connection((host, int(port)), 5) as origin:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                origin.sendall(client.recv(65536))
                while data := origin.recv(65536):
                    client.sendall(data)

    def stop(self) -> None:
        self._thread.join(5)
        self._listener.close()


def test_egress_proxy(origin: Origin) -> None:
    """With an egress proxy the name is still resolved and decided here, and the proxy is asked for the address."""
    origin.put("/a", b"1")
    proxy = ConnectProxy(willing=True)
    client = EgressClient(quick(origin.port, proxy=("127.0.0.1", proxy.port)), resolve=resolve)
    with pytest.raises(LocationRefused):
        client.open(client.parse(origin.url("/a", "private.test.example")))
    assert proxy.asked == []
    assert read(client, origin.url("/a", NAME)) == b"1"
    proxy.stop()
    assert proxy.asked == [f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1"]
    assert origin.seen[0].headers["host"] == f"{NAME}:{origin.port}"


def test_egress_proxy_that_refuses(origin: Origin) -> None:
    """A proxy that refuses the connection makes the origin unreachable."""
    proxy = ConnectProxy(willing=False)
    client = EgressClient(quick(origin.port, proxy=("127.0.0.1", proxy.port)), resolve=resolve)
    with pytest.raises(LocationRefused) as caught:
        client.open(client.parse(origin.url("/a", NAME)))
    proxy.stop()
    assert caught.value.message == UNREACHABLE
    assert "403" in caught.value.reason


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


def test_egress_proxy_that_does_not_speak(origin: Origin, hostile: Hostile) -> None:
    """A proxy that answers nonsense or not at all makes the origin unreachable too, so that nothing can be told
    apart.
    """
    for port in (_closed_port(), origin.port):
        client = EgressClient(quick(hostile.port, proxy=("127.0.0.1", port)), resolve=resolve)
        with pytest.raises(LocationRefused) as caught:
            client.open(client.parse(hostile.url("honest", NAME)))
        assert caught.value.message == UNREACHABLE
    assert hostile.visits("honest") == 0


def test_every_kind_of_address_is_asked_of_the_proxy() -> None:
    """An IPv6 address is put in brackets when the proxy is asked for it."""
    proxy = ConnectProxy(willing=False)
    client = EgressClient(quick(80, proxy=("127.0.0.1", proxy.port)))
    with pytest.raises(LocationRefused):
        client.open(client.parse("http://[2606:4700::1111]/"))
    proxy.stop()
    assert proxy.asked == ["CONNECT [2606:4700::1111]:80 HTTP/1.1"]
