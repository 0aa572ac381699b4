"""Which hosts are of one owner, as far as their names tell."""

from __future__ import annotations

from typing import Final

_SECOND_LEVELS: Final = frozenset({"ac", "co", "com", "edu", "go", "gob", "gov", "ne", "net", "or", "org"})


def site_of(host: str) -> str:
    """The registered domain of a name, as well as it can be told without a list of all registries; an address
    itself.
    """
    if ":" in host or host.replace(".", "").isdigit():
        return host
    labels = host.rstrip(".").lower().split(".")
    deep = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS
    return ".".join(labels[-3 if deep else -2 :])
