"""The sample configuration file: every option with its help, commented out, at its default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from glare.settings.values import all_options, group_purposes


def sample() -> str:
    """The text that `glare-server config sample` prints."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from _comment(
        "Configuration of Glare. Every option has its default; remove the sign before one to change it. The "
        "environment variable OS_GROUP__OPTION goes before the file. Durations: 90, 90 s, 5 m, 2 h, 7 d. Sizes: "
        "1048576, 64 KiB, 2 GB. $name stands for the value of another option, $$ for a dollar sign."
    )
    group = None
    purposes = group_purposes()
    for declared in all_options():
        if declared.group != group:
            group = declared.group
            yield ""
            yield from _comment(purposes[group])
            # A group that stands for many is commented out: as it is written, it would name one called T.
            yield f"#[{group}]" if ":" in group else f"[{group}]"
        yield ""
        yield from _comment(f"{declared.option.help} It must be {declared.option.kind.words}.")
        yield f"#{declared.name} = {declared.option.default}".rstrip()


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, 110, initial_indent="# ", subsequent_indent="# ", break_long_words=False, break_on_hyphens=False
    )
