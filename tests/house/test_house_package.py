"""The package that is built is the package that is tested."""

from __future__ import annotations

import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from support.programs.wheel import build_wheel, unpacked_sdist

pytestmark = pytest.mark.timeout(300)  # Builds each distribution.


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """The wheel."""
    return zipfile.Path(build_wheel(tmp_path_factory.mktemp("build")))


def contents(wheel: zipfile.Path) -> dict[str, bytes]:
    """The files of the package in a wheel."""
    names = wheel.root.namelist()
    return {name: wheel.root.read(name) for name in names if name.startswith("glare/") and name[-1] != "/"}


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


def test_the_wheel_holds_the_guides(wheel: zipfile.Path, checkout: Path) -> None:
    """The guides that the service shows as pages are in the wheel, and nothing else of the documentation."""
    wanted = {
        f"glare/http/guides/{folder}/{path.name}"
        for folder in ("explanation", "how-to", "reference", "tutorial")
        for path in (checkout / "docs" / folder).glob("*.md")
    }
    assert {
        name for name in wheel.root.namelist() if name.startswith("glare/http/guides/") and name[-1] != "/"
    } == wanted


def test_the_wheel_brings_licence_and_command(wheel: zipfile.Path) -> None:
    """The wheel holds the licence's text and the command `glare-server`, and no `glare`, which is the client's."""
    (metadata,) = (path for path in wheel.iterdir() if path.name.endswith(".dist-info"))
    assert "Apache License" in (metadata / "licenses" / "LICENSE").read_text("utf-8")
    offered = ConfigParser(delimiters="=")
    offered.read_string((metadata / "entry_points.txt").read_text("utf-8"))
    assert dict(offered["console_scripts"]) == {"glare-server": "glare.cli.main:main"}


def test_the_source_distribution_is_whole(
    wheel: zipfile.Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The source distribution has the guides as files, not as a link to what is outside the package, and the wheel that
    is built from it is the one that is built from a clone.
    """
    source = unpacked_sdist(tmp_path_factory.mktemp("sdist"))
    guide = source / "src/glare/http/guides/how-to/operate.md"
    assert guide.read_bytes() == (checkout / "docs/how-to/operate.md").read_bytes()
    assert not any(path.is_symlink() for path in source.rglob("*"))
    built = zipfile.Path(build_wheel(tmp_path_factory.mktemp("built"), source))
    assert contents(built) == contents(wheel)
