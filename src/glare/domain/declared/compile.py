"""From a declared type to a compiled one, refusing whatever is declared wrongly."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from glare.domain.declared import checks, fields
from glare.domain.declared.artifact_type import Face, FieldSpec, TypeSpec
from glare.domain.declared.base_fields import BASE_FIELDS, KEEPS_NULL, SINCE_SHARING, TYPE_NAME
from glare.domain.declared.coercion import Shape
from glare.domain.declared.declaration import ArtifactType
from glare.domain.declared.hooks import Hooks
from glare.domain.declared.schema import type_schema
from glare.domain.microversion import WIDER_TEXT
from glare.errors import InvalidDeclaration, InvalidParameterValue

ALL: Final = "all"
"""The name of the read-only type that every artifact can be seen through."""

_HOOKS: Final = ("validate", "ingest", "download", "before", "after", "format")


class _All(ArtifactType):
    name = ALL
    display_name = "All Artifacts"
    description = "Every artifact of every enabled type, with the fields that all have in common. Read-only."


def compile_type(
    cls: type[ArtifactType], options: Mapping[str, Any] | None = None, limits: fields.Limits = fields.WIDER
) -> TypeSpec:
    """Compile a declared type; `options` are the values of its `config`, those missing get their default.

    `limits` are those since `WIDER_TEXT` for what the type does not limit itself.

    Raises `InvalidDeclaration`, naming type, field and reason.
    """
    checks.check_type(cls, reserved=(ALL,))
    values = {option.name: option.default for option in cls.config} | dict(options or {})
    declared = {
        declaration.field_name or attribute: declaration for attribute, declaration in checks.declared_fields(cls)
    }
    custom = {
        name: _both(compile_field(cls.name, name, declaration), cls.name, declaration, limits)
        for name, declaration in declared.items()
    }
    return _assemble(cls(values), custom, limits)


def compile_all(limits: fields.Limits = fields.WIDER) -> TypeSpec:
    """The read-only type ``all``."""
    type_name = _both(_compiled(ALL, "type_name", TYPE_NAME, is_base=True), ALL, TYPE_NAME, limits)
    return _assemble(_All({}), {"type_name": type_name}, limits)


def compile_field(type_name: str, name: str, declaration: fields.Field) -> FieldSpec:
    """Compile one field of a type. Raises `InvalidDeclaration`."""
    reason = checks.name_problem(name) or checks.field_problem(declaration)
    if reason:
        raise InvalidDeclaration(f"Artifact type '{type_name}', field '{name}': {reason}.")
    return _compiled(type_name, name, declaration, is_base=False)


def _compiled(type_name: str, name: str, declaration: fields.Field, *, is_base: bool) -> FieldSpec:
    of = declaration.of if isinstance(declaration, (fields.ListOf, fields.DictOf)) else declaration
    ops = checks.DEFAULT_OPERATORS[of.kind] if declaration.filter_ops is None else declaration.filter_ops
    spec = FieldSpec(
        name=name,
        kind=of.kind,
        shape=declaration.shape,
        description=declaration.description,
        mutable=declaration.mutable,
        system=declaration.system,
        nullable=declaration.nullable,
        required_on_activate=declaration.required_on_activate,
        sortable=declaration.sortable,
        filter_ops=tuple(ops),
        default=None,
        metadata=declaration.metadata,
        since=declaration.since,
        is_base=is_base,
        element_rules=declaration.element_rules(),
        container_rules=declaration.container_rules(),
        keeps_null=is_base and name in KEEPS_NULL,
        replicas=isinstance(declaration, fields.BlobDict) and declaration.replicas,
        formats=tuple(declaration.formats) if isinstance(declaration, (fields.Blob, fields.BlobDict)) else (),
        **_sizes(declaration),
    )
    return _with_default(type_name, spec, declaration.default)


def _both(spec: FieldSpec, type_name: str, declaration: fields.Field, limits: fields.Limits) -> FieldSpec:
    """The field as older requests have it, with what it is since `WIDER_TEXT`."""
    wide = _compiled(type_name, spec.name, fields.widened(declaration, limits), is_base=spec.is_base)
    return dataclasses.replace(spec, newer=dataclasses.replace(wide, any_text=True))


def _sizes(declaration: fields.Field) -> dict[str, Any]:
    match declaration:
        case fields.Blob():
            return {"max_blob_size": declaration.max_size}
        case fields.BlobDict():
            return {
                "max_blob_size": declaration.max_blob_size,
                "max_folder_size": declaration.max_folder_size,
                "max_key_length": declaration.max_key_length,
                "max_keys": declaration.max_size,
            }
        case fields.DictOf():
            return {"max_key_length": declaration.max_key_length, "max_keys": declaration.most}
    return {}


def _with_default(type_name: str, spec: FieldSpec, default: Any) -> FieldSpec:
    """The field with its default, which has to pass the field's own rules unless it is an empty container."""
    empty: Any = {Shape.LIST: [], Shape.DICT: {}}.get(spec.shape)
    if default is fields.UNSET or default == empty:
        return dataclasses.replace(spec, default=empty if default is not None else None)
    if default is None:
        return spec
    try:
        return dataclasses.replace(spec, default=spec.coerce(default))
    except InvalidParameterValue as refused:
        raise InvalidDeclaration(
            f"Artifact type '{type_name}', field '{spec.name}': its default is refused by its own rules. "
            f"{refused.message}"
        ) from None


def _assemble(instance: ArtifactType, custom: Mapping[str, FieldSpec], limits: fields.Limits) -> TypeSpec:
    cls = type(instance)
    base = {
        name: _both(
            _compiled(cls.name, name, declaration, is_base=True),
            cls.name,
            SINCE_SHARING.get(name, declaration),
            limits,
        )
        for name, declaration in BASE_FIELDS.items()
    }
    everything = {**base, **custom}
    thresholds = sorted({WIDER_TEXT, *(field.since for field in everything.values() if field.since is not None)})
    faces = []
    for since in (None, *thresholds):
        wide = since is not None and since >= WIDER_TEXT
        seen = {
            name: field.newer if wide and field.newer is not None else field
            for name, field in everything.items()
            if field.since is None or (since is not None and field.since <= since)
        }
        faces.append(
            Face(
                name=cls.name,
                since=since,
                fields=MappingProxyType(seen),
                schema=type_schema(cls.name, cls.version, cls.display_name, seen.values()),
                blank={name: field.default for name, field in seen.items()},
                fresh={name: field.default for name, field in seen.items() if isinstance(field.default, (list, dict))},
                later={
                    name: field.since
                    for name, field in everything.items()
                    if name not in seen and field.since is not None
                },
            )
        )
    return TypeSpec(
        name=cls.name,
        display_name=cls.display_name,
        version=cls.version,
        description=cls.description,
        fields=MappingProxyType(everything),
        custom_fields=MappingProxyType({name: field for name, field in everything.items() if not field.is_base}),
        hooks=Hooks(**{hook: getattr(cls, hook) is not getattr(ArtifactType, hook) for hook in _HOOKS}),
        artifact_type=instance,
        faces=tuple(faces),
    )
