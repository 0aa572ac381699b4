"""The attacks of `attacks.py`, as a process of its own: it goes on until it is killed.

    python bench/attackers.py NAME DESCRIPTION

DESCRIPTION is JSON: ``port`` of the service, ``sources`` (addresses that connections come from), and what the attack
needs besides. Everything goes to 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

Attack = Callable[["Service"], Awaitable[None]]

_LIST: Final = "/artifacts/images?limit=1000"


class Service:
    """What is attacked."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.described = described
        self._sources = described["sources"]
        self._opened = 0

    def __getitem__(self, name: str) -> Any:
        return self.described[name]

    async def connect(self) -> socket.socket:
        """A connection from the next source. Raises OSError."""
        source = self._sources[self._opened % len(self._sources)]
        self._opened += 1
        sock = socket.socket()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: sources share the range of ports.
            sock.bind((source, 0))
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self["port"])), 5)
        except BaseException:
            sock.close()
            raise
        return sock

    async def send(self, sock: socket.socket, data: bytes) -> None:
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(sock, data), 30)

    def head(self, method: str, path: str, token: str | None = "", extra: str = "") -> bytes:
        """The head of a request; the attacker's token unless another one, or None, is given."""
        chosen = self["token"] if token == "" else token
        credentials = f"X-Auth-Token: {chosen}\r\n" if chosen else ""
        return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{credentials}{extra}\r\n".encode()


async def _held(service: Service, count: int, data: bytes, *, renew: bool = True) -> None:
    """So many connections that send `data` and read nothing. What the service closes is opened again, all twice a
    second.
    """
    held: list[socket.socket] = []
    while True:
        alive = []
        for sock in held:
            try:
                ended = not sock.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                ended = False
            except OSError:
                ended = True
            if ended:
                sock.close()
            else:
                alive.append(sock)
        held = alive
        while len(held) < count:
            try:
                sock = await service.connect()
                await service.send(sock, data)
            except (OSError, TimeoutError):
                break
            held.append(sock)
        await asyncio.sleep(0.5 if renew else 3600)


async def _in_parallel(count: int, work: Callable[[], Awaitable[None]]) -> None:
    async def again() -> None:
        while True:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                await work()
            await asyncio.sleep(0.01)

    await asyncio.gather(*(again() for _ in range(count)))


async def closers(service: Service) -> None:
    """3 000 connections at a time that ask for a list and close at once."""

    async def one() -> None:
        sock = await service.connect()
        try:
            await service.send(sock, service.head("GET", _LIST))
        finally:
            sock.close()

    await _in_parallel(3000, one)


async def listers(service: Service) -> None:
    """2 000 connections of one project that list."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection(sock=await service.connect())
        try:
            while True:
                writer.write(service.head("GET", _LIST))
                await _answer(reader)
        finally:
            writer.close()

    await _in_parallel(2000, one)


async def _answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        while (size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)) or not await reader.readexactly(2):
            await reader.readexactly(size + 2)
    else:
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
    if not head.startswith(b"http/1.1 200"):
        await asyncio.sleep(0.05)


async def unread_files(service: Service) -> None:
    """4 200 anonymous downloads of a public file that are never read."""
    await _held(service, 4200, service.head("GET", service["public"], None))


async def unread_ranges(service: Service) -> None:
    """60 ranges of a verified download at a time, never read, five rounds of them."""
    await _held(service, 300, service.head("GET", service["verified"], extra="Range: bytes=5-\r\n"))


async def unread_lists(service: Service) -> None:
    """60 lists of 100 artifacts of 260 KB, never read."""
    await _held(service, 60, service.head("GET", "/artifacts/heat_templates?limit=100"))


async def unfinished_heads(service: Service) -> None:
    """4 200 heads that never end."""
    await _held(service, 4200, b"GET /artifacts/images HTTP/1.1\r\nHost: x\r\nX-A: ")


async def idle(service: Service) -> None:
    """4 200 connections that are kept alive and say no more."""
    await _held(service, 4200, service.head("GET", "/healthz", None))


async def dripping_documents(service: Service) -> None:
    """1 500 anonymous documents of 1.3 MB whose last bytes come one in 7 seconds."""
    head = service.head(
        "POST", "/artifacts/images", None, "Content-Type: application/json\r\nContent-Length: 1400000\r\n"
    )

    async def one() -> None:
        sock = await service.connect()
        try:
            await service.send(sock, head + b"[" + b" " * 1_300_000)
            while True:
                await asyncio.sleep(7)
                await service.send(sock, b" ")
        finally:
            sock.close()

    await _in_parallel(1500, one)


async def dripping_uploads(service: Service) -> None:
    """64 uploads of two projects at 2 KiB a second."""
    made = iter(service["drafts"] * 1000)

    async def one() -> None:
        path, token = next(made)
        sock = await service.connect()
        try:
            extra = "Content-Type: application/octet-stream\r\nContent-Length: 100000000\r\n"
            await service.send(sock, service.head("PUT", path, token, extra))
            while True:
                await service.send(sock, b"x" * 2048)
                await asyncio.sleep(1)
        finally:
            sock.close()

    await _in_parallel(64, one)


async def jobs(service: Service) -> None:
    """Recordings and checks of origins that drip or never answer: all are asked for at once, and again."""
    for path, body in service["recordings"]:
        await _ask(service, "PUT", path, body, "application/vnd+openstack.glare-custom-location+json")
    while True:
        for path in service["checks"]:
            await _ask(service, "POST", path, b"", "application/json")
        await asyncio.sleep(2)


async def _ask(service: Service, method: str, path: str, body: Any, kind: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    extra = f"Content-Type: {kind}\r\nPrefer: respond-async\r\nOpenStack-API-Version: artifact latest\r\n"
    extra += f"Content-Length: {len(data)}\r\nConnection: close\r\n"
    with suppress(OSError, TimeoutError):
        reader, writer = await asyncio.open_connection(sock=await service.connect())
        writer.write(service.head(method, path, extra=extra) + data)
        await asyncio.wait_for(reader.read(), 20)
        writer.close()


async def readers(service: Service) -> None:
    """Anonymous or other readers of `paths`, as many as `count` says, who read everything."""
    paths = iter(service["paths"] * 100_000)

    async def one() -> None:
        reader, writer = await asyncio.open_connection(sock=await service.connect())
        try:
            extra = f"Connection: close\r\n{service['extra']}"
            writer.write(service.head("GET", next(paths), service["reader"], extra))
            while await reader.read(1 << 16):
                pass
        finally:
            writer.close()

    await _in_parallel(service["count"], one)


async def writers(service: Service) -> None:
    """24 writers of one project, each as fast as it may: new artifacts with many values, changed and deleted again."""
    numbers = iter(range(10_000_000))
    metadata = {f"key{number}": "v" * 200 for number in range(200)}

    async def one() -> None:
        reader, writer = await asyncio.open_connection(sock=await service.connect())
        try:
            while True:
                body = json.dumps({"name": f"w{next(numbers)}", "metadata": metadata, "tags": [*metadata]}).encode()
                extra = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                writer.write(service.head("POST", "/artifacts/images", extra=extra) + body)
                await _answer(reader)
        finally:
            writer.close()

    await _in_parallel(24, one)


async def probes(service: Service) -> None:
    """300 clients that ask for health, readiness and numbers without a pause, and 100 that ask and never read."""
    paths = iter(("/healthz", "/readyz", "/metrics") * 1_000_000)

    async def one() -> None:
        reader, writer = await asyncio.open_connection(sock=await service.connect())
        try:
            writer.write(service.head("GET", next(paths), None, "Connection: close\r\n"))
            await reader.read()
        finally:
            writer.close()

    await asyncio.gather(_in_parallel(300, one), _held(service, 100, service.head("GET", "/metrics", None) * 8))


async def small_chunks(service: Service) -> None:
    """64 documents in chunks of a byte, and 64 uploads in chunks of 16, as fast as they are taken."""
    uploads = iter(service["drafts"] * 1000)
    byte, line = b"1\r\n \r\n" * 10_000, b"10\r\n0123456789abcdef\r\n" * 3_000
    framing = "Transfer-Encoding: chunked\r\nContent-Type: "

    async def send(head: bytes, chunks: bytes) -> None:
        sock = await service.connect()
        try:
            await service.send(sock, head)
            while True:
                await service.send(sock, chunks)
        finally:
            sock.close()

    async def document() -> None:
        await send(service.head("POST", "/artifacts/images", extra=f"{framing}application/json\r\n"), byte)

    async def upload() -> None:
        await send(service.head("PUT", next(uploads), extra=f"{framing}application/octet-stream\r\n"), line)

    await asyncio.gather(_in_parallel(64, document), _in_parallel(64, upload))


async def unread_changes(service: Service) -> None:
    """1 000 clients that change an artifact of 260 KB and never read the answer."""
    body = json.dumps([{"op": "replace", "path": "/description", "value": "changed"}]).encode()
    extra = f"Content-Type: application/json-patch+json\r\nContent-Length: {len(body)}\r\n"
    await _held(service, 1000, service.head("PATCH", service["large"], extra=extra) + body)


async def closing_readers(service: Service) -> None:
    """1 000 readers of an answer of 200 KB on connections that end with it: they take a byte now and then."""
    request = service.head("GET", service["small"], None, "Connection: close\r\n")

    async def one() -> None:
        sock = await service.connect()
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await service.send(sock, request)
            for _ in range(1000):
                if not await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1), 30):
                    return
                await asyncio.sleep(5)
        finally:
            sock.close()

    await _in_parallel(1000, one)


async def unfinished_handshakes(service: Service) -> None:
    """4 200 connections that begin to shake hands and say no more, half of them after a whole first message."""
    whole = _hello()
    await asyncio.gather(_held(service, 2100, whole), _held(service, 2100, whole[:20]))


def _hello() -> bytes:
    """What a client of TLS says first."""
    sent = ssl.MemoryBIO()
    client = _trusting().wrap_bio(ssl.MemoryBIO(), sent)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def handshakes(service: Service) -> None:
    """100 clients that shake hands, which costs the service more than them, and leave."""
    context = _trusting()

    async def one() -> None:
        _, writer = await asyncio.open_connection(sock=await service.connect(), ssl=context, server_hostname="")
        writer.transport.abort()

    await _in_parallel(100, one)


async def refused(service: Service) -> None:
    """Not an attack: asks for a list 10 times a second, and prints how many milliseconds each refusal took."""
    while True:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(sock=await service.connect())
            began = asyncio.get_running_loop().time()
            writer.write(service.head("GET", _LIST, extra="Connection: close\r\n"))
            head = await reader.readuntil(b"\r\n\r\n")
            if head.split(b" ")[1] in (b"429", b"503"):
                print((asyncio.get_running_loop().time() - began) * 1000, flush=True)
            writer.close()
        await asyncio.sleep(0.1)


ATTACKS: Final[dict[str, Attack]] = {
    attack.__name__: attack
    for attack in (
        *(closers, listers, unread_files, unread_ranges, unread_lists, unfinished_heads, idle, dripping_documents),
        *(dripping_uploads, jobs, readers, writers, probes, small_chunks, unread_changes, closing_readers, refused),
        *(unfinished_handshakes, handshakes),
    )
}

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(ATTACKS[sys.argv[1]](Service(json.loads(sys.argv[2]))))
