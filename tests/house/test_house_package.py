"""The package that is built is the package that is tested."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """The wheel, built from a copy of the sources with the locked build requirement, and nothing fetched."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(checkout / "src", folder / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(checkout / name, folder)
    pip = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-index", "--no-deps"]
    built = subprocess.run(
        [*pip, "--no-build-isolation", "--wheel-dir", str(folder), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("glare-*.whl")
    return zipfile.Path(path)


def test_the_wheel_holds_the_whole_package(wheel: zipfile.Path, checkout: Path) -> None:
    """Every file of the package, the mark that it is typed and the migrations among them, is in the wheel."""
    source = checkout / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "glare").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "glare/py.typed" in wanted
    assert wanted <= set(wheel.root.namelist())


def test_the_wheel_brings_licence_and_command(wheel: zipfile.Path) -> None:
    """The wheel holds the licence's text and the `glare` command."""
    (metadata,) = (path for path in wheel.iterdir() if path.name.endswith(".dist-info"))
    assert "Apache License" in (metadata / "licenses" / "LICENSE").read_text("utf-8")
    assert "glare = glare.cli.main:main" in (metadata / "entry_points.txt").read_text("utf-8")
