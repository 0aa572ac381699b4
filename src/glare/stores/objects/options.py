"""What an operator says about an object store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

EXTRA: Final = "glare-server[s3]"
"""What has to be installed."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long is waited, in seconds: for a connection, for the answer to one request of a bounded size, for the next
    bytes of a stream. A request that fails is repeated up to `retries` times while `retry_time` lasts, after pauses
    that grow up to `longest_pause`.
    """

    connect: float
    request: float
    stall: float
    retries: int
    retry_time: float
    longest_pause: float = 5.0


@dataclass(frozen=True, slots=True)
class S3Options:
    """A bucket of S3, or of what speaks it.

    `endpoint` is a URL, None for AWS. `path_style` says whether the bucket stands in the path rather than in the name
    of the host. Credentials that are None are looked for where the AWS tools look for them.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None
    path_style: bool
    ca_file: Path | None
    times: Times
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    credentials_file: Path | None = None
    profile: str | None = None
