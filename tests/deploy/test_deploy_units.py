"""The units of systemd: what systemd says of them, and that what they run is there."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from glare.cli.main import build_parser
from support.programs.programs import find_program

pytestmark = pytest.mark.sqlite

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))
PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "run-with-systemd.md").read_text()
MOST_EXPOSED = 20
"""In tenths, of 100. A unit without any protection has 96."""


def commands(unit: Path) -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(r"^Exec\w+=(.+)$", unit.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` knows every directive and value, and says nothing."""
    program = find_program("systemd-analyze")
    command = tmp_path / "glare-server"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/glare/bin/glare-server", str(command)))
    done = subprocess.run([program, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if unit.name in line or str(tmp_path) in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_may_do_little(unit: Path) -> None:
    """By the points of `systemd-analyze security` the unit is exposed little."""
    program = find_program("systemd-analyze")
    done = subprocess.run(
        [program, "security", "--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSED}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_command_takes_what_it_is_given(unit: Path) -> None:
    """Each line of a unit that runs something is a command that there is, with options that it has."""
    parser = build_parser()
    found = commands(unit)
    assert len(found) == 2
    for program, *arguments in found:
        assert program == "/opt/glare/bin/glare-server"
        assert parser.parse_args(arguments).command is not None


def test_the_units_differ_in_what_they_run_alone() -> None:
    """What one may do the other may do, so that neither is forgotten when something is added."""
    api, worker = (options_of(unit) for unit in UNITS)
    assert {name for name in api if api[name] != worker.get(name)} == {"Description", "ExecStart", "TimeoutStopSec"}
    assert set(api) == set(worker)


def options_of(unit: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their letters
    parser.read_string(unit.read_text())
    return {name: value for section in parser.sections() for name, value in parser[section].items()}


def test_the_page_names_each_unit() -> None:
    """The how-to says of every unit what it is for."""
    for unit in UNITS:
        assert f"`{unit.name}`" in PAGE
