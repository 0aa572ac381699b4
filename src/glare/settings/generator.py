"""Glare's options for the tools of oslo.config: the entry point `glare` of ``oslo.config.opts``.

``oslo-config-generator --namespace glare`` writes a sample of them. Those of ``[keystone_authtoken]`` are of the
namespace `keystonemiddleware.auth_token`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oslo_config import cfg, types

from glare.settings.declare import Declared
from glare.settings.values import all_options


class _Written(types.String):
    """A value in Glare's own words, such as ``5 m`` or ``1 GiB``: checked as Glare does, and left as it is written."""

    def __init__(self, words: str, parse: Callable[[str], Any]) -> None:
        super().__init__(type_name=words)
        self._words = words
        self._parse = parse

    def __call__(self, value: Any) -> Any:
        text = super().__call__(value)
        try:
            self._parse(text)
        except ValueError:
            raise ValueError(f"it must be {self._words}") from None
        return text


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Every option by group, in the order of the reference; those of one type stand in the group
    `artifact_type:T`.
    """
    found: dict[str, list[cfg.Opt]] = {}
    for declared in all_options():
        found.setdefault(declared.group, []).append(_option(declared))
    return list(found.items())


def _option(declared: Declared) -> cfg.Opt:
    option = declared.option
    return cfg.Opt(
        declared.name,
        type=_Written(option.kind.words, option.kind.parse),
        default=option.default or None,
        help=option.help,
        secret=option.secret,
    )
