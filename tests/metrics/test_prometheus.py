"""Numbers of several processes, put together."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from glare.metrics import Metrics
from glare.metrics.files import forget_dead

_REPORT = """
import sys
from pathlib import Path
from glare.metrics.prometheus import PrometheusMetrics
metrics = PrometheusMetrics(Path(sys.argv[1]))
metrics.attempt_ended("published")
metrics.transfer_began("upload")
metrics.connections(1, 20)
metrics.refused("uploads", "party")
sys.stdout.write(metrics.render({"glare_outbox_events": 7}).decode())
"""


def report(directory: Path) -> str:
    """A process that counts something, shows all numbers, and ends without a word."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
    done = subprocess.run(
        [sys.executable, "-c", _REPORT, str(directory)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_processes_add_up(tmp_path: Path) -> None:
    """Whichever process is asked shows what all have counted; what an ended one had under way is gone."""
    first, second = report(tmp_path), report(tmp_path)
    assert 'glare_attempts_ended_total{outcome="published"} 1.0' in first
    assert 'glare_attempts_ended_total{outcome="published"} 2.0' in second
    assert 'glare_refused_total{reason="party",what="uploads"} 2.0' in second
    for text in (first, second):
        assert 'glare_transfers_under_way{kind="upload"} 1.0' in text
        assert "glare_database_connections_in_use 1.0" in text
        assert text.count("\nglare_outbox_events 7.0\n") == 1


def test_files_of_the_living_stay(tmp_path: Path) -> None:
    """Cleaning removes what ended processes have left, and nothing of those that run; a process id alone counts for
    nothing.
    """
    report(tmp_path)
    ended = sorted(tmp_path.glob("*.db"))
    assert len(ended) >= 3
    mine, same_id = tmp_path / "counter_17.db", tmp_path / f"counter_{os.getpid()}.db"
    with (tmp_path / "17.alive").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in (mine, same_id):
            file.touch()
        forget_dead(tmp_path, "*.db")
        assert sorted(tmp_path.glob("*.db")) == [mine]
    forget_dead(tmp_path, "*.db")
    assert not mine.exists()


def test_metrics_that_are_off_take_everything() -> None:
    """The interface by itself keeps nothing, and complains of nothing."""
    metrics = Metrics()
    metrics.request_ended("GET", "/", "200", 0.1, 1, 2)
    metrics.store_called("file", "write", None, 5, 0.1)
    metrics.refused("uploads", "party")
    assert metrics.render({}) is None
