"""What the targets of the Makefile do, with a program in place of what they start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.programs.programs import find_program

# The tests themselves may have been started by make, which passes its options on and says more when it is nested.
ALONE = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make, with the environment as it is taken to be made."""
    return subprocess.run(
        ["make", "-o", "venv", "-o", ".venv/.package", *arguments],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=ALONE,
    )


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """In place of Python: tests fail on the databases `bad` and `worse`, and none is chosen on `none`."""
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\ncase $GLARE_TEST_DATABASE in bad) exit 1;; worse) exit 2;; none) exit 5;; esac\n")
    path.chmod(0o755)
    return path


def test_tests_go_on_with_the_other_databases(checkout: Path, program: Path) -> None:
    """`make test` runs the tests on every database, says at the end on which they failed, and fails itself."""
    done = make(checkout, "test", f"PY={program}", "DATABASES=bad good worse none last")
    assert done.returncode != 0
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("GLARE_TEST_DATABASE=")] == [
        f"GLARE_TEST_DATABASE={name}" for name in ("bad", "good", "worse", "none", "last")
    ]
    assert "tests failed on: bad worse\n" in done.stderr


def test_tests_that_pass_everywhere_are_a_success(checkout: Path, program: Path) -> None:
    """A database for which no test is chosen is no failure."""
    done = make(checkout, "test", f"PY={program}", "DATABASES=good none")
    assert (done.returncode, done.stderr) == (0, "")


def test_run_takes_a_port_and_an_address(checkout: Path) -> None:
    """`make run PORT=… HOST=…` says where to listen; without them it is as configured, whatever HOST is around it."""
    assert make(checkout, "-n", "run", "PORT=8080", "HOST=::1").stdout.split()[-4:] == [
        *("--bind-host", "'::1'", "--bind-port", "'8080'")
    ]
    plain = subprocess.run(
        ["make", "-n", "-o", ".venv/.package", "run"],
        cwd=checkout,
        env={**ALONE, "HOST": "machine", "PORT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout.split()[-1] == "--quickstart"


def test_a_checkout_that_may_not_be_written_to_is_named(checkout: Path, tmp_path: Path) -> None:
    """Whoever may not write there reads which folder it is, and what to do; nothing is made."""
    folder = tmp_path / "checkout"
    folder.mkdir(mode=0o555)
    # Root may write anywhere.
    somebody = [find_program("setpriv"), "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*somebody, "sh", "-s", "--", ".venv"],
        cwd=folder,
        input=(checkout / "tools" / "make-venv").read_text("utf-8"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert " may not be written to by " in done.stderr
    assert f"git clone {folder} " in done.stderr
    assert list(folder.iterdir()) == []
