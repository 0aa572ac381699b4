"""The `glare-server` command, run as a person runs it: in a directory of its own, and without the machine's options."""

from __future__ import annotations

import contextlib
import io
import os
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from glare.cli.main import main

TESTS = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """The environment without Glare's options, and with the modules of the tests importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    return kept | {"PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Cli:
    """`glare-server` in one directory."""

    directory: Path

    def __call__(self, *arguments: str, **variables: str) -> Result:
        """Run it in this process, which is quick, and right for commands that end by themselves."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, environment() | variables, clear=True),
            contextlib.chdir(self.directory),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(arguments)
        return Result(code, out.getvalue(), err.getvalue())

    def program(self, *arguments: str, **variables: str) -> Result:
        """Run it as a program of its own, for what changes the process: signals, logging, imported modules."""
        ended = subprocess.run(
            [sys.executable, "-m", "glare", *arguments],
            cwd=self.directory,
            env=environment() | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Result(ended.returncode, ended.stdout, ended.stderr)

    def done(self, *arguments: str) -> str:
        """Run it, expecting it to succeed; what it wrote to standard output."""
        result = self(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def refused(self, *arguments: str) -> str:
        """Run it, expecting a refusal; the one sentence of it."""
        return sentence(self(*arguments))


def sentence(result: Result) -> str:
    """The one sentence that a refused command says."""
    assert result.returncode == 1, result
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


Start = Callable[..., "subprocess.Popen[str]"]
"""Starts a Python program with these arguments."""


def wait_for(
    url: str, process: subprocess.Popen[str], patience: float = 30, context: ssl.SSLContext | None = None
) -> Any:
    """The body of the first answer at a URL."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the program ended with {process.returncode}: {process.communicate()}")
        try:
            with urllib.request.urlopen(url, timeout=5, context=context) as response:  # noqa: S310 - a test wrote it
                return response.read()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing answers at {url}")
