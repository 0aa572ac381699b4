"""Azurite, the emulator of Azure Blob Storage that Microsoft keeps: `azurite` of npm. And containers in it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit
from xml.etree import ElementTree as ET

from environments import NoEnvironmentError
from glare.stores.objects.options import AzureOptions
from server_process import ServerProcess, free_ports
from support.programs.npm import NoProgramError, NpmProgram, give_up
from support.programs.seaweedfs import TIMES

AZURITE: Final = NpmProgram(words="Azurite", sources=Path(__file__).with_name("azurite_emulator"), name=".venv-azurite")
ACCOUNT: Final = "devstoreaccount1"
ACCOUNT_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has, with the key that its documentation prints."""

CONTAINER: Final = "glare-tests"
"""The container of all tests, which have prefixes of their own in it."""

_VERSION: Final = "2021-12-02"


@dataclass(frozen=True, slots=True)
class Azurite:
    """One that runs; it keeps what it is given in memory."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"


@contextmanager
def running_azurite(folder: Path) -> Iterator[Azurite]:
    """An Azurite with an empty container until the block ends. Where there can be none, the test is skipped, or fails
    if everything is required.
    """
    (port,) = free_ports(1)
    process = ServerProcess("Azurite", folder / "azurite.log", grace=0.5)
    try:
        program = AZURITE.made() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        words = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--disableTelemetry"]
        words += ["--silent", "--skipApiVersionCheck"]
        process.start(["node", str(program), *words], folder, {"HOME": str(folder)}, lambda: _answers(port))
    except (NoProgramError, NoEnvironmentError) as reason:
        give_up(reason)
    try:
        server = Azurite(port)
        ask(in_container(server.endpoint), "PUT", {"restype": "container"})
        yield server
    finally:
        process.stop()


def in_container(endpoint: str, **changes: Any) -> AzureOptions:
    """Options for the container, changed where a test says so."""
    options = AzureOptions(
        prefix="",
        endpoint=endpoint,
        ca_file=None,
        times=TIMES,
        account=ACCOUNT,
        container=CONTAINER,
        account_key=ACCOUNT_KEY,
    )
    return replace(options, **changes)


def uncommitted(options: AzureOptions) -> list[str]:
    """Keys with blocks that were never made a blob, of which obstore knows nothing."""
    query = {"restype": "container", "comp": "list", "prefix": options.prefix}
    every = ask(options, "GET", query | {"include": "uncommittedblobs"})
    whole = ask(options, "GET", query)
    return sorted(_names(every) - _names(whole))


def ask(options: AzureOptions, method: str, query: Mapping[str, str]) -> bytes:
    """What the container answers to a request that is signed with the account's key."""
    assert options.endpoint is not None
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
    url = f"{options.endpoint}/{options.container}?{'&'.join(f'{name}={quote(query[name])}' for name in query)}"
    place = urlsplit(url)
    lines = [method, *[""] * 11, *(f"{name}:{headers[name]}" for name in sorted(headers))]
    lines += [f"/{options.account}{place.path}", *(f"{name}:{text}" for name, text in sorted(parse_qsl(place.query)))]
    signature = _signed("\n".join(lines))
    headers |= {"Authorization": f"SharedKey {options.account}:{signature}", "Content-Length": "0"}
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - its own URL, http as it is
    # A proxy of the environment has no say about loopback.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        found: bytes = answer.read()
    return found


def sas_token(permissions: str) -> str:
    """A shared access signature of the container."""
    fields = {"sv": _VERSION, "sr": "c", "sp": permissions, "se": "2099-01-01T00:00:00Z"}
    lines = [permissions, "", fields["se"], f"/blob/{ACCOUNT}/{CONTAINER}", "", "", "", _VERSION, "c", *[""] * 7]
    fields["sig"] = _signed("\n".join(lines))
    return "&".join(f"{name}={quote(text, safe='')}" for name, text in fields.items())


def _signed(text: str) -> str:
    digest = hmac.new(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _names(answer: bytes) -> set[str]:
    return {blob.findtext("Name", "") for blob in ET.fromstring(answer).iter("Blob")}  # noqa: S314 - our own server's


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
