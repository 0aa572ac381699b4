"""Operations that are broken at each of their steps: what happened is whole, what did not has left nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from glare.app import prepare
from glare.db.migrate import upgrade
from support.databases import KIND
from support.origins.origin import Origin
from support.programs.command import environment
from support.runs.chaos import chaotic
from support.runs.fault_runs import SCENARIOS, Report

WRITES = ("driver.create: call", "writer.write: call", "writer.commit: call", "writer.commit: returned")
EXPECTED = {
    "upload": (*WRITES, "attempts._reserve_once: commit", "attempts.publish: commit"),
    "chunked upload": (*WRITES, "attempts.grow: commit", "attempts.publish: commit"),
    "upload again": (*WRITES, "attempts.publish: commit", "driver.delete: call", "objects._remove: commit"),
    "upload over a dead one": (*WRITES, "attempts._reserve_once: commit", "attempts.publish: commit"),
    "unpack": (
        *WRITES,
        "reader.read: call",
        "unpack._reserve: commit",
        "unpack._publish: commit",
        "driver.delete: call",
    ),
    "location": ("attempts._reserve_once: commit", "attempts.publish: commit"),
    "record later": ("jobs.claim_job: commit", "outbound.charged: commit", "attempts.publish: commit"),
    "promote": (*WRITES, "jobs.claim_job: commit", "promote._restage: commit", "promote._publish: commit"),
    "delete blob": ("delete.delete_blob: commit",),
    "check": ("verify.claim_check: commit", "verify.verify: commit"),
    "delete": ("delete.remove: commit", "driver.delete: returned", "objects._remove: commit"),
    "delayed delete": ("delete._mark_deleted: commit",),
    "scrub": ("delete.remove: commit", "driver.delete: call", "objects._remove: commit"),
    "upload to the database": (
        *WRITES,
        "database.DatabaseWriter: commit",
        "attempts.publish: commit",
        "database._remove: commit",
        "objects._remove: commit",
    ),
    "move": (
        *WRITES,
        "reader.read: call",
        "move.Move: commit",
        "move._swap_in: commit",
        "driver.delete: call",
        "objects._remove: commit",
    ),
    "delete from the database": (
        "delete.remove: commit",
        "database.DatabaseDriver: commit",
        "database._remove: commit",
    ),
    "sweep": ("sweep._end_dead: commit", "delete.remove: commit", "driver.sweep_temporaries: call"),
}
"""Steps of each scenario that must be among those that are broken."""

_DATA = ("upload", "upload again", "upload over a dead one", "unpack")
_REST = ("chunked upload", *list(SCENARIOS)[5:])
_LIKE_OTHERS = (
    "upload",
    "upload over a dead one",
    "chunked upload",
    "sweep",
    "delete from the database",
    "record later",
)
"""Scenarios whose transactions others have too: on a server, where a run costs more, these others do."""

_GOES_ON = ("sweep", "record later", "promote", "check")
"""What logs what fails, and goes on, or begins again later."""

_ON_THIS = [[name for name in half if KIND == "sqlite" or name not in _LIKE_OTHERS] for half in (_DATA, _REST)]

pytestmark = pytest.mark.timeout(600)  # Each part is a hundred runs of a service that is broken at another step.

PARTS = pytest.mark.parametrize(
    "names",
    [half[at::3] for half in _ON_THIS for at in (0, 1, 2)],
    ids=["data", "more data", "other data", "the rest", "more of the rest", "other rest"],
)
"""Each takes well under the time of a test, also on a server and a busy machine."""


def broken(directory: Path, origin: Origin, faults: str, names: Sequence[str]) -> dict[str, Report]:
    """Break these scenarios at each of their steps. Nothing may be wrong afterwards, and the steps are those that are
    expected.
    """
    origin.put("/external", b"external" * 1000)
    settings = chaotic(directory, origin.port)
    settings.server.state_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database.connection)
    prepare(settings)
    ended = subprocess.run(
        [sys.executable, "-m", "support.runs.fault_runs", str(directory), origin.url("/external"), faults, *names],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    reports = msgspec.json.decode(ended.stdout, type=dict[str, Report])
    for name in names:
        assert set(EXPECTED[name]) <= set(reports[name].steps)
        wrong = [finding for finding in reports[name].findings if finding.problems]
        assert wrong == [], (name, ended.stderr)
        assert reports[name].findings
    return reports


@PARTS
def test_killed_at_any_step(tmp_path: Path, origin: Origin, names: Sequence[str]) -> None:
    """Killed at any step an operation has happened as a whole if it was committed, and else not; it can be done
    again.
    """
    for name, report in broken(tmp_path, origin, "kill", names).items():
        committed = f"{SCENARIOS[name].commits}: committed"
        first = [finding.step for finding in report.findings].index(committed)
        wrong = [one for number, one in enumerate(report.findings) if one.happened != (number >= first)]
        assert wrong == [], name


@pytest.mark.sqlite  # What the operations do about it is the same on each database.
@PARTS
def test_failing_at_any_step(tmp_path: Path, origin: Origin, names: Sequence[str]) -> None:
    """A store or a database that fails at any step: the caller learns of it unless all is done, and the operation can
    be done again.
    """
    for name, report in broken(tmp_path, origin, "fail", names).items():
        if name not in _GOES_ON:
            assert any(finding.error for finding in report.findings)
            assert [one for one in report.findings if not one.error and not one.happened] == [], name


@pytest.mark.sqlite
def test_hanging_at_any_step(tmp_path: Path, origin: Origin) -> None:
    """A store that hangs until its upload was undone and another one stored the same: the late one shows nothing and
    leaves nothing.

    What was decided before the store hung has happened, and its caller is told so.
    """
    for name, report in broken(
        tmp_path, origin, "hang", ("upload", "upload again", "unpack", "delete", "scrub")
    ).items():
        assert [one for one in report.findings if not one.happened] == [], name
        late = {one.step for one in report.findings if one.error}
        assert late >= {"writer.write: call", "writer.commit: returned"} or name in ("delete", "scrub")


@pytest.mark.server
@PARTS
def test_connections_that_break_in_any_transaction(tmp_path: Path, origin: Origin, names: Sequence[str]) -> None:
    """Where the connection to the database breaks, before a commit or at it, the operation happens once or not at all;
    it can be done again.
    """
    for name, report in broken(tmp_path, origin, "cut,ask,tell", names).items():
        if name not in _GOES_ON:
            assert [one for one in report.findings if not one.error and not one.happened] == [], name
        # What breaks before the commit is tried again, and what became of a commit is found out.
        assert [one for one in report.findings if one.error] == [], name
