"""Ending a program that goes on until somebody stops it."""

from __future__ import annotations

import signal
import threading


def stopped_by_signals() -> threading.Event:
    """An event that SIGTERM or Ctrl-C sets, so that the work under way is finished; a second one ends the program at
    once.
    """
    stop = threading.Event()

    def end(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop
