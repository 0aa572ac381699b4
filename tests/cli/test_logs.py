from __future__ import annotations

import json
import logging
import sys

from glare.cli.logs import JsonFormatter, TextFormatter, logging_config
from glare.settings import Sources, load


def record(message: str, **extra: object) -> logging.LogRecord:
    """What a call of a logger makes."""
    try:
        raise ValueError("broken")
    except ValueError:
        made = logging.getLogger("glare.test").makeRecord(
            "glare.test", logging.WARNING, __file__, 1, message, (), sys.exc_info(), extra=extra
        )
    made.created, made.msecs = 0.0, 7.0
    return made


def test_a_json_line_holds_what_the_record_carries() -> None:
    """A collector gets time, level, logger, message, fields and traceback as one object on one line."""
    line = JsonFormatter().format(record("two\nlines", request_id="r1", size=5))
    assert "\n" not in line
    entry = json.loads(line)
    assert entry.pop("traceback").startswith("Traceback")
    assert entry == {
        "time": "1970-01-01T00:00:00.007Z",
        "level": "warning",
        "logger": "glare.test",
        "message": "two\nlines",
        "request_id": "r1",
        "size": 5,
    }


def test_a_text_line_cannot_be_split_by_what_it_tells() -> None:
    """A line break in a message or a field does not begin a line of the log."""
    lines = TextFormatter().format(record("two\nlines", path="a\nb")).splitlines()
    assert lines[0] == "1970-01-01T00:00:00.007Z WARNING glare.test: two\\nlines path='a\\nb'"
    assert lines[1].startswith("Traceback")


def test_debug_lowers_the_level() -> None:
    """`debug = true` logs in detail, whatever the level says."""
    for debug, level in (("false", "ERROR"), ("true", "DEBUG")):
        overrides = {("DEFAULT", "debug"): debug, ("logging", "level"): "error", ("logging", "format"): "json"}
        config = logging_config(load(Sources(overrides=overrides, search=False, environment=False)).settings)
        assert config["root"]["level"] == level
        assert config["formatters"]["glare"]["()"] is JsonFormatter
