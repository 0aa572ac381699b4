"""The record of an external location that was measured just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glare.domain.blob import External, LocationState

if TYPE_CHECKING:
    from glare.egress.measure import Measured
    from glare.operations.services import Services


def proven(services: Services, measured: Measured, location_id: str, url: str, *, confidential: bool) -> External:
    """The location at `url` as it is recorded: verified now, and due for its first check and full check."""
    now = services.clock()
    check_at, full_at = services.rules.verification.rhythm.first(now, services.chance())
    return External(
        url=url,
        confidential=confidential,
        state=LocationState.VERIFIED,
        proven_at=now,
        seen_at=now,
        etag=measured.etag,
        last_modified=measured.last_modified,
        id=location_id,
        check_at=check_at,
        full_at=full_at,
        as_sent=measured.as_sent,
    )
