"""What an operator reads where a database server cannot be reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from support.databases import KIND, SERVERS
from support.programs.command import Cli, sentence


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def said(cli: Cli, **changes: object) -> str:
    """What `db check` says where the URL of the tests' server is changed so."""
    url = make_url(SERVERS[KIND]).set(**changes)  # type: ignore[arg-type]  # parts of a URL, by their names
    text = url.render_as_string(hide_password=False)
    said = sentence(cli("db", "check", OS_DATABASE__CONNECTION=text))
    assert "[database] connection" in said
    assert "hunter2" not in said
    return said


@pytest.mark.server
def test_a_refused_user_is_named(cli: Cli) -> None:
    """A user that the server does not let in is named, with the option and what to do, and never with the password."""
    assert "refuses user 'glare_stranger' of" in said(cli, username="glare_stranger", password="hunter2")


@pytest.mark.server
def test_a_database_that_is_not_there_is_named(cli: Cli) -> None:
    """So is a database that the server does not have."""
    assert "has no database 'glare_nowhere'" in said(cli, database="glare_nowhere")


@pytest.mark.server
def test_a_server_that_is_not_there_is_named(cli: Cli) -> None:
    """Where nothing listens, host, port and the system's reason are named."""
    assert "127.0.0.1 port 1, which [database] connection names, cannot be reached" in said(
        cli, host="127.0.0.1", port=1, username="u", password="hunter2"
    )
