"""Signatures, and the secrets behind them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook, WebhookVerificationError

from glare.cli.logs import JsonFormatter
from glare.db.tables import deliveries, subscriptions
from glare.db.tables import outbox as outbox_table
from glare.events.webhooks import SecretBox, make_key_file
from glare.operations.subscriptions.deliver import Deliverer
from glare.operations.subscriptions.fan_out import fan_out
from support.origins.receiver import Answer, Receiver
from support.service import Glare
from support.subscribers import now_clock, show, states, subscribe, subscribed, telling, work

HOUR = 3600.0


def test_a_changed_body_or_another_secret_does_not_verify(service: Glare, receiver: Receiver) -> None:
    """The published library refuses what was not signed with the secret as it came."""
    now_clock(service)
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    work(service)
    [message] = receiver.events()
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(message.body.replace(b"images", b"secret"), dict(message.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 44).verify(message.body, dict(message.headers))


@pytest.mark.sqlite
def test_both_secrets_sign_for_a_while(service: Glare, receiver: Receiver) -> None:
    """After a replacement the receiver may verify with either; after the overlap with the new one only."""
    clock = now_clock(service)
    made = subscribed(service, service.alice, receiver)
    new = service.alice.request("POST", f"/subscriptions/{made['id']}/secret", json={}).json()["secret"]
    service.alice.create("images", name="a")
    work(service)
    both = receiver.events()[-1]
    for secret in (made["secret"], new):
        Webhook(secret).verify(both.body, dict(both.headers))
    clock.forward(24 * HOUR + 1)
    service.alice.create("images", name="b")
    work(service)
    assert len(both.headers["webhook-signature"].split(" ")) == 2
    assert len(receiver.events()[-1].headers["webhook-signature"].split(" ")) == 1


def test_no_secret_is_kept_or_logged_in_clear(
    service: Glare, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither secrets nor the token of a confirmation are in any row of the database, or in any record of a log."""
    caplog.set_level(logging.DEBUG)
    receiver.answer = lambda _: Answer(500)
    made = subscribe(service.alice, receiver.url)
    work(service)
    token = receiver.messages[0].document["data"]["token"]
    replaced = service.alice.request("POST", f"/subscriptions/{made['id']}/secret", json={}).json()["secret"]
    secrets = [made["secret"].removeprefix("whsec_"), replaced.removeprefix("whsec_"), token]
    kept = []
    with service.services.db.read() as connection:
        for table in (subscriptions, deliveries, outbox_table):
            kept += [str(dict(row)) for row in connection.execute(select(table)).mappings()]
        kept += [str(row) for row in connection.exec_driver_sql("SELECT * FROM audit").all()]
    formatter = JsonFormatter()
    logged = [formatter.format(record) for record in caplog.records if not record.name.startswith("httpx")]
    assert kept
    assert logged
    for secret in secrets:
        assert not [text for text in (*kept, *logged) if secret in text]


@pytest.mark.sqlite
def test_an_unknown_key_holds_messages_back_and_blames_nobody(tmp_path: Path, receiver: Receiver) -> None:
    """On a node with another key file nothing is sent and no try is counted; with the right one it goes on."""
    with telling(tmp_path, receiver) as glare:
        clock = now_clock(glare)
        made = subscribed(glare, glare.alice, receiver)
        glare.alice.create("images", name="a")
        fan_out(glare.services)
        other = tmp_path / "other.key"
        make_key_file(other)
        Deliverer(replace(glare.services, secrets=SecretBox(other))).run_once()
        assert states(glare.alice, made) == [("pending", None, 0)]
        assert show(glare.alice, made)["failing_since"] is None
        clock.forward(61)
        work(glare)
        assert states(glare.alice, made) == [("delivered", None, 1)]
