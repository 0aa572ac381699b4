"""How people write durations and sizes: `90`, `90 s`, `5 m`, `30 d`; `1048576`, `64 KiB`, `2 GB`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
"""Units of time, in seconds. A number without a unit is seconds."""

BYTES = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
}
"""Units of size, in bytes, in lower case. A number without a unit is bytes."""

DAY: Final = 86400.0
KIB: Final = 1024
MIB: Final = 1024**2
GIB: Final = 1024**3

_QUANTITY = re.compile(r"\s*(-?\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds, from `90`, `1.5 h` or `30d`; ValueError for anything else."""
    number, unit = _quantity(text)
    if unit and unit not in SECONDS:
        raise ValueError(f"{unit} is no unit of time")
    return float(number) * SECONDS[unit or "s"]


def parse_size(text: str) -> int:
    """Whole bytes, from `1048576`, `64 KiB` or `2GB`; ValueError for anything else. -1 is for the caller to judge."""
    number, unit = _quantity(text)
    if unit and unit.lower() not in BYTES:
        raise ValueError(f"{unit} is no unit of size")
    # Exact: a float would round sizes above 8 PiB.
    size = Decimal(number) * BYTES[unit.lower() or "b"]
    if size != int(size):
        raise ValueError("not a whole number of bytes")
    return int(size)


def show_duration(seconds: float) -> str:
    """The shortest way to write so many seconds: `90 s`, `1 h`, `30 d`."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % SECONDS[unit] == 0:
            return f"{seconds / SECONDS[unit]:.0f} {unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"


def show_size(size: int) -> str:
    """The shortest way to write so many bytes: `64 KiB`, `1000 B`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % BYTES[unit.lower()] == 0:
            return f"{size // BYTES[unit.lower()]} {unit}"
    return f"{size} B"


def _quantity(text: str) -> tuple[str, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError("not a number with a unit")
    return match[1], match[2]
