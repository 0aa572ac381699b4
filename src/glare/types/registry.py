"""Finding artifact types, and compiling those that are enabled."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from importlib.metadata import entry_points as installed_entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final

from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.compile import ALL, compile_all, compile_type
from glare.domain.declared.declaration import ArtifactType
from glare.domain.declared.fields import WIDER, Limits
from glare.domain.hints import did_you_mean
from glare.errors import InvalidDeclaration, TypeNotFound

ENTRY_POINTS: Final = "glare.artifact_types"
"""The group of entry points that name a type's class, or a module that holds such classes."""

BUILT_IN: Final = tuple(
    f"glare.types.{module}"
    for module in ("heat_templates", "heat_environments", "murano_packages", "tosca_templates", "images", "secrets")
)
"""The modules of the built-in types, loaded as anybody's are."""

DEFAULT_ENABLED: Final = ("heat_templates", "heat_environments", "murano_packages", "tosca_templates", "images")

_GLARE: Final = str(Path(__file__).parents[1]) + os.sep

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TypeRegistry:
    """The enabled types, compiled, and the read-only `all`."""

    specs: Mapping[str, TypeSpec]
    all: TypeSpec

    @property
    def names(self) -> frozenset[str]:
        """The names of the enabled types, without ``all``."""
        return frozenset(self.specs)

    def get(self, name: str) -> TypeSpec:
        """The enabled type of this name. Raises `TypeNotFound`, also for ``all``."""
        spec = self.specs.get(name)
        if spec is None:
            raise TypeNotFound(
                f"There is no artifact type '{name[:64]}', or it is not enabled{_meant(name, self.specs)} GET "
                "/schemas lists them."
            )
        return spec


def _meant(name: str, names: Iterable[str]) -> str:
    """Which type was meant, if one was. Their names are no secret: everybody may read the description of the API."""
    return did_you_mean(name, names) or ";"


def discover(modules: Sequence[str], entry_points: bool) -> Mapping[str, type[ArtifactType]]:
    """The classes of all types that can be enabled, by name: built-in ones, those of `modules`, those of entry points.

    The first one of a name stands. An entry point that cannot be loaded is logged and passed over: an installed package
    is not the configuration's. Raises `InvalidDeclaration` for a module that cannot be imported.
    """
    found: dict[str, type[ArtifactType]] = {}
    for module in (*BUILT_IN, *modules):
        _collect(found, _types_in(imported(module)), module)
    for entry_point in installed_entry_points(group=ENTRY_POINTS) if entry_points else ():
        _collect(found, _types_of_entry_point(entry_point), entry_point.value)
    return found


def load(
    enabled: Sequence[str],
    modules: Sequence[str],
    entry_points: bool,
    options: Mapping[str, Mapping[str, Any]],
    limits: Limits = WIDER,
) -> TypeRegistry:
    """Compile the enabled types; `options` are the values of each type's own options, by the type's name.

    `limits` are for what types do not limit themselves, in requests since `WIDER_TEXT`.

    Raises `InvalidDeclaration` for a type that is declared wrongly, or that nothing defines.
    """
    classes = discover(modules, entry_points)
    specs = {}
    for name in dict.fromkeys(enabled):
        if name == ALL:
            raise InvalidDeclaration(f"Type '{ALL}' is always there; remove it from enabled_artifact_types.")
        if name not in classes:
            raise InvalidDeclaration(
                f"Artifact type '{name}' is enabled but nothing defines it; correct its name in "
                "enabled_artifact_types, or name "
                "the module that defines it in custom_artifact_types_modules (types found: "
                f"{', '.join(sorted(classes))})."
            )
        specs[name] = compile_type(classes[name], options.get(name), limits)
    return TypeRegistry(MappingProxyType(specs), compile_all(limits))


def _collect(found: dict[str, type[ArtifactType]], classes: Iterable[type[ArtifactType]], origin: str) -> None:
    for cls in classes:
        other = found.setdefault(cls.name, cls)
        if other is not cls:
            _log.warning(
                "artifact type passed over: its name is taken",
                extra={"type": cls.name, "origin": origin, "taken_by": f"{other.__module__}.{other.__qualname__}"},
            )


def imported(name: str) -> ModuleType:
    """The module of this name. Raises `InvalidDeclaration`, with the line of the module's that failed."""
    try:
        return importlib.import_module(name)
    except Exception as failure:
        reason = " ".join(str(failure).split())
        raise InvalidDeclaration(
            f"Module '{name}' of artifact types cannot be imported ({type(failure).__name__}: "
            f"{reason}{_place(failure)}); "
            "correct it, put its directory on PYTHONPATH, or take it out of [DEFAULT] custom_artifact_types_modules."
        ) from failure


def _place(failure: Exception) -> str:
    """Where the author's code failed: the innermost line that is neither Python's import nor Glare's."""
    lines = [
        frame
        for frame in traceback.extract_tb(failure.__traceback__)
        if not frame.filename.startswith((_GLARE, "<")) and frame.filename != importlib.__file__
    ]
    return f", {lines[-1].filename} line {lines[-1].lineno}" if lines else ""


def _types_of_entry_point(entry_point: EntryPoint) -> list[type[ArtifactType]]:
    try:
        loaded = entry_point.load()
    except Exception as failure:  # noqa: BLE001 - somebody's package may fail in any way, and stops nobody else's
        _log.error(
            "entry point of artifact types failed", extra={"entry_point": entry_point.value, "reason": str(failure)}
        )
        return []
    found = _types_in(loaded) if isinstance(loaded, ModuleType) else _named([loaded])
    if not found:
        _log.error("entry point of artifact types holds none", extra={"entry_point": entry_point.value})
    return found


def _types_in(module: ModuleType) -> list[type[ArtifactType]]:
    """The types that a module defines or imports, in the order in which it does."""
    return _named(value for value in vars(module).values() if inspect.isclass(value))


def _named(classes: Iterable[Any]) -> list[type[ArtifactType]]:
    """Those that are types with a name; a class without one is a base for others."""
    return [
        cls
        for cls in classes
        if inspect.isclass(cls) and issubclass(cls, ArtifactType) and isinstance(getattr(cls, "name", None), str)
    ]
