"""Measure the service, and print every figure beside its target and beside what was measured in the same run.

    make bench
    python bench/run.py [--quick] [--only show,upload] [--size 1024] [--count 1000000]

It starts real services with the embedded database in a temporary folder, which it removes, and needs Linux. It judges
nothing: it ends with 0 whatever the figures are, and otherwise only when something did not work.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))

from bulk import LargeBlobs
from catalogue import list_costs
from figures import Figure, table
from small import SmallRequests
from verified_reading import figures as checked_reading

Part = Callable[[], list[Figure]]


def parts(options: argparse.Namespace, folder: Path, stack: ExitStack) -> dict[str, Part]:
    """What can be measured, by name, in the order in which it is."""
    quick = options.quick
    small = SmallRequests(
        folder, stack, seconds=0.6 if quick else 2.0, rounds=2 if quick else 3, full=10_000 if quick else 100_000
    )
    size = (options.size or (128 if quick else 1024)) << 20
    large = LargeBlobs(folder, stack, size=size, rounds=2 if quick else 3)
    count = options.count or (5_000 if quick else 50_000)
    return {
        "start": small.starting,
        "show": small.show,
        "list": small.listing,
        "create": small.creating,
        "blobs": small.blobs,
        "inside": small.inside,
        "keystone": small.keystone,
        "memory": small.memory,
        "upload": large.upload,
        "polled": large.polled,
        "download": large.download,
        "checked": lambda: checked_reading(folder / "checked", min(size, 512 << 20)),
        "record": large.record,
        "proxy": large.proxy,
        "readers": large.readers,
        "pages": lambda: list_costs(options.folder, count),
    }


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", help="parts to run, with commas between them")
    arguments.add_argument("--quick", action="store_true", help="small sizes and short loads: under a minute")
    arguments.add_argument("--size", type=int, default=0, help="MiB of a large blob (1024; quick: 128)")
    arguments.add_argument(
        "--count", type=int, default=0, help="artifacts that pages are taken from (50000; quick: 5000)"
    )
    arguments.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir(), "glare-bench"),
        help="where databases for pages are kept",
    )
    options = arguments.parse_args()
    began = time.monotonic()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="glare-bench-") as folder, ExitStack() as stack:
        known = parts(options, Path(folder), stack)
        chosen = options.only.split(",") if options.only else list(known)
        if unknown := set(chosen) - set(known):
            arguments.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        for name, part in known.items():
            if name in chosen:
                at = time.monotonic()
                figures += part()
                print(f"{name}: {time.monotonic() - at:.0f} s", file=sys.stderr, flush=True)
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load "
        f"{os.getloadavg()[0]:.1f}; {time.monotonic() - began:.0f} s\n"
    )
    print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
