"""The description of what each registered type has: its list, its artifacts, and a path for each of its blobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from glare.documents.blobs import Folder
from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.declared.compile import ALL
from glare.domain.metalink import MEDIA_TYPE as METALINK
from glare.http.api.folders import SINCE
from glare.http.description.documents import reference
from glare.http.description.parts import (
    DIGESTS,
    VERSIONED,
    VERSIONING,
    Part,
    answer,
    body,
    headers,
    parameters,
    problems,
)
from glare.http.description.schemas import answer_name, new_name, page_name
from glare.http.media_types import ANY, JSON_PATCH, LOCATION, OCTETS
from glare.http.microversion import MAXIMUM

_KEY_OPERATORS: Final = ("eq", "in")
_TAGS: Final = "tags"


def type_paths(spec: TypeSpec) -> Iterator[tuple[str, Part]]:
    """The addresses of a type, with what can be done there."""
    root = f"/artifacts/{spec.name}"
    shared = parameters(*VERSIONING)
    collection: Part = {"parameters": shared, "get": _list(spec)}
    artifact: Part = {"parameters": [*parameters("Id"), *shared], "get": _show(spec)}
    if spec.name != ALL:
        collection["post"] = _create(spec)
        artifact |= {"patch": _update(spec), "delete": _delete(spec)}
    yield root, collection
    yield f"{root}/{{id}}", artifact
    for field in spec.fields.values():
        if field.is_blob:
            yield _blob_path(root, field), _blob(spec, field, shared)
        if field.is_folder:
            item: Part = {"parameters": [*parameters("Id"), *shared], "get": _folder(spec, field)}
            yield f"{root}/{{id}}/{field.name}", item


def _operation(spec: TypeSpec, name: str, summary: str, responses: Part, **more: Any) -> Part:
    return {
        "operationId": f"{spec.name}.{name}",
        "tags": [spec.name],
        "summary": summary,
        **more,
        "responses": responses,
    }


def _list(spec: TypeSpec) -> Part:
    return _operation(
        spec,
        "list",
        "Artifacts of all types" if spec.name == ALL else "List artifacts",
        {"200": answer("A page of artifacts.", page_name(spec))} | problems(403, 404),
        description="Each field is a filter. Its value is `[and:|or:][operator:]operand`; filters are joined by and, "
        "those marked `or:` among each other by or. `in:` takes a list with commas, whose items may stand in double "
        "quotes.",
        parameters=[*parameters("Limit", "Marker"), _sort(spec), *parameters("Tags", "TagsAny"), *_filters(spec)],
    )


def _create(spec: TypeSpec) -> Part:
    return _operation(
        spec,
        "create",
        "Create an artifact",
        {"201": answer("The artifact, drafted and private.", answer_name(spec), "ETag")}
        | problems(403, 404, 408, 409, 413, 415),
        requestBody=body(new_name(spec)),
    )


def _show(spec: TypeSpec) -> Part:
    return _operation(
        spec,
        "show",
        "Show an artifact of any type" if spec.name == ALL else "Show an artifact",
        {
            "200": answer("The artifact.", answer_name(spec), "ETag"),
            "304": answer("It is still as If-None-Match says.", None, "ETag"),
        }
        | problems(403, 404),
        parameters=parameters("IfNoneMatch"),
    )


def _update(spec: TypeSpec) -> Part:
    return _operation(
        spec,
        "update",
        "Change an artifact, or move it through its life cycle",
        {"200": answer("The artifact as it is now.", answer_name(spec), "ETag")}
        | problems(403, 404, 408, 409, 412, 413, 415),
        parameters=parameters("IfMatch"),
        requestBody=body("JsonPatch", JSON_PATCH),
    )


def _delete(spec: TypeSpec) -> Part:
    return _operation(
        spec,
        "delete",
        "Delete an artifact with its stored data",
        {"204": answer("It is gone.", None)} | problems(403, 404, 409, 412),
        parameters=parameters("IfMatch"),
    )


def _blob_path(root: str, field: FieldSpec) -> str:
    return f"{root}/{{id}}/{field.name}" + ("/{key}" if field.is_folder else "")


def _blob(spec: TypeSpec, field: FieldSpec, shared: list[Part]) -> Part:
    own = [_key(field)] if field.is_folder else []
    head = _download(spec, field, "head", f"Size and digests of `{field.name}`")
    described: Part = {
        "parameters": [*parameters("Id"), *own, *shared],
        "get": _download(spec, field, "download", f"Download `{field.name}`"),
        "head": head,
        "put": _upload(spec, field),
        "delete": _operation(
            spec,
            f"{field.name}.delete",
            f"Take the external location away from `{field.name}`",
            {"200": answer("The artifact without it. Nothing is asked of the location.", answer_name(spec), "ETag")}
            | problems(403, 404, 409, 412),
            parameters=parameters("IfMatch"),
        ),
    }
    for status in ("206", "416"):  # A range means nothing to HEAD.
        head["responses"].pop(status, None)
    for response in head["responses"].values():
        response.pop("content", None)
    return described


def _folder(spec: TypeSpec, field: FieldSpec) -> Part:
    described = answer("All blobs of the folder, with what is known of their locations.", Folder.__name__)
    if field.replicas:
        described["content"][METALINK] = {}
    return _operation(
        spec,
        f"{field.name}.show",
        f"What `{field.name}` holds",
        {"200": described} | problems(403, 404, 409),
        description=f"From API version {SINCE} on."
        + (f" With `Accept: {METALINK}`, which needs no version, a Metalink (RFC 5854)." if field.replicas else ""),
    )


def _download(spec: TypeSpec, field: FieldSpec, name: str, summary: str) -> Part:
    sent = (*VERSIONED, "Content-Disposition")
    if spec.rewrites_downloads:
        content = {"description": "The data as the type rewrites it.", "headers": headers(sent)}
        responses: Part = {"200": content | {"content": {ANY: {}}}}
        conditions: list[Part] = []
        statuses: tuple[int, ...] = (403, 404, 409, 451, 502)
    else:
        known = (*sent, "ETag", "Accept-Ranges", *DIGESTS)
        whole = headers((*known, "Content-Length", "Content-Digest"))
        part = headers((*known, "Content-Length", "Content-Range"))
        responses = {
            "200": {"description": "The whole data.", "headers": whole, "content": {ANY: {}}},
            "206": {"description": "The range that was asked for.", "headers": part, "content": {ANY: {}}},
            "304": {"description": "The data is still what If-None-Match says.", "headers": headers(known)},
        }
        conditions = parameters("Range", "IfRange", "IfMatch", "IfNoneMatch")
        statuses = (403, 404, 409, 412, 416, 451, 502)
    return _operation(
        spec,
        f"{field.name}.{name}",
        summary,
        responses | problems(*statuses),
        description="Data at an external location is checked block by block on its way: what differs from what was "
        "recorded is never sent. A broken origin is 502, one that is known to have changed 409, and 451 what an "
        "administrator has taken down.",
        parameters=conditions,
    )


def _upload(spec: TypeSpec, field: FieldSpec) -> Part:
    data = "Any other type: the data itself, with its type. Stored without the type's parameters."
    return _operation(
        spec,
        f"{field.name}.upload",
        f"Upload `{field.name}`, or record where it lives",
        {
            "200": answer("The artifact with the blob.", answer_name(spec), "ETag"),
            "202": answer(
                "A worker will measure the location; until then the blob is `saving`.",
                answer_name(spec),
                *("ETag", "Location", "Preference-Applied"),
            ),
        }
        | problems(403, 404, 408, 409, 412, 413, 429, 451, 502, 507),
        description=f"The content type decides. `{LOCATION}` records an external location, which the service downloads "
        "once to measure it; nothing is kept where that fails. With `Prefer: respond-async` a worker does so after the "
        f"answer. {data} At most {field.max_blob_size} bytes.",
        parameters=parameters("ReprDigest", "ContentDigest", "ContentMd5", "Digest", "IfMatch", "Prefer"),
        requestBody={
            "required": True,
            "content": {OCTETS: {}, LOCATION: {"schema": reference("Location")}},
        },
    )


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
