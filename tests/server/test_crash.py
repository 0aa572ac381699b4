"""A service that is killed at any instant leaves the old state or the new one, and garbage that the sweep removes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import select

from glare.app import build_services, close, prepare
from glare.db.migrate import upgrade
from glare.db.rows import fetch_artifact
from glare.db.tables import artifacts, blobs, doomed_objects
from support.origins.origin import Origin
from support.programs.command import environment
from support.runs.chaos import Journal, chaotic
from support.runs.truth import disagreements, recover

KILLS = 25


def test_a_killed_service_leaves_no_lie_behind(tmp_path: Path, origin: Origin) -> None:
    """After many kills amid creations, uploads, locations, activations and deletions every row, counter and byte is
    true.

    What had become active, and was promised so, has the same bytes; and the kills did come in the midst of work.
    """
    origin.put("/external", b"external" * 200_000)
    settings = chaotic(tmp_path, origin.port)
    directory = settings.glance_store.filesystem_store_datadir
    settings.server.state_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database.connection)
    prepare(settings)
    killed = subprocess.run(
        [sys.executable, "-m", "support.runs.chaos", str(tmp_path), origin.url("/external"), str(KILLS)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == 0, killed.stderr
    assert "Traceback" not in killed.stderr, killed.stderr
    services = build_services(settings)
    try:
        with services.db.read() as connection:
            attempts = connection.execute(select(blobs.c.attempt_id).where(blobs.c.attempt_id.is_not(None))).all()
            unfinished = [*attempts, *connection.execute(select(doomed_objects.c.id))]
        assert unfinished, "the last kill should have interrupted something"
        recover(services)
        assert disagreements(services, directory) == []
        with services.db.read() as connection:
            ids = connection.execute(select(artifacts.c.id)).scalars().all()
            held = {wanted: artifact for wanted in ids if (artifact := fetch_artifact(connection, wanted)) is not None}
        assert Journal(tmp_path / "journal").broken(held) == []
        assert any(artifact.blobs for artifact in held.values())
    finally:
        close(services)
