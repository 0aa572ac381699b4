"""The distributions, built from the sources of the checkout with what is installed, and nothing fetched."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]


def copied_checkout(folder: Path) -> Path:
    """What distributions are built from, as a clone has it: the guides of the package are a link to `docs`."""
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
    shutil.copytree(CHECKOUT / "src", folder / "src", symlinks=True, ignore=ignored)
    shutil.copytree(CHECKOUT / "docs", folder / "docs")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder)
    return folder


def build_wheel(folder: Path, source: Path | None = None) -> Path:
    """Build the wheel of the checkout, or of another `source`, below `folder`; its path."""
    source = source or copied_checkout(folder / "checkout")
    pip = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-index", "--no-deps"]
    _run([*pip, "--no-build-isolation", "--wheel-dir", str(folder), str(source)], folder)
    (path,) = folder.glob("*.whl")
    return path


def unpacked_sdist(folder: Path) -> Path:
    """Build the source distribution of the checkout, and unpack it below `folder`; the directory that it makes."""
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    _run([sys.executable, "-c", build, str(folder)], copied_checkout(folder / "checkout"))
    (path,) = folder.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (made,) = (folder / "unpacked").iterdir()
    return made


def _run(command: list[str], directory: Path) -> None:
    built = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
