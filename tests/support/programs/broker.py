"""The RabbitMQ of this machine, or the one that ``GLARE_TEST_RABBITMQ_URL`` names, and somebody who listens there."""

from __future__ import annotations

import importlib
import os
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import msgspec

kombu: Any = importlib.import_module("kombu")
"""The client library, which is not typed."""

URL: Final = os.environ.get("GLARE_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")

PATIENCE: Final = 20.0
"""Seconds to wait for what must happen."""


def why_not() -> str | None:
    """Why there is no broker here; None when there is one."""
    try:
        with kombu.Connection(URL, connect_timeout=5) as connection:
            connection.connect()
    except (OSError, kombu.exceptions.OperationalError) as error:
        return f"no RabbitMQ at {kombu.Connection(URL).as_uri()}: {error}"
    return None


def address() -> tuple[str, int]:
    """Host and port of the broker."""
    connection = kombu.Connection(URL)
    return connection.hostname, connection.port or 5672


def transport_url(port: int) -> str:
    """The broker's URL for Glare, with another port of this machine in front of it."""
    connection = kombu.Connection(URL)
    vhost = "/" if connection.virtual_host == "/" else connection.virtual_host
    return f"rabbit://{connection.userid}:{connection.password}@127.0.0.1:{port}/{vhost}"


@dataclass(frozen=True, slots=True)
class Message:
    """A notification as it came; `envelope` is the version of the envelope, None without one."""

    content: dict[str, Any]
    envelope: str | None

    @property
    def type(self) -> str:
        kind: str = self.content["event_type"]
        return kind


class Mailbox:
    """Listens to the queue of a topic, as ceilometer would: exchange and queue are its own, and are gone at the end."""

    def __init__(self) -> None:
        self.topic = self.exchange = f"glare-test-{uuid.uuid4().hex}"

    def __enter__(self) -> Self:
        self._connection = kombu.Connection(URL, connect_timeout=5)
        channel = self._connection.channel()
        self._exchange = kombu.Exchange(self.exchange, "topic", durable=False, channel=channel)
        name = f"{self.topic}.info"
        queue = kombu.Queue(name, self._exchange, name, durable=False, auto_delete=False, channel=channel)
        queue.declare()
        self._queue = queue
        self._messages: list[Message] = []
        self._consumer = kombu.Consumer(
            channel, [queue], on_message=self._keep, accept=["application/json"], no_ack=True
        )
        self._consumer.consume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_reading()
        self._queue.delete()
        self._exchange.delete()
        self._connection.release()

    def stop_reading(self) -> None:
        """Leave what comes from now on to somebody else."""
        self._consumer.cancel()

    def read(self, number: int) -> list[Message]:
        """The next messages, as many as that, in order; TimeoutError where they do not come."""
        while len(self._messages) < number:
            self._connection.drain_events(timeout=PATIENCE)
        taken, self._messages = self._messages[:number], self._messages[number:]
        return taken

    def rest(self) -> list[Message]:
        """What is there beyond that: asked of the broker, which answers behind the messages that it has."""
        self._queue.queue_declare(passive=True)
        taken, self._messages = self._messages, []
        return taken

    def _keep(self, message: Any) -> None:
        body = msgspec.json.decode(message.body)
        envelope = body.get("oslo.version")
        content = msgspec.json.decode(body["oslo.message"]) if envelope else body
        self._messages.append(Message(content, envelope))
