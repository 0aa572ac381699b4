"""Options of notifications, and of the outbox that they come from."""

from __future__ import annotations

from pathlib import Path

from glare.settings.declare import (
    Section,
    choice,
    flag,
    integer,
    optional_path,
    optional_secret,
    seconds,
    section,
    text,
    words,
)
from glare.settings.units import DAY


@section("DEFAULT")
class TransportSettings(Section):
    """The message bus of the deployment."""

    transport_url: str | None = optional_secret(
        "URL of the message bus, `rabbit://USER:PASSWORD@HOST:PORT/VHOST`, several hosts with commas between them. "
        "Notifications go there when `[oslo_messaging_notifications] transport_url` is unset; Glare uses the bus for "
        "nothing else."
    )
    control_exchange: str = text(
        "openstack",
        "Exchange that notifications are sent to; the library's own default, which listeners expect.",
        at_most=127,
    )


@section("oslo_messaging_notifications")
class NotificationSettings(Section):
    """Events for operators."""

    driver: str = choice(
        "noop",
        "`messagingv2` sends each event over the message bus (install `glare-server[messaging]`), `messaging` does "
        "so in the older format without an envelope, `log` writes it to the log, `noop` tells nobody.",
        ("noop", "log", "messaging", "messagingv2"),
    )
    transport_url: str | None = optional_secret(
        "URL of the message bus for notifications, where it is another one than `[DEFAULT] transport_url`."
    )
    topics: tuple[str, ...] = words(
        "notifications",
        "Topics that each event is sent to. The queue of a topic has `.info` behind its name, and is made where "
        "there is none yet.",
        empty=False,
    )
    retry: int = integer(
        "-1",
        "How often a message that the broker has not taken is sent again at once, on a new connection; at most "
        "twice, whatever is set. After that the event waits in the outbox. -1 and 0 leave all of it to the outbox. "
        "Whatever is set, no event is given up.",
        at_least=-1,
        at_most=2**31 - 1,
    )


@section("oslo_messaging_rabbit")
class RabbitSettings(Section):
    """How notifications speak to RabbitMQ."""

    amqp_durable_queues: bool = flag(
        "false",
        "Whether exchange and queues survive a restart of the broker. It must be as listeners have it, so it is off "
        "as it is in the library; switch it on in both so that a restart of the broker loses nothing.",
    )
    amqp_auto_delete: bool = flag("false", "Whether the broker removes queues that nobody listens to any more.")
    rabbit_quorum_queue: bool = flag(
        "false", "Whether queues are quorum queues, which are durable and replicated. It must be as listeners have it."
    )
    ssl: bool = flag("false", "Whether the connection is encrypted.")
    ssl_ca_file: Path | None = optional_path(
        "PEM file with the authorities that the broker's certificate must come from. Needed with `ssl`: without it "
        "nothing is verified."
    )
    ssl_cert_file: Path | None = optional_path("PEM file of the certificate that Glare shows to the broker.")
    ssl_key_file: Path | None = optional_path("PEM file of that certificate's private key.")


@section("outbox")
class OutboxSettings(Section):
    """Recorded events on their way to consumers."""

    retention: float = seconds(
        "7 d", "How long delivered events are kept, to look things up.", at_least=60, at_most=3650 * DAY
    )
    poll_interval: float = seconds(
        "1 s", "How often a worker looks for new events: the delay that a subscriber sees.", at_least=0.05, at_most=600
    )
    broker_timeout: float = seconds(
        "5 s",
        "How long the broker of notifications may take to answer, in whole seconds; after that the event waits and "
        "the connection is made anew. It is short, so that a worker which is told to stop does so soon. Idle "
        "connections send heartbeats at this pace.",
        at_least=1,
        at_most=10,
    )
    retry_delay: float = seconds(
        "1 s",
        "How long notifications wait after a delivery that failed; twice as long after the next failure, and so on.",
        at_least=0.05,
        at_most=3600,
    )
    max_retry_delay: float = seconds(
        "60 s",
        "The longest of these waits: how late notifications come once the broker is back.",
        at_least=0.05,
        at_most=DAY,
    )
    patience: int = integer(
        "10",
        "How often the delivery of the oldest notification may fail before younger ones are tried as well. Where "
        "they can be delivered the fault is the event's: it lets them pass, and comes again up to an hour later. "
        "None is given up.",
        at_least=2,
        at_most=1000,
    )
