from __future__ import annotations

import json
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from glare.cli.quickstart import answers, welcome
from glare.cli.server import Address, address_of
from glare.cli.tokens import quickstart_token
from glare.db.migrate import upgrade
from glare.identity.token_file import TokenFile
from glare.settings import Sources, load
from support.command import Cli, Start, environment, wait_for


def quickstart(start: Start, port: int) -> tuple[subprocess.Popen[str], list[str]]:
    """Start a service on a port; its process, and its welcome once it is complete."""
    process = start("-m", "glare", "serve", "--quickstart", "--bind-port", str(port))
    lines: list[str] = []
    assert process.stdout is not None
    while not lines or "Ctrl-C" not in lines[-1]:
        line = process.stdout.readline()
        assert line, f"no welcome: {process.communicate()}"
        lines.append(line.strip())
    return process, lines


def command_of(lines: list[str], word: str) -> list[str]:
    """The command line that the welcome shows after a word."""
    line = next(line for line in lines if line.startswith(word))
    return shlex.split(line.removeprefix(word))


def run(command: list[str], *options: str) -> str:
    """What a command of the welcome prints; curl fails on a status of 400 or more unless told otherwise."""
    return subprocess.run(
        [*command, *(options or ("-s", "-f"))], capture_output=True, text=True, check=True, timeout=30
    ).stdout


def test_the_lines_of_the_welcome_work(start: Start, free_port: int, cli: Cli, tmp_path: Path) -> None:
    """A newcomer can copy the lines as they are: look, create, upload, download; and stop."""
    process, lines = quickstart(start, free_port)
    assert f"http://127.0.0.1:{free_port}" in lines[1]
    assert json.loads(run(command_of(lines, "Look:")))["artifacts"] == []
    created = json.loads(run(command_of(lines, "Create:")))
    assert created["name"] == "first"
    (tmp_path / "data").write_bytes(b"bytes of mine")
    upload = [
        part.replace("/ID/", f"/{created['id']}/").replace("FILE", str(tmp_path / "data"))
        for part in command_of(lines, "Upload:")
    ]
    assert json.loads(run(upload))["image"]["size"] == len(b"bytes of mine")
    again = upload.index("-T")
    assert run(upload[:again] + upload[again + 2 :]) == "bytes of mine"
    process.terminate()
    assert process.wait(15) == 0


def test_the_next_start_replaces_the_token(start: Start, free_port: int, cli: Cli) -> None:
    """Starting again leaves one token labelled quickstart: the new one."""
    tokens = []
    for _ in range(2):
        process, lines = quickstart(start, free_port)
        tokens.append(next(part for part in command_of(lines, "Look:") if part.startswith("X-Auth-Token")))
        process.terminate()
        assert process.wait(15) == 0
    assert tokens[0] != tokens[1]
    assert len(cli.done("token", "list").splitlines()) == 2


def test_a_replaced_token_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a start takes an earlier one's token away, it says which, as a service may still run with it."""
    overrides = {("DEFAULT", "state_dir"): str(tmp_path)}
    settings = load(Sources(overrides=overrides, search=False, environment=False)).settings
    upgrade(settings.database.connection)
    quickstart_token(settings)
    assert capsys.readouterr().err == ""
    [first] = TokenFile(settings.identity.token_file).list()
    quickstart_token(settings)
    assert f"token {first.id} of an earlier quickstart is replaced and no longer valid" in capsys.readouterr().err


def test_a_service_says_that_it_is_well(start: Start, free_port: int) -> None:
    """The probes of an orchestrator are answered without a token."""
    process, _ = quickstart(start, free_port)
    for path in ("/healthz", "/readyz"):
        assert wait_for(f"http://127.0.0.1:{free_port}{path}", process)


def test_the_command_for_an_administrator_works(start: Start, free_port: int, tmp_path: Path) -> None:
    """The command that the welcome shows makes a token which the running service takes."""
    process, lines = quickstart(start, free_port)
    command = next(line for line in lines if "token create" in line)
    token = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()
    url = f"http://127.0.0.1:{free_port}/quotas"
    deadline = time.monotonic() + 10
    status = 0
    while status != 200 and time.monotonic() < deadline:
        status = int(run(["curl", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"X-Auth-Token: {token}", url], "-s"))
    assert status == 200
    assert process.poll() is None


def test_nothing_is_welcomed_before_it_answers(free_port: int) -> None:
    """A service that is not up yet is not taken for one that is."""
    assert not answers(Address("127.0.0.1", free_port, tls=False))
    assert not answers(Address("127.0.0.1", free_port, tls=True))


def test_other_pipelines_show_no_token(tmp_path: Path) -> None:
    """Where identity does not come from tokens, the welcome shows none, and says where it comes from."""
    overrides = {("identity", "pipeline"): "trusted_headers", ("DEFAULT", "state_dir"): str(tmp_path)}
    settings = load(Sources(overrides=overrides, search=False, environment=False)).settings
    text = welcome(settings, address_of(settings), None, ())
    assert "X-Auth-Token" not in text
    assert "[identity] pipeline = trusted_headers" in text
