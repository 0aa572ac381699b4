"""Options that artifact types declare themselves: they are read once the types are known."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from glare.domain.declared.declaration import ArtifactType, Option
from glare.domain.declared.fields import Limits
from glare.settings.declare import parse_boolean, split_list
from glare.settings.errors import SettingsError
from glare.settings.values import Settings
from glare.types.registry import TypeRegistry, discover, load

_KINDS: Mapping[type, tuple[str, Callable[[str], Any]]] = MappingProxyType(
    {
        str: ("text", str),
        int: ("a whole number", int),
        float: ("a number", float),
        bool: ("true or false", parse_boolean),
        list: ("texts with commas between them", lambda value: list(split_list(value))),
    }
)
"""What each kind of option takes, in words and as a function that raises ValueError."""


def load_types(settings: Settings) -> TypeRegistry:
    """The enabled artifact types, with their options.

    Raises `InvalidDeclaration` for a type that is declared wrongly or not found, SettingsError for a wrong option.
    """
    modules = settings.types.custom_artifact_types_modules
    enabled = settings.types.enabled_artifact_types
    written = {name: settings.artifact_types[name].extra for name in enabled if settings.artifact_types[name].extra}
    # Types without options of their own, which is most installations, need not be searched for twice.
    classes = discover(modules, entry_points=True) if written else {}
    options = {name: type_options(classes[name], written[name]) for name in written if name in classes}
    limits = Limits(settings.api.max_text_length, settings.api.max_items)
    return load(enabled, modules, entry_points=True, options=options, limits=limits)


def type_options(cls: type[ArtifactType], written: Mapping[str, str]) -> dict[str, Any]:
    """Typed values of what the group of a type holds; SettingsError for what it does not declare, or a wrong value."""
    declared = {option.name: option for option in cls.config}
    for name in written:
        if name not in declared:
            close = difflib.get_close_matches(name, declared, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; remove it."
            raise SettingsError(f"[artifact_type:{cls.name}] {name} is no option of this type{hint}")
    return {name: _value(cls.name, declared[name], text) for name, text in written.items()}


def _value(type_name: str, option: Option, text: str) -> Any:
    kind = list if option.kind not in _KINDS else option.kind
    words, parse = _KINDS[kind]
    try:
        return parse(text)
    except ValueError:
        raise SettingsError(
            f"[artifact_type:{type_name}] {option.name} is {text!r}, but it must be {words}; "
            f"correct it, or remove it for the default {option.default!r}."
        ) from None
