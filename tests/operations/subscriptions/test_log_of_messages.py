"""How long messages are kept, and what operators see of them."""

from __future__ import annotations

from sqlalchemy import select

from glare.db import subscriptions as rows
from glare.db.tables import deliveries
from glare.operations.subscriptions.fan_out import fan_out
from glare.operations.upkeep.depths import depths
from glare.operations.upkeep.sweep import sweep
from support.origins.receiver import Receiver
from support.service import Glare
from support.subscribers import change, log, now_clock, refusing, subscribed, work

HOUR = 3600.0


def test_the_log_is_kept_for_its_retention(service: Glare, receiver: Receiver) -> None:
    """Finished messages go after `log_retention`; one that waits stays, however old."""
    clock = now_clock(service)
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    work(service)
    change(service.alice, made, enabled=False)
    change(service.alice, made, enabled=True)
    service.alice.create("images", name="b")
    fan_out(service.services)
    clock.forward(30 * 24 * HOUR + 60)
    sweep(service.services)
    assert [one["state"] for one in log(service.alice, made)] == ["pending"]


def test_deleted_with_all_its_messages(service: Glare, receiver: Receiver) -> None:
    """Nothing is left of a subscription that is deleted, and what it waited for is not sent."""
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    fan_out(service.services)
    assert service.alice.request("DELETE", f"/subscriptions/{made['id']}").status_code == 204
    work(service)
    assert receiver.events() == []
    with service.services.db.read() as connection:
        assert connection.execute(select(deliveries)).first() is None


def test_depths_are_told_to_operators(service: Glare, receiver: Receiver) -> None:
    """Waiting messages, events that are no messages yet and suspended subscriptions are counted, and outcomes too."""
    receiver.answer = refusing(500)
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    assert depths(service.services)["glare_outbox_unfanned_events"] == 1
    work(service)
    reported = depths(service.services)
    assert (reported["glare_webhook_queue"], reported["glare_webhook_suspended"]) == (1, 0)
    text = service.stranger.request("GET", "/metrics").text
    assert 'glare_webhook_deliveries_total{outcome="retried"} 1.0' in text
    service.services.db.transact(lambda connection: rows.remove(connection, made["id"]))
