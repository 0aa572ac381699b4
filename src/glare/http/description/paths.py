"""The description of what each registered type has: its list, its artifacts, and a path for each of its blobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.declared.compile import ALL
from glare.http.api import artifacts, blobs, folders
from glare.http.description.document_schemas import reference
from glare.http.description.parts import VERSIONED, VERSIONING, Part, headers, parameters, problems
from glare.http.description.schemas import answer_name, new_name, page_name
from glare.http.media_types import JSON
from glare.http.microversion import MAXIMUM
from glare.http.type_operation import Own, TypeAnswer, TypeOperation

_PARTIAL: Final = 206
_NO_SUCH_RANGE: Final = 416
_NAMES: Final = {Own.NEW: new_name, Own.ARTIFACT: answer_name, Own.PAGE: page_name}
_KEY_OPERATORS: Final = ("eq", "in")
_TAGS: Final = "tags"


def type_paths(spec: TypeSpec) -> Iterator[tuple[str, Part]]:
    """The addresses of a type, with what can be done there."""
    root = f"/artifacts/{spec.name}"
    shared = parameters(*VERSIONING)
    listed = [*parameters("Limit", "Marker"), _sort(spec), *parameters("Tags", "TagsAny"), *_filters(spec)]
    yield (
        root,
        {"parameters": shared}
        | _operations(
            spec, get=replace(artifacts.list_page.declared, parameters=listed), post=artifacts.create.declared
        ),
    )
    yield (
        f"{root}/{{id}}",
        {"parameters": [*parameters("Id"), *shared]}
        | _operations(
            spec, get=artifacts.show.declared, patch=artifacts.update.declared, delete=artifacts.delete.declared
        ),
    )
    for field in spec.fields.values():
        if field.is_blob:
            yield _blob_path(root, field), _blob(spec, field, shared)
        if field.is_folder:
            shown = folders.SHOWN_REPLICAS if field.replicas else folders.SHOWN
            item: Part = {"parameters": [*parameters("Id"), *shared], "get": _operation(spec, shown, field)}
            yield f"{root}/{{id}}/{field.name}", item


def _blob_path(root: str, field: FieldSpec) -> str:
    return f"{root}/{{id}}/{field.name}" + ("/{key}" if field.is_folder else "")


def _blob(spec: TypeSpec, field: FieldSpec, shared: list[Part]) -> Part:
    own = [_key(field)] if field.is_folder else []
    download = blobs.REWRITTEN if spec.rewrites_downloads else blobs.get.declared
    return {
        "parameters": [*parameters("Id"), *own, *shared],
        "get": _operation(spec, download, field),
        "head": _operation(spec, _head_of(download), field),
        "put": _operation(spec, blobs.put.declared, field),
        "delete": _operation(spec, blobs.delete.declared, field),
    }


def _head_of(download: TypeOperation) -> TypeOperation:
    """What HEAD answers where GET is a download. A range means nothing to it."""
    return replace(
        download,
        name="{field}.head",
        summary="Size and digests of `{field}`",
        answers=[replace(one, media_types=()) for one in download.answers if one.status != _PARTIAL],
        errors=[status for status in download.errors if status != _NO_SUCH_RANGE],
    )


def _operations(spec: TypeSpec, **declared: TypeOperation) -> Part:
    """Operations by method; those that the type ``all`` does not have are left out for it."""
    there = {method: one for method, one in declared.items() if spec.name != ALL or one.for_all is not None}
    return {method: _operation(spec, one) for method, one in there.items()}


def _operation(spec: TypeSpec, declared: TypeOperation, field: FieldSpec | None = None) -> Part:
    """What is declared of all types, of one of them and, where it is about one, of its blob or folder."""
    names = {} if field is None else {"field": field.name, "limit": field.max_blob_size}
    summary = declared.for_all if spec.name == ALL and declared.for_all is not None else declared.summary
    described: Part = {
        "operationId": f"{spec.name}.{declared.name.format(**names)}",
        "tags": [spec.name],
        "summary": summary.format(**names),
    }
    if declared.description:
        described["description"] = declared.description.format(**names)
    if declared.takes or declared.parameters:
        described["parameters"] = [*parameters(*declared.takes), *declared.parameters]
    if declared.body:
        content = {kind: _content(spec, document) for kind, document in declared.body.items()}
        described["requestBody"] = {"required": True, "content": content}
    answers = {str(one.status): _answer(spec, one) for one in declared.answers}
    return described | {"responses": answers | problems(*declared.errors)}


def _answer(spec: TypeSpec, declared: TypeAnswer) -> Part:
    described: Part = {"description": declared.description, "headers": headers((*VERSIONED, *declared.headers))}
    content = {JSON: _content(spec, declared.document)} if declared.document is not None else {}
    content |= {media_type: {} for media_type in declared.media_types}
    return described | ({"content": content} if content else {})


def _content(spec: TypeSpec, document: Own | str | None) -> Part:
    if document is None:
        return {}
    return {"schema": reference(_NAMES[document](spec) if isinstance(document, Own) else document)}


def _key(field: FieldSpec) -> Part:
    return {
        "name": "key",
        "in": "path",
        "required": True,
        "description": f"Key in the folder `{field.name}`. Slashes belong to it, and may be sent as they are.",
        "schema": {"type": "string", "minLength": 1, "maxLength": field.max_key_length},
    }


def _sort(spec: TypeSpec) -> Part:
    properties = spec.schema(MAXIMUM)["properties"]
    keys = [field.name for field in spec.fields.values() if field.sortable and field.name in properties]
    key = f"(?:{'|'.join(map(re.escape, keys))})(?::(?:asc|desc))?"
    return {
        "name": "sort",
        "in": "query",
        "description": f"Keys with `:asc` or `:desc` (the default), separated by commas: {', '.join(keys)}. "
        "At most one key of the type's own.",
        "schema": {"type": "string", "pattern": f"^{key}(?:,{key})*$", "default": "created_at:desc,id:asc"},
    }


def base_filters(spec: TypeSpec) -> dict[str, Part]:
    """The parameters that filter by the fields of every type, by the name that references to them use."""
    return {
        _filter_name(field): _filter(field) for field in spec.fields.values() if field.is_base and _filterable(field)
    }


def _filters(spec: TypeSpec) -> list[Part]:
    properties = spec.schema(MAXIMUM)["properties"]
    fields = [field for field in spec.fields.values() if field.name in properties and _filterable(field)]
    base = parameters(*(_filter_name(field) for field in fields if field.is_base))
    return [*base, *(_filter(field) for field in fields if not field.is_base)]


def _filterable(field: FieldSpec) -> bool:
    return field.name != _TAGS and bool(field.filter_ops or field.is_dict)


def _filter_name(field: FieldSpec) -> str:
    return f"Filter.{field.name}"


def _filter(field: FieldSpec) -> Part:
    operators = _KEY_OPERATORS if field.is_dict else field.filter_ops
    return {
        "name": field.name,
        "in": "query",
        "description": _filter_text(field, operators),
        "schema": {"type": "array", "items": {"type": "string", "pattern": _filter_pattern(operators)}},
    }


def _filter_text(field: FieldSpec, operators: tuple[str, ...]) -> str:
    listed = ", ".join(operators)
    if field.is_dict:
        inner = f" `{field.name}.KEY` filters by the value under a key: {', '.join(field.filter_ops)}."
        return f"Has this key: {listed}.{inner if field.filter_ops and not field.is_folder else ''}"
    if field.is_list:
        return f"Some element passes: {listed}."
    latest = " `latest` keeps the highest version of each name." if field.name == "version" else ""
    return f"Operators: {listed}.{latest}"


def _filter_pattern(operators: tuple[str, ...]) -> str:
    """``eq`` is meant where no operator is written; a value that holds a colon needs one."""
    written = f"(?:{'|'.join(operators)}):"
    plain = "|[^:]*" if "eq" in operators else ""
    return f"^(?:(?:and|or):)?(?:{written}.*{plain})$"
