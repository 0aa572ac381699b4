"""W3C Trace Context: which larger piece of work a request is part of, as its caller says.

https://www.w3.org/TR/trace-context-1/. Where this service keeps no span of its own (`glare.spans`), it is a participant
that hands on what it was given, unchanged: a parent that nobody has recorded would tear the trace apart. It is for
telling only, and nothing is decided by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KEY: Final = r"[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_MEMBER: Final = re.compile(rf"({_KEY})=([ -+\--<>-~]{{0,255}}[!-+\--<>-~])")
_MOST_MEMBERS: Final = 32
_MOST_STATE: Final = 512
_LONG_MEMBER: Final = 128
_MOST_READ: Final = 4096
"""Characters of a ``tracestate`` that are looked at: eight times what is kept, whatever a server lets through."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A place in a trace. `parent` is a ``traceparent``, `state` a ``tracestate`` or empty; `project` is whose caller
    named it.

    The project matters because a trace stays with whom it belongs to: both values are the caller's, and may tell of
    their systems.
    """

    parent: str
    state: str = ""
    project: str | None = None

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return self.parent[3:35]

    @property
    def headers(self) -> dict[str, str]:
        """What a request carries that is part of this trace."""
        return {"traceparent": self.parent} | ({"tracestate": self.state} if self.state else {})

    @property
    def text(self) -> str:
        """Both values as one text, to be kept: 568 characters at most."""
        return f"{self.parent} {self.state}".rstrip()


def received(parents: Sequence[str], states: Sequence[str]) -> Trace | None:
    """The trace that a request's headers name; None where there is no ``traceparent``, or none that may be believed.

    A ``tracestate`` that breaks the grammar is dropped, and the rest of the trace stays. What is too long loses members
    as the specification wants it: those of over 128 characters first, then from the end.
    """
    found = _PARENT.fullmatch(parents[0]) if len(parents) == 1 and parents[0].isascii() else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    # Of a later version what this one knows is handed on, in the form that this one knows.
    known = int(flags, 16) & 1
    return Trace(f"00-{trace_id}-{span_id}-{flags if version == '00' else f'{known:02x}'}", _state(states))


def kept(text: str | None, project: str | None) -> Trace | None:
    """The trace whose `Trace.text` was kept, with whose it is; None for None."""
    if text is None:
        return None
    parent, _, state = text.partition(" ")
    return Trace(parent, state, project)


def _state(values: Sequence[str]) -> str:
    text = ",".join(values)
    if len(text) > _MOST_READ:
        return ""
    members = [member.strip(" \t") for member in text.split(",")]
    members = [member for member in members if member]
    matched = [_MEMBER.fullmatch(member) for member in members]
    keys = {found[1] for found in matched if found is not None}
    if len(keys) != len(members) or len(members) > _MOST_MEMBERS:
        return ""  # A member is malformed, or two have one key.
    return _shortened(members)


def _shortened(members: list[str]) -> str:
    def size() -> int:
        return sum(map(len, members)) + max(0, len(members) - 1)

    for at in reversed(range(len(members))):
        if size() <= _MOST_STATE:
            break
        if len(members[at]) > _LONG_MEMBER:
            del members[at]
    while size() > _MOST_STATE:
        members.pop()
    return ",".join(members)
