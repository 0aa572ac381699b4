"""`glare-server stores move`, `drain`, `show` and `check`: what is printed, and how the commands end."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from glare.db.tables import blobs
from glare.operations.upkeep.sweep import sweep
from support.conversation import eventually
from support.programs.command import Cli, environment
from support.service import Glare, Json, running

TEXT = "[store:second]\ndriver = file\ndirectory = {directory}/second\n"
DRAINED = "[store:file]\nread_only = true\n[glance_store]\ndefault_store = second\n"
CONFIGURED = ("--config-file", "glare.conf")


@pytest.fixture
def glare(tmp_path: Path) -> Iterator[Glare]:
    with running(tmp_path, TEXT.format(directory=tmp_path)) as service:
        yield service


def image(glare: Glare, data: bytes) -> Json:
    made = glare.alice.create("images", name=f"of {len(data)}", disk_format="raw", container_format="bare")
    uploaded: Json = glare.alice.upload(made, "image", data)
    return uploaded


def stores(glare: Glare) -> list[str]:
    with glare.services.db.read() as connection:
        return sorted(connection.execute(select(blobs.c.store)).scalars())


def test_a_move_says_what_it_did(glare: Glare, cli: Cli) -> None:
    """A sentence on standard error, nothing on standard output, and 0."""
    made = [image(glare, b"1"), image(glare, b"22")]
    result = cli("stores", "move", "file", "--to", "second", *CONFIGURED)
    assert (result.returncode, result.stdout) == (0, "")
    assert "glare-server: 2 blobs moved from file to second. 0 of what was asked for are left." in result.stderr
    assert stores(glare) == ["second", "second"]
    assert [glare.alice.download(one, "image").content for one in made] == [b"1", b"22"]
    assert "1 blob" not in cli("store", "move", "filesystem", "--to", "second", *CONFIGURED).stderr


def test_findings_are_lines_or_a_document(glare: Glare, cli: Cli, tmp_path: Path) -> None:
    """What stays is a line with tabs, or a member of the JSON document; the command ends with 1."""
    bad = image(glare, b"sound")
    [file] = glare.objects()
    file.write_bytes(b"other")
    move = ("stores", "move", "file", "--to", "second", *CONFIGURED)
    result = cli(*move)
    assert result.returncode == 1
    kind, where, blob, detail = result.stdout.rstrip("\n").split("\t")
    assert (kind, where, blob) == ("differs", f"file/{file.name}", f"images/{bad['id']}/image")
    assert "sha256" in detail
    assert "0 blobs moved from file to second, 1 different. 1 of what was asked for is left." in result.stderr
    result = cli(*move, "-o", "json")
    document = json.loads(result.stdout)
    assert result.returncode == 1
    assert document["findings"] == [
        {"kind": kind, "store": "file", "object": file.name, "blob": blob, "detail": detail}
    ]
    assert {name: document[name] for name in ("store", "to", "done", "counts", "left", "uploads")} == {
        "store": "file",
        "to": "second",
        "done": True,
        "counts": {"differs": 1},
        "left": 1,
        "uploads": 0,
    }


def test_a_drain_ends_with_0_once_nothing_needs_the_store(tmp_path: Path, cli: Cli) -> None:
    """Not before the store takes no more; then it says that the store may go, and the service starts without it."""
    text = TEXT.format(directory=tmp_path)
    with running(tmp_path, f"{text}[glance_store]\ndefault_store = second\n") as glare:
        made = image(glare, b"bytes")
        refused = cli("stores", "drain", "second", "--to", "file", *CONFIGURED)
        assert refused.returncode == 1
        assert "set read_only = true in [store:second]" in refused.stderr
    with running(tmp_path, f"{text}read_only = true\n") as glare:
        result = cli("stores", "drain", "second", "--to", "file", "--rate", "0", "--parallel", "1", *CONFIGURED)
        assert result.returncode == 0
        assert "No blob needs second any more; it may leave the configuration." in result.stderr
        assert stores(glare) == ["file"]
    with running(tmp_path) as glare:
        assert glare.alice.download(made, "image").content == b"bytes"


def test_wrong_words_are_refused(glare: Glare, cli: Cli) -> None:
    """An unknown store, a rate that is none: one sentence that says what may stand there."""
    for arguments, said in (
        (("move", "nowhere", "--to", "second"), "There is no store 'nowhere'; the stores are file, database, second."),
        (("move", "file", "--to", "second", "--rate", "much"), "[moving] rate is 'much' (on the command line)"),
        (("move", "file", "--to", "second", "--parallel", "0"), "[moving] parallel is '0' (on the command line)"),
        (("check", "nowhere"), "There is no store 'nowhere'"),
        (("move", "file", "--to", "second", "--type", "imagse"), "did you mean 'images'?"),
        (("show", "nowhere"), "There is no store 'nowhere'"),
    ):
        result = cli("stores", *arguments, *CONFIGURED)
        assert result.returncode == 1
        assert said in result.stderr.splitlines()[-1]


def test_show_says_where_a_store_is_and_what_is_in_it(glare: Glare, cli: Cli, tmp_path: Path) -> None:
    """Driver, place, contents, and what goes there, for people and for programs."""
    image(glare, b"12345")
    document = json.loads(cli.done("stores", "show", "file", *CONFIGURED, "-o", "json"))
    assert document.pop("known") == document.pop("found_here")
    assert document.pop("free_bytes") > 0
    assert document == {
        "name": "file",
        "driver": "file",
        "place": str(glare.settings.glance_store.filesystem_store_datadir),
        "read_only": False,
        "weight": 1,
        "default_of": ["all"],
        "blobs": 1,
        "bytes": 5,
        "uploads": 0,
        "waiting_for_removal": 0,
        "problem": None,
    }
    lines = cli.done("stores", "show", "second", *CONFIGURED).splitlines()
    assert [line.split() for line in lines if line.startswith(("place", "blobs", "default"))] == [
        ["place", str(tmp_path / "second")],
        ["default", "of", "-"],
        ["blobs", "0"],
    ]


def test_check_tries_a_store_and_leaves_nothing(glare: Glare, cli: Cli, tmp_path: Path) -> None:
    """Each step is told; where one fails the command ends with 1. What is read-only is only asked."""
    result = cli("stores", "check", "second", *CONFIGURED)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == [
        "IT",
        "is at its place",
        "writes",
        "reads",
        "reads a range",
        "removes",
    ]
    assert list(glare.services.stores["second"].entries()) == []
    assert glare.leftovers() == {}
    steps = json.loads(cli.done("stores", "check", "database", *CONFIGURED, "-o", "json"))
    assert [step["problem"] for step in steps] == [None] * 5
    (tmp_path / "glare.conf").write_text(
        (tmp_path / "glare.conf").read_text().replace("[store:second]", "[store:second]\nread_only = true")
    )
    steps = json.loads(cli.done("stores", "check", "second", *CONFIGURED, "-o", "json"))
    assert [step["what"] for step in steps] == ["is at its place"]


class Terminal(io.StringIO):
    """Where a person looks."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar(glare: Glare, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal one line grows with the bytes that were read, and ends full; a finding stands on a line of its
    own.
    """
    for data in (b"1234", b"567890"):
        image(glare, data)
    screen = Terminal()
    monkeypatch.setattr(contextlib, "redirect_stderr", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(sys, "stderr", screen)
    cli("stores", "move", "file", "--to", "second", *CONFIGURED)
    lines = screen.getvalue().split("\r")
    assert f"[{'#' * 24}] 100%  2 of 2 blobs, 10 B of 10 B" in lines[-1]


def test_killed_in_its_midst_it_goes_on(glare: Glare, cli: Cli, tmp_path: Path) -> None:
    """A move that is killed has lost and left nothing: readers read, the next one does the rest, the sweep cleans."""
    data = [bytes([number]) * (300_000 + number) for number in range(12)]
    made = [image(glare, one) for one in data]
    program = [sys.executable, "-m", "glare", "stores", "move", "file", "--to", "second", "--parallel", "2"]
    command = [*program, "--rate", "600000", *CONFIGURED]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as killed:
        eventually(lambda: next(iter(glare.services.stores["second"].entries()), None) is not None)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert [glare.alice.download(one, "image").content for one in made] == data
    assert cli("stores", "move", "file", "--to", "second", "--rate", "0", *CONFIGURED).returncode == 0
    assert stores(glare) == ["second"] * 12
    assert [glare.alice.download(one, "image").content for one in made] == data
    object.__setattr__(glare.services, "clock", lambda now=glare.services.clock: now() + 3700 * 1_000_000)
    sweep(glare.services)
    with glare.services.db.read() as connection:
        needed = set(connection.execute(select(blobs.c.object)).scalars())
    assert {entry.name for entry in glare.services.stores["second"].entries()} == needed
    assert list(glare.services.stores["file"].entries()) == []
