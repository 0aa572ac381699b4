"""The rclone that tests start, in an environment of its own: it serves a directory as S3, and not all of S3."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from environments import CHECKOUT, Environment, NoEnvironmentError, Say
from server_process import ServerProcess, free_ports
from support.programs.npm import give_up
from support.programs.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY


def _nothing_more(_: Say) -> None:
    """It is one program."""


RCLONE: Final = Environment(
    name=".venv-rclone",
    purpose="rclone",
    lock=CHECKOUT / "requirements" / "rclone.txt",
    scripts=(),
    finish=_nothing_more,
)


@contextmanager
def running_rclone(folder: Path) -> Iterator[str]:
    """The URL of an rclone with an empty bucket, until the block ends. Where there can be none, the test is skipped, or
    fails if everything is required.
    """
    (port,) = free_ports(1)
    process = ServerProcess("rclone", folder / "rclone.log", grace=2.0)
    served = folder / "served"
    (served / BUCKET).mkdir(parents=True)
    try:
        words = ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", ""]
        program = [str(RCLONE.commands(print) / "rclone"), "serve", "s3", *words, str(served)]
        process.start(program, folder, {"HOME": str(folder)}, lambda: _answers(port))
    except NoEnvironmentError as reason:
        give_up(reason)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
