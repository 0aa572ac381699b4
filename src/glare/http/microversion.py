"""Which version of the API a request asks for."""

from __future__ import annotations

import re
from typing import Final

from glare.domain.microversion import Microversion
from glare.errors import BadRequest, InvalidGlobalAPIVersion
from glare.http.media_types import VERSIONED

MINIMUM: Final = Microversion(1, 0)
MAXIMUM: Final = Microversion(1, 3)
DEFAULT: Final = MINIMUM

_SERVICE: Final = "artifact"
_WELL_FORMED: Final = re.compile(r"([1-9]\d{0,8})\.(0|[1-9]\d{0,8})")


def negotiate(accept: str | None, api_version: str) -> Microversion:
    """The microversion that the ``Accept`` and ``OpenStack-API-Version`` headers ask for.

    ``Accept`` wins where it starts with the artifacts media type. Raises `BadRequest` for a malformed version,
    `InvalidGlobalAPIVersion` for one that is out of range.
    """
    if accept is not None and accept.startswith(VERSIONED):
        return _parse(accept[len(VERSIONED) :])
    for entry in api_version.split(","):
        service, *version = entry.split() or [""]
        if service.lower() == _SERVICE:
            return _parse(" ".join(version))
    return DEFAULT


def _parse(text: str) -> Microversion:
    if text == "latest":
        return MAXIMUM
    found = _WELL_FORMED.fullmatch(text)
    if found is None:
        raise BadRequest(f"API version '{text[:64]}' is malformed; give 'latest' or a version such as {MAXIMUM}.")
    version = Microversion(int(found[1]), int(found[2]))
    if not MINIMUM <= version <= MAXIMUM:
        raise InvalidGlobalAPIVersion(
            f"API version {version} is not supported; the lowest is {MINIMUM}, the highest is {MAXIMUM}."
        )
    return version
