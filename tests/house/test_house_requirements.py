"""The locked requirements are complete, hashed, consistent, and name no address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ("run", "dev", "build", "lock", "client", "keystone", "seaweedfs", "rclone", "image", "swift")

Lock = dict[str, tuple[Requirement, list[str]]]
"""Requirement and hashes by the canonical name of the distribution."""


def read_lock(path: Path) -> Lock:
    """The requirements of a locked file; a line that is neither one, nor a hash, nor a comment is an error."""
    lines = re.sub(r"\\\n", " ", path.read_text("utf-8")).splitlines()
    lock: Lock = {}
    for line in lines:
        if not (text := line.partition("#")[0].strip()):
            continue
        words, *hashes = re.split(r"\s+--hash=", text)
        requirement = Requirement(words)
        lock[canonicalize_name(requirement.name)] = (requirement, hashes)
    return lock


def read_wanted(path: Path) -> dict[str, Requirement]:
    """The requirements of an `.in` file by canonical name; options such as `-c` are left out."""
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    wanted = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(requirement.name): requirement for requirement in wanted}


def version_of(requirement: Requirement) -> str:
    """The one version that a locked requirement allows; AssertionError when it allows more."""
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", requirement
    return specifier.version


@pytest.fixture(scope="module")
def requirements(checkout: Path) -> Path:
    """The folder of the requirements."""
    return checkout / "requirements"


@pytest.fixture(scope="module")
def pyproject(checkout: Path) -> dict[str, Any]:
    """The parsed pyproject.toml."""
    return tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))


def test_every_requirements_file_is_known(requirements: Path) -> None:
    """Each `.in` file has its lock, and there is no file that these tests would miss."""
    assert {path.name for path in requirements.iterdir()} == {
        f"{name}.{kind}" for name in LOCKS for kind in ("in", "txt")
    }


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_hashed(requirements: Path, name: str) -> None:
    """A locked requirement has exactly one version and at least one sha256."""
    for requirement, hashes in read_lock(requirements / f"{name}.txt").values():
        assert version_of(requirement)
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_satisfies_what_is_wanted(requirements: Path, name: str) -> None:
    """Whatever an `.in` file asks for stands in its lock, in a version that is allowed."""
    lock = read_lock(requirements / f"{name}.txt")
    for wanted_name, wanted in read_wanted(requirements / f"{name}.in").items():
        assert wanted_name in lock, f"{wanted_name} is not locked; run `make lock`"
        assert wanted.specifier.contains(version_of(lock[wanted_name][0])), f"{wanted}: run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_requirements_hold_no_address(requirements: Path, name: str) -> None:
    """Neither an index option nor any URL stands in a requirements file."""
    for kind in ("in", "txt"):
        text = (requirements / f"{name}.{kind}").read_text("utf-8")
        assert not re.search(r"://|--(index|extra-index|find-links|trusted)|^\s*-[if]\b", text, re.MULTILINE)


def test_the_locks_of_one_environment_agree(requirements: Path) -> None:
    """What is installed into the same environment from several locks is locked to the same version in each."""
    versions: dict[str, set[str]] = {}
    for name in ("run", "dev", "build"):
        for package, (requirement, _) in read_lock(requirements / f"{name}.txt").items():
            versions.setdefault(package, set()).add(version_of(requirement))
    assert not {package: found for package, found in versions.items() if len(found) > 1}


def test_the_package_asks_for_what_is_locked(requirements: Path, pyproject: dict[str, Any]) -> None:
    """The package's own dependencies are those of run.in, and its build requirements are those of build.in."""
    declared = {
        canonicalize_name(Requirement(text).name): Requirement(text) for text in pyproject["project"]["dependencies"]
    }
    assert declared == read_wanted(requirements / "run.in")
    build = [Requirement(text) for text in pyproject["build-system"]["requires"]]
    lock = read_lock(requirements / "build.txt")
    assert {canonicalize_name(requirement.name) for requirement in build} == set(read_wanted(requirements / "build.in"))
    for requirement in build:
        assert requirement.specifier.contains(version_of(lock[canonicalize_name(requirement.name)][0]))
