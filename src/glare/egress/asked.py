"""What a caller of the guarded client asks an origin for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: what is sent, and which answers are taken.

    `byte_range` is first and last byte, inclusive (None for the end): accepted are a 206 with exactly that range, with
    `partial` also with a beginning of it, and, unless `whole_for_range` is off, the 200 of an origin that knows no
    ranges. Without a range `statuses` are accepted; None accepts any status, with a range too. `cdn_loop` is the value
    of ``CDN-Loop`` that the request which caused this one came with. `provable` is for who can prove the bytes, or does
    not want them: see `Wanted`. `hurried` is for who can ask another origin, and gives this one less time for a first
    sign of life.
    """

    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    byte_range: tuple[int, int | None] | None = None
    whole_for_range: bool = True
    statuses: Collection[int] | None = (200,)
    cdn_loop: str = ""
    provable: bool = False
    hurried: bool = False
    partial: bool = False

    @property
    def accepted(self) -> Collection[int] | None:
        """The statuses that are taken, None for any."""
        if self.byte_range is None or self.statuses is None:
            return self.statuses
        return (206, 200) if self.whole_for_range else (206,)


PLAIN_GET: Final = Asked()
