"""Compare HTTP clients for the egress guard: throughput while measuring, and behaviour against three hostile origins.

Run it as ``PYTHONPATH=src python bench/egress_spike.py [MiB [candidate ...]]`` in an environment that has h11,
httpcore2, aiohttp and pycurl. It prints one table, which `docs/decisions/0010-http-client.md` quotes. Every candidate
offers the same two things: a synchronous `read(n)` that feeds `glare.digest.HashingPass`, and a deadline of `DEADLINE`
seconds until the headers are there. Each runs in a process of its own, so that CPU time and peak memory are its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from glare.digest import HashingPass

DEADLINE = 2.0
PIECE = 256 << 10
Reader = Callable[[int], bytes]


def serve(path: str, size: int, ready: Any) -> None:
    """The origin: ``/big`` by sendfile, ``/interim``, ``/huge`` and ``/drip`` for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    ready.send(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, path, size), daemon=True).start()


def answer(connection: socket.socket, path: str, size: int) -> None:
    target = [*connection.recv(65536).split(b" "), b"/", b"/"][1]
    try:
        if target == b"/big":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
            with Path(path).open("rb") as file:
                connection.sendfile(file)
            return
        while target == b"/interim":
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
            time.sleep(0.001)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while target == b"/huge":
            connection.sendall(b"X-Padding: " + b"x" * 4000 + b"\r\n")
        while target == b"/drip":
            connection.sendall(b"X-Drip: 1\r\n")
            time.sleep(0.1)
    except OSError:
        pass
    finally:
        connection.close()


def open_h11(port: int, target: str) -> Reader:
    import h11

    until = time.monotonic() + DEADLINE
    sock = socket.create_connection(("127.0.0.1", port), DEADLINE)
    state = h11.Connection(h11.CLIENT, max_incomplete_event_size=64 << 10)
    request = h11.Request(method="GET", target=target, headers=[("Host", "origin.test")])
    sock.sendall(state.send(request) or b"")
    state.send(h11.EndOfMessage())
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            sock.settimeout(max(0.001, until - time.monotonic()))
            state.receive_data(sock.recv(65536))
        elif isinstance(event, h11.Response):
            break
        if time.monotonic() > until:
            raise TimeoutError("deadline")
    rest, _ = state.trailing_data
    left = int(dict(event.headers)[b"content-length"]) - len(rest)
    waiting = [rest] if rest else []

    def read(n: int) -> bytes:
        nonlocal left
        if waiting:
            return waiting.pop()
        data = sock.recv(min(n, left)) if left else b""
        left -= len(data)
        return data

    return read


def open_httpcore2(port: int, target: str) -> Reader:
    import httpcore2

    until = time.monotonic() + DEADLINE

    class Stream(httpcore2.NetworkStream):  # type: ignore[misc]  # The client is not installed where this is checked.
        headers = True

        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            if self.headers:
                self.sock.settimeout(max(0.001, until - time.monotonic()))
            if self.headers and time.monotonic() > until:
                raise httpcore2.ReadTimeout("deadline")
            return self.sock.recv(max_bytes)

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self.sock.sendall(buffer)

        def close(self) -> None:
            self.sock.close()

        def get_extra_info(self, info: str) -> Any:
            return None

    class Backend(httpcore2.NetworkBackend):  # type: ignore[misc]  # The client is not installed where this is checked.
        def connect_tcp(self, *_: Any, **__: Any) -> Any:
            self.stream = Stream(socket.create_connection(("127.0.0.1", port), DEADLINE))
            return self.stream

    backend = Backend()
    pool = httpcore2.ConnectionPool(network_backend=backend)
    url, headers = f"http://origin.test:{port}{target}", {"Host": "origin.test"}
    response = pool.handle_request(httpcore2.Request("GET", url, headers=headers))
    backend.stream.headers = False
    chunks = response.iter_stream()

    def read(_n: int, pool: Any = pool) -> bytes:  # The pool is kept, or its end would close the connection.
        return next(chunks, b"")

    return read


def open_aiohttp(port: int, target: str) -> Reader:
    import aiohttp

    class Resolver(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> Any:
            return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

        async def close(self) -> None:
            pass

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def start() -> Any:
        connector = aiohttp.TCPConnector(resolver=Resolver(), force_close=True)
        session = aiohttp.ClientSession(connector=connector, auto_decompress=False, read_bufsize=PIECE)
        async with asyncio.timeout(DEADLINE):
            return await session.get(f"http://origin.test:{port}{target}", allow_redirects=False)

    response = asyncio.run_coroutine_threadsafe(start(), loop).result()
    return lambda n: asyncio.run_coroutine_threadsafe(response.content.read(n), loop).result()


def open_pycurl(port: int, target: str) -> Reader:
    import pycurl

    pieces: queue.Queue[bytes | Exception] = queue.Queue(8)
    until = time.monotonic() + DEADLINE
    started = threading.Event()

    def body(data: bytes) -> None:
        started.set()
        pieces.put(data)

    def progress(*_: int) -> int:
        return int(not started.is_set() and time.monotonic() > until)

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"http://origin.test:{port}{target}")
    curl.setopt(pycurl.RESOLVE, [f"origin.test:{port}:127.0.0.1"])
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.BUFFERSIZE, PIECE)
    curl.setopt(pycurl.NOPROGRESS, 0)
    curl.setopt(pycurl.XFERINFOFUNCTION, progress)
    curl.setopt(pycurl.WRITEFUNCTION, body)

    def run() -> None:
        try:
            curl.perform()
            pieces.put(b"")
        except pycurl.error as error:
            pieces.put(error)

    threading.Thread(target=run, daemon=True).start()

    def read(_n: int) -> bytes:
        piece = pieces.get()
        if isinstance(piece, Exception):
            raise piece
        return piece

    return read


CANDIDATES: dict[str, Callable[[int, str], Reader]] = {
    "h11": open_h11,
    "httpcore2": open_httpcore2,
    "aiohttp": open_aiohttp,
    "pycurl": open_pycurl,
}


def transfer(name: str, port: int, out: Any) -> None:
    """Read ``/big`` while it is measured: seconds, CPU seconds, peak RSS in MiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(4) as pool:
        hashing = HashingPass(pool)
        read = CANDIDATES[name](port, "/big")
        buffer = bytearray()
        while data := read(PIECE):
            buffer += data
            if len(buffer) >= PIECE:
                hashing.update(bytes(buffer))
                buffer.clear()
        hashing.update(bytes(buffer))
        size = hashing.finish().size
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out.send(
        f"{size / 1e6 / seconds:6.0f} MB/s  cpu {time.process_time() - cpu:5.2f} s  rss +{(peak - before) // 1024} MiB"
    )


def behave(name: str, port: int, target: str, out: Any) -> None:
    """How a hostile answer ends: the exception and when."""
    began = time.perf_counter()
    try:
        read = CANDIDATES[name](port, target)
        read(1)
        ending = "answered"
    except Exception as error:  # noqa: BLE001 - each client has errors of its own, and all of them are the finding.
        ending = f"{type(error).__module__}.{type(error).__name__}: {error}"[:90]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    out.send(f"{time.perf_counter() - began:5.2f} s  peak {peak} MiB  {ending}")


def in_process(function: Callable[..., None], *args: Any) -> str:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=function, args=(*args, theirs), daemon=True)
    process.start()
    result = str(ours.recv()) if ours.poll(60) else "no end after 60 s"
    process.kill()
    process.join()
    return result


def main() -> None:
    size = int(sys.argv[1] if len(sys.argv) > 1 else 512) << 20
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(size)
        ours, theirs = multiprocessing.Pipe()
        origin = multiprocessing.Process(target=serve, args=(file.name, size, theirs), daemon=True)
        origin.start()
        port = ours.recv()
        for name in sys.argv[2:] or CANDIDATES:
            for _ in range(3):
                print(f"{name:10} big      {in_process(transfer, name, port)}", flush=True)
            for target in ("/interim", "/huge", "/drip"):
                print(f"{name:10} {target[1:]:8} {in_process(behave, name, port, target)}", flush=True)
        origin.kill()


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
