"""Compiled artifact types: what the rest of Glare works with. `glare.domain.declared.compile` makes them from
declarations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from glare.domain import moment
from glare.domain.artifact import Artifact
from glare.domain.declared import legacy
from glare.domain.declared.coercion import (
    COERCERS,
    Kind,
    Shape,
    Unacceptable,
    narrow,
    require_three_numbers,
    storable,
)
from glare.domain.declared.declaration import ArtifactType
from glare.domain.declared.hooks import ArtifactView, Hooks, Ingest, Ingested, Reader
from glare.domain.declared.validators import KeyLength, Length, Validator
from glare.domain.hints import did_you_mean
from glare.domain.microversion import WIDER_TEXT, Microversion
from glare.domain.wording import quoted
from glare.errors import GlareError, InvalidParameterValue


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a type.

    `is_blob` holds for single blobs and for folders (dicts of blobs), `is_folder` for the latter only. Sizes are in
    bytes, 0 where there is no blob; `max_key_length` in characters, `max_keys` a count, both 0 where there are no keys.
    The keys of a folder of `replicas` are one content. `formats` are fields whose value says
    the format of the blob. `element_rules` are for a value, or each element of a container;
    `container_rules` for the whole container. `any_text` takes characters above U+FFFF too; `newer` is the field since
    `WIDER_TEXT`, None where this is that.
    """

    name: str
    kind: Kind
    shape: Shape
    description: str | None
    mutable: bool
    system: bool
    nullable: bool
    required_on_activate: bool
    sortable: bool
    filter_ops: tuple[str, ...]
    default: Any
    metadata: Mapping[str, Any] | None
    since: Microversion | None
    is_base: bool
    element_rules: tuple[Validator, ...]
    container_rules: tuple[Validator, ...]
    max_blob_size: int = 0
    max_folder_size: int = 0
    max_key_length: int = 0
    max_keys: int = 0
    keeps_null: bool = False
    replicas: bool = False
    formats: tuple[str, ...] = ()
    any_text: bool = False
    newer: FieldSpec | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def is_blob(self) -> bool:
        return self.kind is Kind.BLOB

    @property
    def is_folder(self) -> bool:
        return self.kind is Kind.BLOB and self.shape is Shape.DICT

    @property
    def is_list(self) -> bool:
        return self.shape is Shape.LIST

    @property
    def is_dict(self) -> bool:
        """Whether the field is a dict, also of blobs."""
        return self.shape is Shape.DICT

    @property
    def glare_type(self) -> str:
        """The name of the kind in schemas, such as ``StringList``; versions are ``String``."""
        return (Kind.STRING if self.kind is Kind.VERSION else self.kind).value + self.shape.value

    def coerce(self, value: Any) -> Any:
        """The stored form of a value that a client or a hook gives.

        None means that nothing is stored: the field shows its default. An empty container is nothing where the default
        is null. Raises `InvalidParameterValue`.
        """
        if value is None:
            if self.nullable:
                return None
            if self.default is None:
                raise InvalidParameterValue(f"Field '{self.name}' cannot be null: give a value.")
            return copy(self.default)
        try:
            return self._coerce(value)
        except Unacceptable as reason:
            raise self._refused(value, reason, self._taken_since(value)) from None

    def coerce_filter(self, text: str, operator: str = "eq") -> Any:
        """The value to compare with: one element of a container, checked as input is, or a pattern for ``like``.

        A base DateTime gives microseconds since the epoch, as artifacts have them; one of the type's own gives text in
        UTC, as values have it. Raises `InvalidParameterValue`.
        """
        try:
            if operator == "like":
                pattern = storable(text)
                for rule in self.element_rules:
                    if isinstance(rule, Length):
                        rule.check(pattern)
                return pattern
            value = self._element(text)
            return moment.read(value) if self.is_base and self.kind is Kind.DATETIME else value
        except Unacceptable as reason:
            raise self._refused(text, reason) from None

    def validate_key(self, key: str) -> str:
        """The key itself where a folder may have it. Raises `InvalidParameterValue`."""
        try:
            self._keys((key,))
        except Unacceptable as reason:
            raise InvalidParameterValue(f"Field '{self.name}' cannot have the key {quoted(key)}: {reason}.") from None
        return key

    def links(self, value: Any) -> Iterator[str]:
        """The links in a stored value of the field, none unless it is of links. Whether they exist is the caller's to
        check.
        """
        if self.kind is not Kind.LINK or value is None:
            return
        if self.shape is Shape.SCALAR:
            yield value
        else:
            yield from value.values() if self.shape is Shape.DICT else value

    def effective(self, stored: Any) -> Any:
        """What a stored value means: itself, or the default (a copy of it) where there is none."""
        value = legacy.on_read(stored, self.default, keeps_null=self.keeps_null)
        return copy(value) if value is self.default else value

    def _coerce(self, value: Any) -> Any:
        if self.shape is Shape.SCALAR:
            coerced = self._element(value)
            return self._narrow(coerced) if self.kind is Kind.STRING else coerced
        if self.is_blob:
            raise Unacceptable("upload its data, or add a location, at its own path")
        container = self._list(value) if self.shape is Shape.LIST else self._dict(value)
        for rule in self.container_rules:
            container = rule.check(container)
        return container if container or self.default is not None or not self.nullable else None

    def _element(self, value: Any) -> Any:
        if value is None:
            raise Unacceptable("remove the null; every element needs a value")
        if self.kind is Kind.VERSION and self.any_text:
            require_three_numbers(value)
        value = COERCERS[self.kind](value)
        for rule in self.element_rules:
            value = rule.check(value)
        return value

    def _list(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Unacceptable("give a list")
        return [self._element(item) for item in value]

    def _dict(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Unacceptable("give an object")
        self._keys(value)
        entries = {key: self._element(item) for key, item in value.items()}
        if self.kind is Kind.STRING:
            for item in entries.values():
                self._narrow(item)
        return entries

    def _keys(self, keys: Collection[str]) -> None:
        for key in keys:
            self._narrow(storable(key))
        for rule in self.container_rules:
            if isinstance(rule, KeyLength):
                rule.check(keys)

    def _narrow(self, text: str) -> str:
        return text if self.any_text else narrow(text)

    def _refused(self, value: Any, reason: Unacceptable, newer: str = "") -> InvalidParameterValue:
        return InvalidParameterValue(f"Field '{self.name}' cannot be {quoted(value)}: {reason}{newer}.")

    def _taken_since(self, value: Any) -> str:
        """What to add to a refusal where newer requests may give the value."""
        if self.newer is None:
            return ""
        try:
            self.newer.coerce(value)
        except InvalidParameterValue:
            return ""
        return f", or make the request with API version {WIDER_TEXT}"


@dataclass(frozen=True, slots=True)
class Face:
    """What requests from the microversion `since` on see of a type.

    `blank` is a representation in which every field has its default; `fresh` are those defaults in it that are
    containers, of which each representation needs a copy. `name` is the type's. `later` are the fields that only later
    requests see, each with its microversion.
    """

    name: str
    since: Microversion | None
    fields: Mapping[str, FieldSpec]
    schema: Mapping[str, Any]
    blank: Mapping[str, Any]
    fresh: Mapping[str, list[Any] | dict[str, Any]]
    later: Mapping[str, Microversion]

    def why_unknown(self, name: str) -> str:
        """Why there is no field of this name: what stands behind the name in a refusal, without the full stop."""
        since = self.later.get(name)
        if since is not None:
            return f"; it exists since API version {since}: send the header OpenStack-API-Version: artifact {since}"
        meant = did_you_mean(name, self.fields)
        return f"{f'{meant} See' if meant else '; see'} /schemas/{self.name} for those it has"


@dataclass(frozen=True, slots=True)
class TypeSpec:
    """One enabled type. `fields` begins with the base fields; `custom_fields` are the others.

    `artifact_type` is the author's instance, on which the overridden `hooks` are called. `faces` go from the oldest
    microversion to the newest.
    """

    name: str
    display_name: str | None
    version: str
    description: str
    fields: Mapping[str, FieldSpec] = dataclasses.field(repr=False)
    custom_fields: Mapping[str, FieldSpec] = dataclasses.field(repr=False)
    hooks: Hooks = dataclasses.field(repr=False)
    artifact_type: ArtifactType
    faces: tuple[Face, ...] = dataclasses.field(repr=False)

    @property
    def rewrites_downloads(self) -> bool:
        """Whether downloads pass a hook, so that ranges and digests cannot be offered."""
        return self.hooks.download

    @property
    def later(self) -> Mapping[str, Microversion]:
        """As `Face.later`: all of a type has no later fields."""
        return {}

    def face(self, microversion: Microversion) -> Face:
        """What requests of this microversion see."""
        found = self.faces[0]
        for face in self.faces[1:]:
            if face.since is not None and face.since <= microversion:
                found = face
        return found

    def schema(self, microversion: Microversion) -> Mapping[str, Any]:
        """The JSON Schema of the type's artifacts; not to be changed."""
        return self.face(microversion).schema

    def view(self, artifact: Artifact) -> ArtifactView:
        """The artifact as hooks see it."""
        return ArtifactView(artifact, _view_values(self, artifact))

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What a new artifact stores, given the coerced values of a request: those that are something, and what cannot
        be null.

        Base fields with columns of their own are left out. Raises `InvalidParameterValue` for a field that needs a
        value.
        """
        stored = {
            name: value
            for name, value in values.items()
            if name not in COLUMNS and (value is not None or self.fields[name].keeps_null)
        }
        for name, field in self.custom_fields.items():
            if not field.nullable and not field.is_blob and name not in stored:
                stored[name] = field.coerce(None)
        return stored

    def missing(self, artifact: Artifact) -> tuple[str, ...]:
        """The fields that are required for activation and have no value."""
        values = _view_values(self, artifact)
        return tuple(
            name
            for name, field in self.custom_fields.items()
            if field.required_on_activate and not legacy.is_set(values[name])
        )

    def hook_values(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """The stored forms of what a `before` hook returned. Raises `GlareError` for what it may not set."""
        coerced = {}
        for name, value in (given or {}).items():
            field = self.custom_fields.get(name)
            if field is None or field.is_blob:
                raise GlareError(
                    f"The 'before' hook of type '{self.name}' may not set '{name}'; return fields of its own only."
                )
            coerced[name] = (field.newer or field).coerce(value)
        return coerced

    def ingest(self, upload: Ingest, stream: Reader) -> Ingested:
        """What the type's hook makes of what a client uploads; the very same stream where there is no hook."""
        if not self.hooks.ingest:
            return Ingested(stream)
        made = self.artifact_type.ingest(upload, stream)
        return made if isinstance(made, Ingested) else Ingested(made)


COLUMNS = frozenset(
    (
        "id",
        "name",
        "owner",
        "status",
        "created_at",
        "updated_at",
        "activated_at",
        "visibility",
        "version",
        "display_type_name",
        "type_name",
    )
)
"""The fields that artifacts have as attributes of their own, or that their type knows; all others are in
`Artifact.values`."""


def _view_values(spec: TypeSpec, artifact: Artifact) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": artifact.id,
        "name": artifact.name,
        "owner": artifact.owner,
        "status": artifact.status,
        "created_at": artifact.created_at,
        "updated_at": artifact.updated_at,
        "activated_at": artifact.activated_at,
        "visibility": artifact.visibility,
        "version": artifact.version,
        "display_type_name": spec.display_name,
    }
    for name, field in spec.fields.items():
        if name in COLUMNS:
            continue
        if field.is_folder:
            values[name] = {slot.key: blob for slot, blob in artifact.blobs.items() if slot.field == name}
        elif field.is_blob:
            values[name] = next((blob for slot, blob in artifact.blobs.items() if slot.field == name), None)
        else:
            values[name] = field.effective(artifact.values.get(name, field.default))
    return values
