"""What the operating system says of the processes of the service. Where it has no /proc, that is nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "glare_process_"


def numbers(processes: Iterable[int], proc: Path = Path("/proc")) -> dict[str, dict[tuple[str, ...], float]]:
    """Gauges of these processes, by name and by the label of the process's id. One that has ended meanwhile is left
    out.
    """
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for process in processes:
        with suppress(OSError, ValueError, IndexError, KeyError):
            for name, value in _of(proc, process).items():
                found.setdefault(_PREFIX + name, {})[(str(process),)] = value
    return found


def _of(proc: Path, process: int) -> dict[str, float]:
    place = proc / str(process)
    # The second field is the program's name in parentheses, and may hold anything; the third follows the last
    # parenthesis.
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    found = {
        "resident_bytes": float(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        "threads": float(fields[17]),
        "cpu_seconds": (float(fields[11]) + float(fields[12])) / ticks,
        "start_time_seconds": _booted(proc) + float(fields[19]) / ticks,
        "open_fds": float(sum(1 for _ in (place / "fd").iterdir())),
    }
    for line in (place / "limits").read_text().splitlines():
        if line.startswith("Max open files"):
            limit = line.split()[3]
            found["max_fds"] = float("inf") if limit == "unlimited" else float(limit)
    return found


def _booted(proc: Path) -> float:
    """When the machine started, in seconds since the epoch."""
    for line in (proc / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise ValueError("no btime")
