"""The worker of a running service sends webhooks by itself, and stops although a target hangs."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import select

from glare.app import build_services, close
from glare.db.tables import deliveries
from support.origins.receiver import Answer, Message, Receiver, willing
from support.service import running
from support.subscribers import subscribe

OPTIONS = "[subscriptions]\nallowed_schemes = http\nallowed_ports = {port}\n[outbox]\npoll_interval = 0.05\n"


def test_worker_sends_and_stops(tmp_path: Path) -> None:
    """What happens reaches a subscriber without a hand; a stop breaks off a hanging delivery, which counts as no
    try.
    """
    confirmed, came, hanging, over = (threading.Event() for _ in range(4))

    def answer(message: Message) -> Answer:
        if message.type == "artifact.create":
            came.set()
        elif message.type == "artifact.update":
            hanging.set()
            over.wait(60)
        else:
            confirmed.set()
        return willing(message)

    with Receiver(answer=answer) as receiver:
        with running(tmp_path, OPTIONS.format(port=receiver.port), worker=True) as glare:
            made = subscribe(glare.alice, receiver.url)
            assert confirmed.wait(60)
            path = f"/subscriptions/{made['id']}"
            while glare.alice.request("GET", path).json()["state"] != "active":
                pass  # Its answer is on the way.
            artifact = glare.alice.create("images", name="a")
            assert came.wait(60)
            glare.alice.set(artifact, description="new")
            assert hanging.wait(60)
            settings = glare.settings
        over.set()
        services = build_services(settings)
        with services.db.read() as connection:
            columns = (deliveries.c.event_type, deliveries.c.state, deliveries.c.tries)
            rows = connection.execute(select(*columns).order_by(deliveries.c.id)).all()
        close(services)
    kinds = [tuple(row) for row in rows]
    assert kinds[1:] == [("create", "delivered", 1), ("update", "pending", 0)]
