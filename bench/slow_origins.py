"""Web servers on many addresses of loopback that are honest until a file says otherwise.

    python bench/slow_origins.py PORT FLAG ADDRESS...

The path says how they misbehave while the file FLAG is there: ``/drip/…`` sends 18 KB a second, ``/silent/…`` accepts
and never answers, ``/crumbs/…`` sends pieces of 112 bytes, ``/noranges/…`` knows no ranges (also without the file),
``/good/…`` is always honest. The query ``size`` is the length of the content, every 256 bytes of which are the same.
"""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import suppress
from pathlib import Path

_BLOCK = bytes(range(256)) * 4096
_REQUEST = re.compile(rb"GET /(\w+)/[^ ?]*\?size=(\d+) HTTP/1\.1\r\n")
_RANGE = re.compile(rb"\r\nrange: bytes=(\d+)-(\d+)\r\n", re.IGNORECASE)
_DRIP = 1800
_DRIPS_A_SECOND = 10
_CRUMB = 112


class Origin:
    """All servers together; `flag` is the file whose existence makes them hostile."""

    def __init__(self, flag: Path) -> None:
        self._flag = flag

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        asked = _REQUEST.match(head)
        if asked is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        kind, size = asked[1].decode(), int(asked[2])
        hostile = self._flag.exists()
        if kind == "silent" and hostile:
            await asyncio.sleep(3600)
        span = _RANGE.search(head) if kind != "noranges" else None
        first, last = (int(span[1]), min(int(span[2]), size - 1)) if span else (0, size - 1)
        status = f"206 Partial Content\r\nContent-Range: bytes {first}-{last}/{size}" if span else "200 OK"
        length = last - first + 1
        writer.write(f'HTTP/1.1 {status}\r\nETag: "{size}"\r\nContent-Length: {length}\r\n\r\n'.encode())
        await self._send(kind if hostile else "good", first, length, writer)

    async def _send(self, kind: str, first: int, left: int, writer: asyncio.StreamWriter) -> None:
        piece = {"drip": _DRIP, "crumbs": _CRUMB}.get(kind, len(_BLOCK))
        count = 0
        while left:
            offset = first % 256
            data = _BLOCK[offset : offset + min(piece, left, len(_BLOCK) - 256)]
            writer.write(data)
            await writer.drain()
            first, left, count = first + len(data), left - len(data), count + 1
            if kind == "drip":
                await asyncio.sleep(1 / _DRIPS_A_SECOND)
            elif kind == "crumbs":
                await asyncio.sleep(0)


async def main(port: int, flag: Path, addresses: list[str]) -> None:
    """Serve until killed."""
    origin = Origin(flag)
    for address in addresses:
        await asyncio.start_server(origin.serve, address, port, backlog=1024)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
