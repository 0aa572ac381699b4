"""What the documents say about installing, done with the built wheel in a fresh environment."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

import pytest

from glare import __version__
from support.programs.command import Start, environment, wait_for
from support.programs.wheel import CHECKOUT, build_wheel

pytestmark = pytest.mark.timeout(300)  # Builds the wheel and makes an environment.


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment in which the line of the documents was run.

    The requirements are those that the tests run with, put beside it: nothing is fetched. The package itself is not
    among them, so that it can only come from the wheel.
    """
    folder = tmp_path_factory.mktemp("installed")
    wheel = build_wheel(folder / "build")
    beside = folder / "requirements"
    beside.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"glare|__editable__|.*\.pth$|__pycache__", entry.name):
            (beside / entry.name).symlink_to(entry)
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=60)
    (purelib,) = venv.glob("lib/python*/site-packages")
    (purelib / "requirements.pth").write_text(f"{beside}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "--disable-pip-version-check"]
    for wanted in documented():
        done = subprocess.run(
            [*pip, "install", "--no-index", "--find-links", str(wheel.parent), wanted],
            env={name: value for name, value in environment().items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "does not provide the extra" not in done.stderr
    return venv / "bin"


def documented() -> list[str]:
    """What the commands of the documents tell `pip` to install."""
    text = (CHECKOUT / "docs" / "how-to" / "operate.md").read_text("utf-8")
    lines = re.findall(r"^\S*pip install .*$", text, re.MULTILINE)
    assert lines
    return list(dict.fromkeys(shlex.split(line, comments=True)[2] for line in lines))


def program(installed: Path, name: str, *arguments: str, directory: Path) -> str:
    """What a program of the environment writes to standard output."""
    kept = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(installed / name), *arguments],
        cwd=directory,
        env=kept,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_the_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    """The environment has the command `glare-server`, `python -m glare` is the same, and `glare` is left to its
    owner.
    """
    assert program(installed, "glare-server", "--version", directory=tmp_path) == f"glare-server {__version__}\n"
    assert (
        program(installed, "python", "-m", "glare", "--version", directory=tmp_path) == f"glare-server {__version__}\n"
    )
    assert not (installed / "glare").exists()
    where = program(installed, "python", "-c", "import glare; print(glare.__file__)", directory=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_the_installed_service_answers(installed: Path, tmp_path: Path, start: Start, free_port: int) -> None:
    """The installed service makes its database, answers, and has the guides."""
    code = "import os, sys; os.environ.pop('PYTHONPATH', None); os.execv(sys.argv[1], sys.argv[1:])"
    process = start("-c", code, str(installed / "glare-server"), "serve", "--quickstart", "--bind-port", str(free_port))
    assert wait_for(f"http://127.0.0.1:{free_port}/healthz", process)
    assert (tmp_path / "var" / "glare.sqlite").is_file()
    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/docs/guides/how-to/operate.md", timeout=20) as page:
        assert b"<h1" in page.read()
    process.terminate()
    assert process.wait(15) == 0


def test_the_tools_of_oslo_config_know_the_options(installed: Path, tmp_path: Path) -> None:
    """`oslo-config-generator --namespace glare` writes a sample."""
    code = "from oslo_config.generator import main; main()"
    sample = program(installed, "python", "-c", code, "--namespace", "glare", directory=tmp_path)
    assert "#bind_port = 9494" in sample
