"""Hints for who misspelled a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_LONGEST: Final = 64
"""Names of types and fields are no longer; what is, is compared with none."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause that names the one of `known` that `name` is most like, to stand behind another one; empty where there
    is none. `known` holds only what the caller may know.
    """
    if len(name) > _LONGEST:
        return ""
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
    return f"; did you mean '{by_lower[close[0]]}'?" if close else ""
