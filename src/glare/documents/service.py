"""What every service answers, whatever its types: versions, health, and the schemas of types."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field


class Link(Struct, frozen=True):
    rel: str
    type: str
    href: str


class Version(Struct, frozen=True):
    version: str
    status: str
    links: list[Link]
    media_type: str = field(name="media-type")


class Versions(Struct, frozen=True):
    versions: list[Version]


class Health(Struct, frozen=True):
    detailed: bool
    reasons: list[str]


class Readiness(Struct, frozen=True):
    ready: bool
    problems: Annotated[dict[str, str], Meta(description="What keeps it from working, by part.")] | UnsetType = UNSET
    limits: Annotated[dict[str, str], Meta(description="What it can do without, by part.")] | UnsetType = UNSET


class TypeSchemas(Struct, frozen=True):
    schemas: Annotated[dict[str, dict[str, Any]], Meta(description="The JSON Schema of each type by the type's name.")]
