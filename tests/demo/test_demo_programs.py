"""The demonstration's own parts do what its steps rely on."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

DEMO = Path(__file__).parents[2] / "demo"
MODULES = frozenset(path.stem for path in DEMO.glob("*.py"))


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The modules of the demonstration are importable, as they are for `demo/run.py`."""
    known = {name: sys.modules.pop(name) for name in MODULES & set(sys.modules)}
    monkeypatch.syspath_prepend(str(DEMO))
    yield
    for name in MODULES & set(sys.modules):
        del sys.modules[name]
    sys.modules.update(known)


def module(name: str) -> ModuleType:
    """One of its modules."""
    return importlib.import_module(name)


@pytest.mark.usefixtures("demo")
def test_a_difference_is_a_surprise() -> None:
    """What is not as expected ends the demonstration, with both values."""
    narrator = module("narrator")
    voice = narrator.Narrator()
    voice.expect("number", 1, 1)
    assert voice.checks == 1
    with pytest.raises(narrator.Surprise, match=r"number\n +expected: 1\n +came: +2"):
        voice.expect("number", 2, 1)
    with pytest.raises(narrator.Surprise, match="it holds"):
        voice.expect_that("it holds", False, "something")
    assert voice.checks == 1


@pytest.mark.usefixtures("demo")
def test_tokens_are_not_shown() -> None:
    """A command is shown with the names of variables in the place of what they hold, quoted so that a shell reads
    it.
    """
    command = module("programs").quoted
    args = ["curl", "-H", "X-Auth-Token: s3cret", "http://127.0.0.1:1/a", "a b"]
    names = {"s3cret": "$ALICE", "http://127.0.0.1:1": "$GLARE"}
    assert command(args, names) == """curl -H "X-Auth-Token: $ALICE" $GLARE/a 'a b'"""


@pytest.mark.usefixtures("demo")
def test_what_was_started_is_stopped_after_a_surprise(tmp_path: Path) -> None:
    """A program that the demonstration started has ended once an exception has left its context."""
    programs = module("programs")
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    seen: list[subprocess.Popen[bytes]] = []

    def interrupted() -> None:
        with programs.started("a sleeper", sleeper, tmp_path, os.environ, tmp_path / "log", lambda: True) as process:
            seen.append(process)
            assert process.poll() is None
            raise module("narrator").Surprise("anything", 1, 2)

    with pytest.raises(module("narrator").Surprise):
        interrupted()
    assert [process.poll() is not None for process in seen] == [True]


@pytest.mark.usefixtures("demo")
def test_a_program_that_ends_at_once_is_a_surprise(tmp_path: Path) -> None:
    """A server that does not start is noticed without waiting for it."""
    programs = module("programs")
    start = time.monotonic()
    with (
        pytest.raises(module("narrator").Surprise, match="status 3"),
        programs.started(
            "a server",
            [sys.executable, "-c", "raise SystemExit(3)"],
            tmp_path,
            os.environ,
            tmp_path / "log",
            lambda: False,
        ),
    ):
        pass
    assert time.monotonic() - start < 20


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    """Without the programs that it runs the demonstration ends with a sentence, having started nothing."""
    ended = subprocess.run(
        [sys.executable, DEMO / "run.py"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "needs curl" in ended.stdout
