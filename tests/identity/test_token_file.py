"""Tokens in a file."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from glare.domain.actor import Actor
from glare.errors import InvalidParameterValue, NotFound, Unauthorized, Unavailable
from glare.identity.base import Credentials
from glare.identity.token_file import TokenFile, TokenFileSource
from glare.identity.token_text import PREFIX


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "glare" / "tokens.json")


def sent(token: str) -> Credentials:
    return Credentials({"x-auth-token": token}, "127.0.0.1")


def user_of(source: TokenFileSource, token: str) -> str | None:
    """The user whom the source knows by this token."""
    found = source.known(sent(token))
    return None if found is None else found.user


def test_a_token_names_its_actor(file: TokenFile) -> None:
    """Whoever sends a token that was made for somebody is that somebody, in either header."""
    token, _ = file.create("p1", "ann", ("member", "Admin"))
    source = TokenFileSource(file)
    expected = Actor("ann", "p1", frozenset({"member", "Admin"}))
    assert source.known(sent(token)) == expected
    assert source.known(sent(f"  {token} ")) == expected
    assert source.known(Credentials({"authorization": f"bearer {token}"}, None)) == expected


@pytest.mark.parametrize("token", ["", "glare_unknown", "ann:p1:admin", "\udcff", "x" * 5000, None])
def test_what_is_not_in_the_file_is_nobody_that_it_knows(file: TokenFile, token: str | None) -> None:
    """Another source may know a token that is not in the file, and the pipeline refuses what none knows."""
    file.create("p1", "ann")
    credentials = Credentials({"authorization": "Basic YTpi"}, None) if token is None else sent(token)
    assert TokenFileSource(file).known(credentials) is None


def test_a_token_expires(file: TokenFile) -> None:
    """A token is good until the moment that its record names, and refused from then on."""
    token, record = file.create("p1", "ann", expires_in=60)
    assert record.expires is not None
    now = [record.expires.timestamp() - 0.001]
    identity = TokenFileSource(file, clock=lambda: now[0])
    assert user_of(identity, token) == "ann"
    now[0] += 0.001
    with pytest.raises(Unauthorized, match="has expired"):
        identity.known(sent(token))


def test_changes_are_seen_while_the_service_runs(file: TokenFile) -> None:
    """A token made or revoked by another process is known or refused at the next look at the file."""
    identity = TokenFileSource(file, look_every=0)
    token, record = TokenFile(file.path).create("p1", "ann")
    assert identity.known(sent(token)) == Actor("ann", "p1", frozenset())
    assert TokenFile(file.path).revoke(record.id) == record
    assert user_of(identity, token) is None


def test_a_file_that_is_gone_holds_no_tokens(file: TokenFile) -> None:
    """Removing the file revokes every token."""
    token, _ = file.create("p1", "ann")
    identity = TokenFileSource(file, look_every=0)
    file.path.unlink()
    assert user_of(identity, token) is None


def test_a_file_that_breaks_leaves_the_tokens_read_before(file: TokenFile, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged file is an error in the log, once, and locks nobody out who was in."""
    token, _ = file.create("p1", "ann")
    identity = TokenFileSource(file, look_every=0)
    file.path.write_text("{")
    for _ in range(3):
        assert user_of(identity, token) == "ann"
    [line] = caplog.messages
    assert "is damaged" in line


def test_the_file_is_not_looked_at_on_every_request(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the time between two looks the file is left alone by those whose token is known."""
    token, record = file.create("p1", "ann")
    identity = TokenFileSource(file, look_every=3600)
    file.revoke(record.id)
    looks: list[None] = []
    monkeypatch.setattr(TokenFileSource, "_see", lambda _: looks.append(None))
    for _ in range(3):
        assert user_of(identity, token) == "ann"
    assert looks == []


def test_a_token_is_known_as_soon_as_it_is_made(file: TokenFile) -> None:
    """Whoever makes a token and sends it at once is not refused, however lately the file was looked at."""
    identity = TokenFileSource(file, look_every=3600)
    token, _ = file.create("p1", "ann")
    assert user_of(identity, token) == "ann"
    assert user_of(identity, "glare_nobody") is None


def test_the_file_holds_no_token_and_is_closed_to_others(file: TokenFile) -> None:
    """What is written is a hash, in a file of mode 0600; the text of a token is recognisable and different each
    time.
    """
    (first, record), (second, _) = file.create("p1", "ann", label="laptop"), file.create("p1", "ann")
    assert first != second
    assert first.startswith(PREFIX)
    assert len(first) >= len(PREFIX) + 43
    text = file.path.read_text()
    assert first not in text
    assert first.removeprefix(PREFIX) not in text
    assert record.sha256 in text
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["tokens.json", "tokens.json.lock"]


def test_records_are_listed_as_they_were_made(file: TokenFile) -> None:
    """The list shows every record with its times in UTC, and nothing is there before the first."""
    assert file.list() == ()
    before = datetime.now(UTC).replace(microsecond=0)
    _, one = file.create(" p1 ", "ann", (" member", "member"), 3600, "laptop")
    _, two = file.create("p2", "bob")
    assert TokenFile(file.path).list() == (one, two)
    assert (one.project, one.user, one.roles, one.label) == ("p1", "ann", ("member",), "laptop")
    assert before <= one.created <= datetime.now(UTC)
    assert one.expires is not None
    assert (one.expires - one.created).total_seconds() == 3600
    assert two.expires is None
    assert json.loads(file.path.read_text())["tokens"][0]["created"].endswith("Z")


def test_what_cannot_be_is_refused(file: TokenFile) -> None:
    """Empty names, names that a list of roles would split, impossible times and unknown ids are refused by name."""
    for project, user, roles in [("", "a", ()), (" ", "a", ()), ("p", "", ()), ("p", "a", ("x,y",)), ("p\n", "a", ())]:
        with pytest.raises(InvalidParameterValue, match="of a token"):
            file.create(project, user, roles)
    for seconds in (0, -1, 1e300):
        with pytest.raises(InvalidParameterValue, match="cannot expire in"):
            file.create("p", "a", expires_in=seconds)
    with pytest.raises(NotFound, match=r"'beef'.*glare-server token list"):
        file.revoke("beef")
    assert file.list() == ()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 1}', '{"version": 1, "tokens": [{"id": 5}]}', '{"version":1,"tokens":[],"more":1}']
)
def test_a_damaged_file_is_refused_at_start(file: TokenFile, text: str) -> None:
    """A service does not start with a token file that it does not understand; the sentence names the file."""
    file.create("p", "a")
    file.path.write_text(text)
    with pytest.raises(Unavailable, match=r"tokens\.json is damaged"):
        TokenFileSource(file)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(file: TokenFile, mode: int) -> None:
    """Who may write the file could give themselves any token, so it is refused with the command that mends it."""
    file.create("p", "a")
    file.path.chmod(mode)
    with pytest.raises(Unavailable, match="chmod 600"):
        file.list()


def test_a_file_that_everybody_may_read_is_warned_of(file: TokenFile, caplog: pytest.LogCaptureFixture) -> None:
    """A world-readable file works, with a warning; a change keeps the mode that its operator chose."""
    file.create("p", "a")
    file.path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        file.create("p", "b")
    assert "may be read by every user" in caplog.text
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_file_to_its_owner(file: TokenFile) -> None:
    """When root makes a token, the user of the service can still read the file."""
    file.path.parent.mkdir()
    os.chown(file.path.parent, 12345, 12346)
    for _ in range(2):
        file.create("p", "a")
        state = file.path.stat()
        assert (state.st_uid, state.st_gid) == (12345, 12346)


def test_processes_change_the_file_at_once(file: TokenFile) -> None:
    """Tokens that several processes make at the same time are all kept."""
    script = (
        "import sys, pathlib\n"
        "from glare.identity.token_file import TokenFile\n"
        "file = TokenFile(pathlib.Path(sys.argv[1]))\n"
        "for n in range(10): file.create('p', f'{sys.argv[2]}-{n}')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(file.path), str(number)]) for number in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert {record.user for record in file.list()} == {f"{process}-{n}" for process in range(3) for n in range(10)}
