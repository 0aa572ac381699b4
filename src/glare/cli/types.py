"""`glare-server types`: the artifact types that are installed."""

from __future__ import annotations

import inspect
import json
from argparse import Namespace
from collections.abc import Mapping

from glare.cli.configuration import read_settings, say
from glare.cli.tables import print_table
from glare.domain.declared.compile import compile_type
from glare.domain.declared.declaration import ArtifactType
from glare.domain.wording import counted
from glare.errors import InvalidDeclaration, TypeNotFound
from glare.settings.type_options import type_options
from glare.settings.unknown import meant
from glare.types.registry import discover, imported

_COLUMNS = ("NAME", "STATE", "VERSION", "MODULE")


def list_types(args: Namespace) -> int:
    """`glare-server types list`."""
    settings = read_settings(args)
    enabled = settings.types.enabled_artifact_types
    found = discover(settings.types.custom_artifact_types_modules, entry_points=True)
    documents = [
        {"name": name, "enabled": name in enabled, "version": cls.version, "module": cls.__module__}
        for name, cls in sorted(found.items())
    ]
    rows = [
        (name, "enabled" if name in enabled else "disabled", cls.version, cls.__module__)
        for name, cls in sorted(found.items())
    ]
    print_table(args, _COLUMNS, rows, documents)
    for name in enabled:
        if name not in found:
            say(f"warning: {name} is enabled, but nothing defines it; see [DEFAULT] custom_artifact_types_modules.")
    return 0


def show(args: Namespace) -> int:
    """`glare-server types show`: the schema of the newest microversion."""
    settings = read_settings(args)
    found = discover(settings.types.custom_artifact_types_modules, entry_points=True)
    if args.type not in found:
        every = f"; there are {', '.join(sorted(found))}."
        raise TypeNotFound(f"There is no artifact type {args.type!r}{meant(args.type, found, every)}")
    group = settings.artifact_types.get(args.type)
    spec = compile_type(found[args.type], type_options(found[args.type], group.extra if group else {}))
    print(json.dumps(spec.faces[-1].schema, indent=2, ensure_ascii=False))
    return 0


def check(args: Namespace) -> int:
    """`glare-server types check`: every type of every module, so that an author sees all that is wrong at once."""
    built_in = discover((), entry_points=False)
    problems = 0
    for name in args.module:
        try:
            found = _declared(name, built_in)
        except InvalidDeclaration as error:
            say(error.message)
            problems += 1
            continue
        for cls in found:
            try:
                if cls.name in built_in:
                    raise InvalidDeclaration(
                        f"Artifact type '{cls.name}': a built-in type has this name; choose another."
                    )
                count = len(compile_type(cls).custom_fields)
            except InvalidDeclaration as error:
                say(error.message)
                problems += 1
            else:
                print(f"{cls.name}: fine, {counted(count, 'field')} of its own ({name}.{cls.__qualname__})")
    return 1 if problems else 0


def _declared(name: str, built_in: Mapping[str, type[ArtifactType]]) -> list[type[ArtifactType]]:
    """The types that a module declares, without those that it imports from Glare to build on."""
    module = imported(name)
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, ArtifactType)
        and isinstance(getattr(value, "name", None), str)
        and value not in built_in.values()
    ]
    if not found:
        raise InvalidDeclaration(
            f"Module {name!r} declares no artifact type; a type is a subclass of ArtifactType with a `name`."
        )
    return list(dict.fromkeys(found))
