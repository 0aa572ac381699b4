"""The ``CDN-Loop`` header (RFC 8586), which keeps two services from sending one request to each other for ever."""

from __future__ import annotations

from typing import Final

_MAX: Final = 2048


def passed_through(incoming: str, own: str) -> bool:
    """Whether the value of an incoming ``CDN-Loop`` says that the request has come through the service `own` before.

    A value too long to be carried on counts as a loop.
    """
    ids = (entry.partition(";")[0].strip().lower() for entry in incoming.split(","))
    return len(incoming) > _MAX or own.lower() in ids


def carried_on(incoming: str, own: str) -> str:
    """The value to send: what came in, without characters that a header cannot carry, and `own`."""
    clean = "".join(character for character in incoming if " " <= character <= "~").strip()
    return f"{clean}, {own}" if clean else own
