"""JSON Schemas of the documents that operations take and answer, made from their declarations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

Schema = dict[str, Any]

_REFERENCES: Final = "#/components/schemas/{name}"


def reference(name: str) -> Schema:
    """A reference to a component schema."""
    return {"$ref": _REFERENCES.format(name=name)}


class DocumentSchemas:
    """The schemas of these types. `components` are those that have names: documents, and words out of a few."""

    def __init__(self, documents: Iterable[Any], queries: Iterable[type[msgspec.Struct]]) -> None:
        self._types = list(dict.fromkeys(documents))
        self._queries = list(dict.fromkeys(queries))
        known = [*self._types, *self._queries]
        schemas, components = msgspec.json.schema_components(known, ref_template=_REFERENCES)
        self._schemas: dict[Any, Schema] = {kind: _plain(schema) for kind, schema in zip(known, schemas, strict=True)}
        plain = {name: _plain(schema) for name, schema in components.items()}
        self._parameters = {query: plain.pop(query.__name__) for query in self._queries}
        self.components: Mapping[str, Schema] = plain

    def of(self, document: Any) -> Schema:
        """The schema of a document, or a reference to it."""
        return self._schemas[document]

    def parameters_of(self, query: type[msgspec.Struct]) -> list[Schema]:
        """The parameters of a query."""
        described = self._parameters[query]["properties"]
        return [_parameter(name, dict(schema)) for name, schema in described.items()]


def _parameter(name: str, schema: Schema) -> Schema:
    about = {"description": text} if (text := schema.pop("description", None)) else {}
    return {"name": name, "in": "query", **about, "schema": _never_null(schema)}


def _never_null(schema: Schema) -> Schema:
    """The schema without null, which is what a parameter that is not given becomes."""
    kind = schema.get("type")
    if isinstance(kind, list):
        return {**schema, "type": next(one for one in kind if one != "null")}
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        return {**{key: value for key, value in schema.items() if key != "anyOf"}, **choices[0]}
    return schema


def _plain(value: Any) -> Any:
    """A schema as a reader would write it: without titles and defaults that say nothing, and with null as one of the
    types where it can be.
    """
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    plain: Schema = {
        key: {name: _plain(one) for name, one in inner.items()} if key == "properties" else _plain(inner)
        for key, inner in value.items()
        if key != "title" and not (key == "default" and inner is None)
    }
    text = plain.get("description")
    if isinstance(text, str):
        plain["description"] = " ".join(text.split())
    match plain.get("anyOf"):
        case [{"type": str() as kind} as only, {"type": "null"}]:
            del plain["anyOf"]
            return {**only, **plain, "type": [kind, "null"]}
    return plain
