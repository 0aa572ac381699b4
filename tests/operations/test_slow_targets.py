"""Targets that are silent hold up their own project's messages, and nobody else's."""

from __future__ import annotations

import threading
from pathlib import Path

from glare.app import Worker
from support.origins.receiver import CONFIRMATION, Answer, Message, Receiver, willing
from support.subscribers import subscribed, telling

ONE_PLACE = "delivery_timeout = 60 s\ndelivery_threads = 1\nproject_delivery_threads = 2\ndelivery_slow_after = 0.05\n"
SECONDS = 60


def test_a_message_does_not_wait_for_silent_targets_of_others(tmp_path: Path) -> None:
    """With one place for deliveries, and more silent targets before it, another project's message is sent all the
    same.
    """
    released, reported = threading.Event(), threading.Event()
    held = threading.Semaphore(0)

    def silent(message: Message) -> Answer:
        if message.type != CONFIRMATION:
            held.release()
            released.wait(SECONDS)
        return willing(message)

    def good(message: Message) -> Answer:
        if message.type != CONFIRMATION:
            reported.set()
        return willing(message)

    with (
        Receiver(answer=silent) as stuck,
        Receiver(answer=good) as well,
        telling(tmp_path, stuck, well, text=ONE_PLACE + "[outbox]\npoll_interval = 0.1\n") as glare,
    ):
        for _ in range(4):
            subscribed(glare, glare.alice, stuck)
        subscribed(glare, glare.bob, well)
        worker = Worker(glare.settings, glare.services)
        worker.start()
        try:
            glare.alice.create("images", name="for the silent")
            assert held.acquire(timeout=SECONDS)
            assert held.acquire(timeout=SECONDS)
            glare.bob.create("images", name="for the good")
            assert reported.wait(SECONDS)
            assert not held.acquire(blocking=False)
        finally:
            released.set()
            worker.stop()
