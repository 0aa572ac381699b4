"""`glare-server fsck`: what it prints, how it ends, and going on after it was stopped or killed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from sqlalchemy import select

from glare.db.tables import blobs, fsck_runs
from support.conversation import eventually
from support.programs.command import Cli, Start
from support.service import Glare, Json, running

SETTINGS = "[fsck]\norphan_age = 0\n"


def uploaded(glare: Glare, name: str, data: bytes) -> tuple[Json, Path]:
    """An artifact with data, and the file that has it."""
    artifact = glare.alice.create("sample_artifact", name=name, string_required="x")
    glare.alice.upload(artifact, "blob", data)
    with glare.services.db.read() as connection:
        wanted = connection.execute(select(blobs.c.object).where(blobs.c.artifact_id == artifact["id"])).scalar_one()
    [path] = [path for path in glare.objects() if path.name == wanted]
    return artifact, path


def test_all_is_well(tmp_path: Path, cli: Cli) -> None:
    """Where everything is as recorded it prints no finding, says how much it read, and ends with 0."""
    with running(tmp_path, SETTINGS) as glare:
        uploaded(glare, "one", b"x" * 1500)
        result = cli.program("fsck", "--config-file", "glare.conf")
        assert (result.returncode, result.stdout) == (0, "")
        assert result.stderr.splitlines() == [
            "glare-server: store file: 1 blob read to the end; 1 object looked at.",
            "glare-server: store database: 0 blobs read to the end; 0 objects looked at.",
            "glare-server: 1 blob checked; all as recorded.",
        ]


def test_what_is_wrong_is_printed(tmp_path: Path, cli: Cli) -> None:
    """A line each: what, where, which blob, why; the end is 1, and orphans go when that is asked for."""
    with running(tmp_path, SETTINGS) as glare:
        artifact, path = uploaded(glare, "one", b"right")
        path.write_bytes(b"wrong")
        orphan = path.with_name(f"{path.name[:4]}0000000000000000")
        orphan.write_bytes(b"nobody's")
        result = cli.program("fsck", "--config-file", "glare.conf", "--store", "file")
        lines = [line.split("\t") for line in result.stdout.splitlines()]
        assert result.returncode == 1
        assert [line[:3] for line in lines] == [
            ["differs", f"file/{path.name}", f"sample_artifact/{artifact['id']}/blob"],
            ["orphan", f"file/{orphan.name}", "-"],
        ]
        assert "sha256" in lines[0][3]
        assert result.stderr.splitlines()[-1] == "glare-server: 1 blob checked; 1 different, 1 without a blob."
        again = cli.program("fsck", "--config-file", "glare.conf", "--store", "file", "-o", "json")
        assert again.returncode == 1
        assert [
            [each["kind"], f"{each['store']}/{each['object']}", each["blob"]] for each in json.loads(again.stdout)
        ] == [
            ["differs", f"file/{path.name}", f"sample_artifact/{artifact['id']}/blob"],
            ["orphan", f"file/{orphan.name}", None],
        ]
        path.write_bytes(b"right")
        result = cli.program("fsck", "--config-file", "glare.conf", "--remove-orphans")
        assert result.returncode == 0
        assert result.stderr.splitlines()[-1] == "glare-server: 1 blob checked; 1 recovered, 1 removed."
        assert not orphan.exists()
        assert glare.alice.download(artifact, "blob").content == b"right"


def test_a_stopped_check_goes_on(tmp_path: Path, cli: Cli, start: Start) -> None:
    """SIGTERM ends a slow check soon, with 1; the next one goes on from there and counts everything once."""
    with running(tmp_path, SETTINGS) as glare:
        for number in range(4):
            uploaded(glare, str(number), b"%d" % number * 1000)
        process = start("-m", "glare", "fsck", "--config-file", "glare.conf", "--rate", "200")
        eventually(lambda: begun(glare))
        process.send_signal(signal.SIGTERM)
        _, reported = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "glare-server: stopped: " in reported
        assert "The next check goes on from here." in reported
        result = cli.program("fsck", "--config-file", "glare.conf")
        assert result.returncode == 0
        assert result.stderr.splitlines()[-1] == "glare-server: 4 blobs checked; all as recorded."


def test_a_killed_check_is_gone_on_with(tmp_path: Path, cli: Cli, start: Start) -> None:
    """After a kill the next check is refused while the dead one may be alive, and then counts everything once."""
    with running(tmp_path, SETTINGS) as glare:
        for number in range(4):
            uploaded(glare, str(number), b"%d" % number * 1000)
        process = start("-m", "glare", "fsck", "--config-file", "glare.conf", "--rate", "200")
        eventually(lambda: begun(glare))
        process.kill()
        process.wait()
        assert "Another check of store 'file' is under way" in cli.program("fsck", "--config-file", "glare.conf").stderr
        with glare.services.db.write() as connection:
            connection.execute(fsck_runs.update().values(heartbeat=0))
        result = cli.program("fsck", "--config-file", "glare.conf")
        assert result.returncode == 0
        assert result.stderr.splitlines()[-1] == "glare-server: 4 blobs checked; all as recorded."


def begun(glare: Glare) -> bool:
    """Whether a check is under way, or was."""
    with glare.services.db.read() as connection:
        return connection.execute(select(fsck_runs.c.store)).first() is not None


def test_wrong_arguments_are_refused(tmp_path: Path, cli: Cli) -> None:
    """An unknown store and a rate that is no size are named, with what may stand there."""
    with running(tmp_path, SETTINGS):
        result = cli.program("fsck", "--config-file", "glare.conf", "--store", "flie")
        assert result.returncode == 1
        assert "no store 'flie'; the stores are file, database" in result.stderr
        assert "[fsck] rate is 'fast'" in cli.refused("fsck", "--config-file", "glare.conf", "--rate", "fast")
