"""`glare-server scrub`: once, and until it is stopped."""

from __future__ import annotations

import signal
from pathlib import Path

from support.conversation import eventually
from support.programs.command import Cli, Start
from support.service import Glare, Json, running

SETTINGS = "[DEFAULT]\ndelayed_delete = true\n[scrubber]\nwakeup_time = 1\n"


def deleted(glare: Glare) -> Json:
    """An artifact with data whose deletion is delayed."""
    artifact = glare.alice.create("sample_artifact", name="deleted", string_required="x")
    glare.alice.upload(artifact, "blob", b"1234567890")
    glare.alice.delete(artifact)
    return artifact


def test_what_is_due_is_removed(tmp_path: Path, cli: Cli) -> None:
    """One run removes the data, the record and the quota of what is due, says so, and has nothing to do the next
    time.
    """
    with running(tmp_path, SETTINGS) as glare:
        artifact = deleted(glare)
        result = cli.program("scrub", "--config-file", "glare.conf")
        assert (result.returncode, result.stderr) == (0, "glare-server: 1 deleted artifact removed.\n")
        assert glare.alice.get(artifact).status_code == 404
        assert glare.usage("wonderland") == (0, 0)
        assert glare.leftovers() == {}
        assert glare.objects() == []
        assert (
            cli.program("scrub", "--config-file", "glare.conf").stderr == "glare-server: 0 deleted artifacts removed.\n"
        )


def test_what_is_not_due_stays(tmp_path: Path, cli: Cli) -> None:
    """Before scrub_time is over nothing goes."""
    with running(tmp_path, f"{SETTINGS}scrub_time = 1 h\n") as glare:
        artifact = deleted(glare)
        assert (
            cli.program("scrub", "--config-file", "glare.conf").stderr == "glare-server: 0 deleted artifacts removed.\n"
        )
        assert glare.alice.show(artifact)["status"] == "deleted"
        assert glare.usage("wonderland") == (1, 10)


def test_what_a_store_keeps_is_said(tmp_path: Path, cli: Cli) -> None:
    """An object that cannot be removed makes the run fail, and goes with the next one, which does not wait; the record
    is gone already.
    """
    with running(tmp_path, SETTINGS) as glare:
        artifact = deleted(glare)
        [object_] = glare.objects()
        aside = object_.rename(tmp_path / "aside")
        object_.mkdir()  # Which cannot be unlinked, by whomever.
        result = cli.program("scrub", "--config-file", "glare.conf")
        assert result.returncode == 1
        assert "1 deleted artifact removed; 1 object could not be removed yet" in result.stderr
        assert glare.alice.get(artifact).status_code == 404
        object_.rmdir()
        aside.rename(object_)
        assert cli.program("scrub", "--config-file", "glare.conf").returncode == 0
        assert glare.objects() == []
        assert glare.leftovers() == {}


def test_a_killed_scrub_loses_nothing(tmp_path: Path, cli: Cli, start: Start) -> None:
    """Killed while it works, it leaves what the next one finishes; quota is freed once."""
    with running(tmp_path, SETTINGS) as glare:
        kept = glare.alice.create("sample_artifact", name="kept", string_required="x")
        glare.alice.upload(kept, "blob", b"stays")
        many = [glare.alice.create("sample_artifact", name=str(number), string_required="x") for number in range(60)]
        for artifact in many:
            glare.alice.upload(artifact, "blob", b"1234567890")
            glare.alice.delete(artifact)
        process = start("-m", "glare", "scrub", "--config-file", "glare.conf")
        eventually(lambda: glare.usage("wonderland")[0] < 55)
        process.kill()
        process.wait()
        assert cli.program("scrub", "--config-file", "glare.conf").returncode == 0
        assert glare.usage("wonderland") == (1, 5)
        assert len(glare.objects()) == 1
        assert glare.leftovers() == {}


def test_the_daemon_goes_on_until_a_signal(tmp_path: Path, start: Start) -> None:
    """With --daemon it removes what becomes due while it runs, and ends with 0 on SIGTERM."""
    with running(tmp_path, SETTINGS) as glare:
        process = start("-m", "glare", "scrub", "--daemon", "--config-file", "glare.conf")
        assert process.stderr is not None
        assert "as they become due" in process.stderr.readline()
        artifact = deleted(glare)
        eventually(lambda: glare.alice.get(artifact).status_code == 404)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
