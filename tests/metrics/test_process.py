"""What the operating system says of processes."""

from __future__ import annotations

import os
import resource
import threading
import time
from pathlib import Path

from glare.metrics import process


def test_this_process_is_described() -> None:
    """Memory, files, threads, processor time and start are those that other tools see."""
    found = process.numbers([os.getpid()])
    label = (str(os.getpid()),)
    assert {name.removeprefix("glare_process_") for name in found} == {
        *("resident_bytes", "open_fds", "max_fds", "threads", "cpu_seconds", "start_time_seconds")
    }
    assert found["glare_process_threads"][label] >= threading.active_count()
    age = time.time() - found["glare_process_start_time_seconds"][label]
    processors = os.cpu_count()
    assert processors is not None
    assert found["glare_process_cpu_seconds"][label] / processors < age < 3600 * 24
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert largest / 10 < found["glare_process_resident_bytes"][label] < 2 * largest
    assert 0 < found["glare_process_open_fds"][label] < found["glare_process_max_fds"][label]


def test_a_process_that_is_gone_is_left_out(tmp_path: Path) -> None:
    """One that ended meanwhile, and a system without /proc, give nothing, and raise nothing."""
    assert process.numbers([2**22 + 7]) == {}
    assert process.numbers([os.getpid()], tmp_path) == {}


def test_the_name_of_a_program_may_be_anything(tmp_path: Path) -> None:
    """Spaces and parentheses in a program's name do not shift the fields behind it."""
    place = tmp_path / "7"
    (place / "fd").mkdir(parents=True)
    (place / "fd" / "0").touch()
    (place / "stat").write_text("7 (a) b (c) S " + " ".join(str(number) for number in range(4, 53)))
    (place / "limits").write_text("Max open files            unlimited            unlimited            files\n")
    (tmp_path / "stat").write_text("cpu 1\nbtime 1000\n")
    found = process.numbers([7], tmp_path)
    assert found["glare_process_threads"] == {("7",): 20}
    assert found["glare_process_max_fds"] == {("7",): float("inf")}
    assert found["glare_process_start_time_seconds"] == {("7",): 1000 + 22 / os.sysconf("SC_CLK_TCK")}
