"""Settings and names for tests of everything that goes out."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network
from typing import Any

from glare.egress.asked import Asked
from glare.egress.client import EgressClient
from glare.egress.decision import Address
from glare.egress.response import Response
from glare.egress.settings import EgressSettings

NAME = "mirror.test.example"
LOOPBACK = (ip_network("127.0.0.1/32"),)

NAMES = {
    NAME: ["127.0.0.1"],
    "two.test.example": ["127.0.0.1", "169.254.169.254"],
    "private.test.example": ["10.1.2.3"],
    **{f"mirror.site{number}.example": ["127.0.0.1"] for number in range(14)},
}
"""What `resolve` knows. The last ones have nothing to do with one another."""


def resolve(host: str) -> list[Address]:
    """A resolver that knows `NAMES` and nothing else."""
    if host not in NAMES:
        raise OSError("unknown name")
    return [ip_address(address) for address in NAMES[host]]


def quick(*ports: int, **changes: object) -> EgressSettings:
    """Settings with short times that reach 127.0.0.1 and nothing else beyond the global addresses."""
    values: dict[str, object] = {
        "ports": frozenset(ports),
        "opened_networks": LOOPBACK,
        "header_seconds": 5.0,
        "body_seconds": 10.0,
        "grace_seconds": 0.5,
        "window_seconds": 0.3,
        "minimum_rate": 10_000,
        "max_redirects": 3,
        "refusal_floor_seconds": 0.0,
        "cdn_loop_id": "glare-test",
    }
    return EgressSettings(**{**values, **changes})  # type: ignore[arg-type]  # Tests name single fields.


def read(client: EgressClient, url: str, **options: Any) -> bytes:
    """The whole body."""
    with client.open(client.parse(url), Asked(**options)) as response:
        return b"".join(iter(lambda: response.read(50_000), b""))


def drain(response: Response) -> None:
    """Read to the end."""
    while response.read(50_000):
        pass


def closed_port() -> int:
    """A port on loopback at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
