"""Logging to standard error: lines for people, or one JSON object a line for collectors."""

from __future__ import annotations

import json
import logging
import logging.config
import time
from typing import Any, Final

from glare.cli.configuration import say
from glare.context import REQUEST_ID, TRACE
from glare.settings import Settings

_log = logging.getLogger(__name__)

_IN_MESSAGE: Final = frozenset({"method", "route", "status"})
"""What the message of an access line holds already; collectors get it in fields of its own."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def logging_config(settings: Settings) -> dict[str, Any]:
    """The configuration for `logging.config.dictConfig`, the same in every process."""
    formatter = JsonFormatter if settings.logging.format == "json" else TextFormatter
    level = settings.log_level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"glare": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "glare"}},
        "root": {"handlers": ["stderr"], "level": level},
        # Libraries below these tell at `info` what an operator has no use for.
        "loggers": {
            "glare.access": {"level": level if settings.logging.access else "CRITICAL"},
            "asyncio": {"level": "WARNING"},
            "alembic": {"level": "WARNING"},
            "stevedore": {"level": "WARNING"},
        },
    }


def announce(settings: Settings, text: str, level: int = logging.INFO) -> None:
    """A line for who started the service: a sentence at a terminal, a record like all others for a collector."""
    if settings.logging.format == "json":
        _log.log(level, text)
    else:
        say(text)


def configure_logging(settings: Settings) -> None:
    """Send what is logged to standard error."""
    logging.config.dictConfig(logging_config(settings))


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO glare.http: message key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        said = _IN_MESSAGE if record.name == "glare.access" else frozenset()
        extras = "".join(f" {name}={value!r}" for name, value in _extras(record).items() if name not in said)
        # A line break in a value would let its author write log lines.
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{_time(record)} {record.levelname} {record.name}: {message}{extras}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, what the record carries, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    """What the record carries, with the request and the trace that it belongs to. Handlers run where the record was
    made.
    """
    extras = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    request_id, trace = REQUEST_ID.get(), TRACE.get()
    if trace is not None:
        extras = {"trace_id": trace.trace_id} | extras
    return extras if request_id is None else {"request_id": request_id} | extras


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"
