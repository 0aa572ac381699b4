"""What clients say of the data that they send or name. It is compared with what is measured, never stored."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from glare.digest import Content
from glare.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Claims:
    """Digests (lower-case hex) that a client sent with its data. They are compared with what is measured, never
    stored.
    """

    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None
    size: int | None = None

    def check(self, content: Content, source: str) -> None:
        """Raises `BadRequest` naming the first claim that is not equal to what was measured of `source`."""
        if self.size is not None and self.size != content.size:
            raise BadRequest(
                f"{source} has {content.size} bytes, not the {self.size} that were claimed; nothing was stored."
            )
        for name in ("sha256", "sha1", "md5"):
            claimed: str | None = getattr(self, name)
            measured: str = getattr(content.digests, name)
            if claimed is not None and not hmac.compare_digest(claimed.lower(), measured):
                raise BadRequest(
                    f"The {name} of {source} is {measured}, not the claimed {claimed.lower()}; nothing was stored."
                )
