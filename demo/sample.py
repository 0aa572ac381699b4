"""A real file of at least 50 MB, that the machine has."""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from narrator import Narrator, Surprise
from programs import run, succeed

LEAST = 50 * 1024 * 1024
DIGESTS = ("md5", "sha1", "sha256")
FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/*-linux-gnu*", "/usr/bin", "/usr/local/bin")


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, with what the system's own programs say about it: size in bytes, digests in lower-case hex."""

    path: Path
    size: int
    md5: str
    sha1: str
    sha256: str

    def described(self) -> dict[str, object]:
        """Size and digests as a blob of the API shows them."""
        return {"size": self.size, "md5": self.md5, "sha1": self.sha1, "sha256": self.sha256}


def find_sample(narrator: Narrator, work: Path, packages: Path) -> Sample:
    """The smallest library or program of this machine that is large enough, else an archive made of real files.

    Raises:
        Surprise: there is none, and Python's library with `packages` is too small as well.
    """
    found = _smallest_large_file()
    if found is None:
        found = work / "python-libraries.tar"
        narrator.note(
            f"no library or program of at least {LEAST} bytes is here; packing Python's own libraries into one file"
        )
        _pack(found, (Path(sysconfig.get_path("stdlib")), packages))
        if found.stat().st_size < LEAST:
            raise Surprise("a real file is there", f"at least {LEAST} bytes", f"{found.stat().st_size} bytes")
    digests = {}
    for name in DIGESTS:
        narrator.command(f"{name}sum {found}")
        digests[name] = digest(name, found)
        narrator.answer(f"{digests[name]}  {found.name}")
    return Sample(found, found.stat().st_size, **digests)


def digest(name: str, path: Path) -> str:
    """What the system's program says about a file, such as `sha256sum`."""
    return succeed([f"{name}sum", str(path)], path.parent, os.environ).out.split()[0].lstrip("\\")


def same_bytes(one: Path, other: Path) -> bool:
    """Whether `cmp` finds no difference between two files."""
    return run(["cmp", str(one), str(other)], one.parent, os.environ).code == 0


def _pack(archive: Path, folders: Sequence[Path]) -> None:
    """Pack the files of some folders, one after the other, until they are large enough together."""
    total = 0
    with tarfile.open(archive, "w") as tar:
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                place = path.relative_to(folder)
                # What is installed beside the standard library can be anything, of any size.
                if {"site-packages", "dist-packages"} & set(place.parts) or not path.is_file() or total >= LEAST:
                    continue
                total += path.stat().st_size
                tar.add(path, Path(folder.name) / place)


def _smallest_large_file() -> Path | None:
    folders = {*FOLDERS, str(sysconfig.get_config_var("LIBDIR")), str(Path(sys.base_prefix) / "bin")}
    sizes: dict[Path, int] = {}
    for folder in (path for pattern in folders for path in Path("/").glob(pattern.lstrip("/"))):
        try:
            entries = list(folder.iterdir())
        except OSError:
            continue
        for path in entries:
            try:
                about = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(about.st_mode) and about.st_size >= LEAST and os.access(path, os.R_OK):
                sizes[path.resolve()] = about.st_size
    return min(sizes, key=lambda path: (sizes[path], path), default=None)
