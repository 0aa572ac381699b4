from __future__ import annotations

import json
import shlex
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from glare.app import prepare
from glare.cli.quickstart import answers, welcome
from glare.cli.server import Address, address_of
from glare.cli.tokens import kept, quickstart_token, revoke_token
from glare.db.callers import tokens as rows
from glare.db.callers.tokens import Wanted
from glare.db.engine import Database
from glare.db.migrate import upgrade
from glare.domain.callers.api_token import ApiToken
from glare.errors import Unavailable
from glare.identity.token_file import TokenFile
from glare.identity.token_text import digest_of
from glare.settings import Settings, Sources, load
from support.programs.command import Cli, Start, environment, wait_for


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


def run(command: list[str], *options: str, folder: Path | None = None) -> str:
    """What a command of the welcome prints, run in `folder`; curl fails on a status of 400 or more unless `options`
    say otherwise.
    """
    return subprocess.run(
        [*command, *(options or ("-s", "-f"))], capture_output=True, text=True, check=True, timeout=30, cwd=folder
    ).stdout


def test_the_lines_of_the_welcome_work(start: Start, free_port: int, cli: Cli, tmp_path: Path) -> None:
    """A newcomer can copy the lines as they are: look, create, upload, download; and stop."""
    process, lines = quickstart(start, free_port)
    assert f"http://127.0.0.1:{free_port}" in lines[1]
    looked = run(command_of(lines, "Look:"))
    assert json.loads(looked)["artifacts"] == []
    assert looked.endswith("}\n")
    assert "swagger-ui" in run(["curl", *command_of(lines, "Browse:")])
    created = json.loads(run(command_of(lines, "Create:")))
    assert created["name"] == "first"
    (tmp_path / "data").write_bytes(b"bytes of mine")
    upload, download = (
        [part.replace("/ID/", f"/{created['id']}/").replace("FILE", str(tmp_path / "data")) for part in command]
        for command in (command_of(lines, "Upload:"), command_of(lines, "Download:"))
    )
    assert json.loads(run(upload))["image"]["size"] == len(b"bytes of mine")
    folder = tmp_path / "downloads"
    folder.mkdir()
    assert run(download, folder=folder) == ""
    assert [(file.name, file.read_bytes()) for file in folder.iterdir()] == [("first-0.0.0-image", b"bytes of mine")]
    process.terminate()
    assert process.wait(15) == 0


def test_the_next_start_has_the_same_token(start: Start, free_port: int, cli: Cli) -> None:
    """Starting again shows the same token, which `token show` prints, and which nobody else can read; once it is
    revoked, the next start makes another.
    """
    tokens = []
    for _ in range(3):
        process, lines = quickstart(start, free_port)
        token = next(part for part in command_of(lines, "Look:") if part.startswith("X-Auth-Token"))
        assert cli.done("token", "show") == f"{token.removeprefix('X-Auth-Token: ')}\n"
        tokens.append(token)
        process.terminate()
        assert process.wait(15) == 0
        assert stat.S_IMODE((cli.directory / "var" / "quickstart-token").stat().st_mode) == 0o600
        header, row = cli.done("token", "list").splitlines()
        assert header.startswith("ID")
        if len(tokens) == 2:
            cli.done("token", "revoke", row.split()[0])
            assert "There is no token in" in cli.refused("token", "show")
    assert tokens[0] == tokens[1] != tokens[2]


def test_services_that_start_at_once_have_one_token(tmp_path: Path) -> None:
    """However many start on one directory of state at the same time, they show one token, recorded once."""
    settings = settings_of(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: quickstart_token(settings), range(8)))
    assert len(tokens) == 1
    [token] = recorded(settings)
    assert (token.project, token.user, token.roles, token.description) == ("demo", "demo", ("member",), "quickstart")
    assert sorted(path.name for path in tmp_path.iterdir() if "quickstart" in path.name) == ["quickstart-token"]


def test_a_start_that_died_half_way_is_gone_on_with(tmp_path: Path) -> None:
    """A token that was kept and not recorded yet is recorded by the next start."""
    settings = settings_of(tmp_path)
    text = kept(settings).read_or_make()
    assert recorded(settings) == []
    assert quickstart_token(settings) == text
    assert len(recorded(settings)) == 1


def test_a_kept_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """Neither shown nor used is a token that another user of the machine may have read; revoking it goes on."""
    settings = settings_of(tmp_path)
    quickstart_token(settings)
    [record] = recorded(settings)
    path = kept(settings).path
    path.chmod(0o644)
    with pytest.raises(Unavailable, match="other users may read it"):
        quickstart_token(settings)
    revoke_token(settings, record.id)
    assert not path.exists()
    path.write_text("oops")
    path.chmod(0o600)
    with pytest.raises(Unavailable, match="holds no token"):
        quickstart_token(settings)


def recorded(settings: Settings) -> list[ApiToken]:
    """The tokens in the database."""
    database = Database(settings.database.connection)
    try:
        with database.read() as connection:
            return rows.page(connection, Wanted(), 0, 100)
    finally:
        database.dispose()


def test_a_token_that_was_revoked_elsewhere_is_not_shown(tmp_path: Path) -> None:
    """Where somebody has revoked it at the API, the next start makes another one."""
    settings = settings_of(tmp_path)
    first = quickstart_token(settings)
    database = Database(settings.database.connection)
    with database.write() as connection:
        rows.revoke(connection, [token.id for token in recorded(settings)], 1)
    database.dispose()
    second = quickstart_token(settings)
    assert second not in (first, None)
    assert [token.revoked_at for token in recorded(settings) if token.sha256 == digest_of(second or "")] == [None]


def test_the_token_of_an_older_version_stays(tmp_path: Path) -> None:
    """A token that is kept, and recorded in the token file by an older version, is shown and is not made anew."""
    settings = settings_of(tmp_path)
    text = "glare_" + "x" * 43
    kept(settings).path.write_text(text)
    kept(settings).path.chmod(0o600)
    TokenFile(settings.identity.token_file).record(text, "demo", "demo", ("member",), "quickstart")
    assert quickstart_token(settings) == text
    assert recorded(settings) == []


def settings_of(state: Path) -> Settings:
    """The settings of an installation whose database is there."""
    overrides = {("DEFAULT", "state_dir"): str(state)}
    settings = load(Sources(overrides=overrides, search=False, environment=False)).settings
    upgrade(settings.database.connection)
    prepare(settings)
    return settings


def test_a_service_says_that_it_is_well(start: Start, free_port: int) -> None:
    """The probes of an orchestrator are answered without a token."""
    process, _ = quickstart(start, free_port)
    for path in ("/healthz", "/readyz"):
        assert wait_for(f"http://127.0.0.1:{free_port}{path}", process)


def test_the_command_for_an_administrator_works(start: Start, free_port: int, tmp_path: Path) -> None:
    """The command that the welcome shows makes a token which the running service takes, in whichever folder."""
    process, lines = quickstart(start, free_port)
    command = next(line for line in lines if "token create" in line)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    token = subprocess.run(
        ["sh", "-c", command], cwd=elsewhere, env=environment(), capture_output=True, text=True, check=True, timeout=30
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
