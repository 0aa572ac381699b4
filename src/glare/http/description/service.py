"""The description of what every service has, whatever its types: versions, health, schemas."""

from __future__ import annotations

from typing import Any, Final

from glare.http.description.documents import reference
from glare.http.description.parts import (
    ANSWERED,
    JSON,
    VERSIONING,
    answer,
    headers,
    parameters,
    problems,
)

SERVICE: Final = "service"
SCHEMAS: Final = "schemas"

TAGS: Final = (
    {"name": SERVICE, "description": "Versions, health and this description. Neither credentials nor API versions."},
    {"name": SCHEMAS, "description": "The JSON Schemas of the artifact types."},
)

_SCHEMA_JSON: Final = "application/schema+json"


def service_paths() -> dict[str, Any]:
    """The paths, by address."""
    return {
        "/": _root(),
        "/versions": _versions("versions"),
        "/healthcheck": _health("healthcheck"),
        "/healthz": _health("healthz"),
        "/readyz": {"get": _ready()},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {
            "get": _public("openapi", "This document", {"200": _public_answer("The document.", {JSON: {}})})
        },
        "/docs": {"get": _page("docs", "A page to read this document, and to try it", "The page.", "text/html")},
        "/docs/{file}": {
            "parameters": [in_path("file", "Name of a style, script or licence.")],
            "get": _page("docs.file", "What that page loads", "The file.", "*/*", 404),
        },
        "/docs/guides/{folder}/{name}": {
            "parameters": [
                in_path("folder", "`tutorial`, `how-to`, `explanation` or `reference`."),
                in_path("name", "Name of the guide."),
            ],
            "get": _page("docs.guide", "A guide", "The guide as a page.", "text/html", 404),
        },
        "/schemas": described(
            get=operation(
                "schemas.list",
                SCHEMAS,
                "The schemas of all types",
                answer("The schemas.", "TypeSchemas", media_type=_SCHEMA_JSON),
                403,
            )
        ),
        "/schemas/{type_name}": described(
            in_path("type_name", "Name of an artifact type, or `all`."),
            get=operation(
                "schemas.show",
                SCHEMAS,
                "The schema of one type",
                answer("The schema.", "TypeSchemas", media_type=_SCHEMA_JSON),
                403,
                404,
            ),
        ),
    }


def _versions(operation_id: str) -> dict[str, Any]:
    told = _public(
        operation_id,
        "The versions of the API; every method answers alike",
        {"300": _public_answer("Multiple Choices: the versions.", {JSON: {"schema": reference("Versions")}})},
    )
    return {"get": told}


def _root() -> dict[str, Any]:
    told = _versions("versions.root")
    told["get"]["responses"]["200"] = _public_answer("A page, for who takes HTML before JSON.", {"text/html": {}})
    return told


def _page(operation_id: str, summary: str, answered: str, media_type: str, *statuses: int) -> dict[str, Any]:
    told = _public(operation_id, summary, {"200": _public_answer(answered, {media_type: {}})})
    told["responses"] |= problems(*statuses, common=())
    return told


def _health(operation_id: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"const": "OK"}}, JSON: {"schema": reference("Health")}}
    told = _public(operation_id, "Whether this process answers", {"200": _public_answer("It does.", content)})
    return {"get": told}


def _ready() -> dict[str, Any]:
    content = {JSON: {"schema": reference("Readiness")}}
    return _public(
        "readyz",
        "Whether the database and the stores answer too",
        {"200": _public_answer("They do.", content), "503": _public_answer("They do not.", content)},
    )


def _metrics() -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    told = _public(
        "metrics",
        "Numbers for Prometheus; for the addresses that the operator has named",
        {"200": _public_answer("The numbers, in the text format of Prometheus.", content)},
    )
    return told | {"responses": told["responses"] | problems(403, 404, common=())}


def in_query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """A parameter of the query."""
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"} | schema}


def _public(operation_id: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": [SERVICE],
        "summary": summary,
        "security": [],
        "responses": responses | problems(common=(500, 508)),
    }


def _public_answer(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "headers": headers(ANSWERED), "content": content}


def operation(operation_id: str, tag: str, summary: str, success: dict[str, Any], *statuses: int) -> dict[str, Any]:
    """An operation with credentials, which answers `success` or one of the problems of `statuses`."""
    responses = {"200": success} | problems(*statuses)
    return {"operationId": operation_id, "tags": [tag], "summary": summary, "responses": responses}


def described(*own: dict[str, Any], **operations: dict[str, Any]) -> dict[str, Any]:
    """A path with parameters of its `own`, and those of API versions."""
    return {"parameters": [*own, *parameters(*VERSIONING)], **operations}


def in_path(name: str, description: str) -> dict[str, Any]:
    """A parameter of the path."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}
