"""Events as notifications on a message bus, through oslo.messaging, for those who listen to OpenStack services already.

The library's own notifier logs a failure and goes on, which would lose the event. Here it is asked one layer below,
where it says that the broker has not taken a message; docs/decisions/0115-notifications-that-are-not-lost.md.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from oslo_config import cfg

from glare.domain.events import RecordedEvent, naive_text, notification_type
from glare.errors import GlareError

FORMATS: Final[Mapping[str, float]] = {"messaging": 1.0, "messagingv2": 2.0}
"""The format of messages by the name of the driver: the second has an envelope."""

EXTRA: Final = "glare-server[messaging]"

MOST_RETRIES: Final = 2
"""What is more takes an attempt beyond the time in which its event is claimed."""

_PRIORITY: Final = "INFO"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """Where notifications go, and how. `timeout` in whole seconds; `rabbit` are options of the library's group
    `oslo_messaging_rabbit`.
    """

    url: str
    driver: str
    topics: tuple[str, ...]
    exchange: str
    publisher: str
    retry: int
    timeout: int
    rabbit: Mapping[str, Any]


def installed() -> bool:
    """Whether the library is there, with what it needs to work with threads."""
    return all(importlib.util.find_spec(name) is not None for name in ("oslo_messaging", "cotyledon"))


class MessagingSink:
    """Sends each event to every topic. Nothing is connected before the first one, so a broker may be down when the
    worker starts.

    Raises `GlareError` when made, where the library is missing or the URL cannot be meant.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._library = load_library()
        self._transport: Any = None
        # Made once for its errors; it connects to nothing.
        self._open()

    def deliver(self, recorded: RecordedEvent) -> None:
        """Return once the broker has confirmed the message of each topic; raise where it has not."""
        message = {
            "message_id": recorded.event_id,
            "publisher_id": self._bus.publisher,
            "event_type": notification_type(recorded.event.type),
            "priority": _PRIORITY,
            "payload": recorded.event.payload,
            "timestamp": naive_text(recorded.event.occurred_at, " "),
        }
        for topic in self._bus.topics:
            self._send(f"{topic}.{_PRIORITY.lower()}", message)

    def close(self) -> None:
        """End the connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            # What it was for is delivered or comes again; how it ends changes nothing.
            with contextlib.suppress(Exception):
                transport.cleanup()

    def _send(self, topic: str, message: Mapping[str, Any]) -> None:
        retries = min(max(self._bus.retry, 0), MOST_RETRIES)
        target = self._library.Target(topic=topic, exchange=self._bus.exchange)
        version = FORMATS[self._bus.driver]
        for left in reversed(range(retries + 1)):
            try:
                # A copy, because the library adds to what it sends.
                self._open()._send_notification(target, {}, dict(message), version=version, retry=0)
                return
            except Exception as error:
                # A connection that has failed once is never used again: one that has timed out stays closed for ever.
                self.close()
                if not left:
                    raise
                _log.info("the broker has not taken a message, which is sent again at once: %s", type(error).__name__)

    def _open(self) -> Any:
        """The transport; a new one after a failure."""
        if self._transport is None:
            self._transport = self._make_transport()
        return self._transport

    def _make_transport(self) -> Any:
        conf = cfg.ConfigOpts()
        conf([], project="glare", default_config_files=[], default_config_dirs=[], use_env=False)
        try:
            transport = self._library.get_notification_transport(conf, url=self._bus.url)
        except (self._library.MessagingException, ValueError) as error:
            # The library's words hold the URL, and a URL its password.
            raise GlareError(
                f"The transport_url of notifications cannot be used ({type(error).__name__}); "
                "write it as rabbit://USER:PASSWORD@HOST:PORT/VHOST."
            ) from None
        options = {
            # It is the timeout of the socket too. Without it, a broker that says nothing holds the worker for ever.
            "heartbeat_timeout_threshold": self._bus.timeout,
            "kombu_reconnect_delay": 0.0,  # The wait is the outbox's matter.
            **self._bus.rabbit,
        }
        for name, value in options.items():
            conf.set_override(name, value, "oslo_messaging_rabbit")
        return transport


def load_library() -> Any:
    """oslo.messaging, with threads: left to itself it works with eventlet."""
    if not installed():
        raise GlareError(f"The driver of notifications is not installed; install '{EXTRA}'.")
    with warnings.catch_warnings():
        # Some of its parts import eventlet where it is installed, and use it only where it was put in charge.
        warnings.simplefilter("ignore")
        backend = importlib.import_module("oslo_service.backend")
        backend.init_backend(backend.BackendType.THREADING)
        return importlib.import_module("oslo_messaging")
