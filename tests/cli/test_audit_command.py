"""`glare-server audit list`, and what commands leave in the audit log."""

from __future__ import annotations

import getpass
import json

from sqlalchemy import create_engine, text

from support.programs.command import Cli

_HEADER = ["TIME", "USER", "PROJECT", "SOURCE", "CREDENTIAL", "OUTCOME", "ACTION", "ARTIFACT", "TARGET"]


def test_tokens_are_audited_without_the_token(cli: Cli) -> None:
    """Making and revoking a token leaves who did it, its id, and whose it is; the token and its hash are not there."""
    cli.done("init")
    token = cli.done("token", "create", "--project", "demo", "--user", "alice", "--role", "admin").strip()
    token_id = cli.done("token", "list").splitlines()[1].split()[0]
    cli.done("token", "revoke", token_id)
    header, revoked, created = cli.done("audit", "list").splitlines()
    assert header.split() == _HEADER
    assert created.split()[1:] == [getpass.getuser(), "-", "command", "-", "done", "token_create", "-", token_id]
    assert revoked.split()[1:] == [getpass.getuser(), "-", "command", "-", "done", "token_revoke", "-", token_id]
    engine = create_engine(f"sqlite:///{cli.directory / 'var' / 'glare.sqlite'}")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM audit ORDER BY id")).all()
    engine.dispose()
    assert json.loads(rows[0].detail) == {"user": "alice", "project": "demo", "roles": ["admin"], "expires": None}
    assert token.removeprefix("glare_") not in str(rows)


def test_a_token_may_be_made_without_the_database(cli: Cli) -> None:
    """Without a database a token of the file is made, and the command says that the audit log does not have it."""
    file_only = {"OS_IDENTITY__PIPELINE": "token_file"}
    assert cli("init", **file_only).returncode == 0
    (cli.directory / "var" / "glare.sqlite").unlink()
    made = cli("token", "create", "--project", "demo", "--user", "alice", **file_only)
    assert made.returncode == 0, made.stderr
    assert "the audit log does not have this" in made.stderr
    assert "glare-server init" in made.stderr


def test_a_revocation_that_fails_leaves_nothing(cli: Cli) -> None:
    """What did not happen is not in the log."""
    cli.done("init")
    assert "no token with id" in cli.refused("token", "revoke", "nothing")
    assert cli.done("audit", "list") == ""


def test_filters_reach_the_log(cli: Cli) -> None:
    """Options filter, and a wrong one is refused by name."""
    cli.done("init")
    for user in ("alice", "bob"):
        cli.done("token", "create", "--project", "demo", "--user", user)
    assert len(cli.done("audit", "list", "--limit", "1").splitlines()) == 2
    assert cli.done("audit", "list", "--action", "create") == ""
    assert len(cli.done("audit", "list", "--source", "command").splitlines()) == 3
    assert cli.done("audit", "list", "--credential", "none") == ""
    assert "'outcome' is 'maybe'" in cli.refused("audit", "list", "--outcome", "maybe")
