"""The OpenAPI document is complete, valid and true, and the page that shows it loads nothing from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31
from starlette.responses import Response
from starlette.routing import Route

from glare.documents.parts import entries_of
from glare.domain.declared.compile import compile_all, compile_type
from glare.domain.microversion import Microversion
from glare.http.call import Endpoint
from glare.http.description.document import describe
from glare.http.operation import Handled, Listing
from glare.http.problems import STATUS
from glare.http.routes import API, PUBLIC
from glare.http.type_operation import OfTypes
from glare.types.registry import TypeRegistry
from support.sample_types import HooksArtifact, NonNullableFieldsArtifact, SampleArtifact
from support.service import Glare, Json

pytestmark = pytest.mark.sqlite  # The page and the schemas are made from the code.

NEWEST = Microversion(1, 1)
SAMPLES = (SampleArtifact, HooksArtifact, NonNullableFieldsArtifact)
BUILT_IN_NAMES = (
    "heat_templates",
    "heat_environments",
    "murano_packages",
    "tosca_templates",
    "images",
    "secrets",
)


@pytest.fixture(scope="module")
def types() -> TypeRegistry:
    """The built-in types and the contract's sample types."""
    from glare.types.registry import load

    built_in = load(BUILT_IN_NAMES, (), entry_points=False, options={})
    samples = {cls.name: compile_type(cls) for cls in SAMPLES}
    return TypeRegistry({**built_in.specs, **samples}, compile_all())


@pytest.fixture(scope="module")
def document(types: TypeRegistry) -> Mapping[str, Any]:
    """The description of a service that has all of them."""
    return describe(types, (*PUBLIC, *API))


def addresses(route: Route, types: TypeRegistry) -> Iterator[tuple[str, set[str]]]:
    """The addresses that the document must have for a route, each with its methods in lower case."""
    allow = getattr(route.endpoint, "allow", "")
    methods = {method.lower() for method in allow.split(", ") if method} or {"get"}
    if not route.path.startswith("/artifacts/"):
        yield route.path, methods
        return
    for spec in (*types.specs.values(), types.all):
        address = route.path.replace("{type_name}", spec.name)
        if "{blob_path:path}" not in address:
            yield address, methods & {"get"} if spec is types.all else methods
            continue
        for name, field in spec.fields.items():
            if field.is_blob:
                yield address.replace("{blob_path:path}", f"{name}/{{key}}" if field.is_folder else name), methods
            if field.is_folder:
                yield address.replace("{blob_path:path}", name), {"get"}


def test_every_route_is_described_for_every_type_and_blob(types: TypeRegistry, document: Mapping[str, Any]) -> None:
    """Each route of the table is there with its methods, once for each type and each of its blob fields, and nothing
    else is.
    """
    wanted = {
        address: methods
        for route in (*PUBLIC, *API)
        if isinstance(route, Route)
        for address, methods in addresses(route, types)
    }
    described = {address: set(item) - {"parameters", "head"} for address, item in document["paths"].items()}
    assert described == wanted


def test_every_endpoint_declares_what_it_takes_and_answers() -> None:
    """Each handler of the table has its declaration, those too whose paths follow from the registered types."""
    endpoints = [
        (route.path, method, handler)
        for route in (*PUBLIC, *API)
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint)
        for method, handler in route.endpoint.handlers.items()
    ]
    assert len(endpoints) > 38
    assert [(path, method) for path, method, handler in endpoints if not isinstance(handler, Handled | OfTypes)] == []
    assert {path for path, _, handler in endpoints if isinstance(handler, OfTypes)} == {
        "/artifacts/{type_name}",
        "/artifacts/{type_name}/{id}",
        "/artifacts/{type_name}/{id}/{blob_path:path}",
    }


def test_handlers_return_what_they_declare() -> None:
    """The document that a handler returns, or whose entries it returns, is that of its declaration."""
    compared = [one for one in map(_compared, _handled()) if one is not None]
    assert len(compared) > 20
    assert [declared for declared, returned in compared if declared != returned] == []


def _handled() -> Iterator[Handled]:
    for route in (*PUBLIC, *API):
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint):
            yield from (one for one in route.endpoint.handlers.values() if isinstance(one, Handled))


def _compared(handled: Handled) -> tuple[set[Any], set[Any]] | None:
    """The types that an operation declares, and those that its handler returns; None for a finished response."""
    returned = get_type_hints(handled.handler)["return"]
    documents = handled.declared.answer.documents
    if returned is Response:
        return None
    if isinstance(handled.declared, Listing):
        entries, _ = get_args(returned)
        page = get_type_hints(documents[0])
        return set(get_args(page[entries_of(documents[0])])), set(get_args(entries))
    if get_origin(returned) is Sequence:
        return set(get_args(get_args(documents[0])[0])), set(get_args(returned))
    return set(documents), set(get_args(returned) or (returned,))


def test_routes_of_the_table_are_of_the_kind_that_the_test_reads() -> None:
    """The completeness test sees every entry of the table."""
    assert all(isinstance(route, Route) for route in (*PUBLIC, *API))


def test_a_new_type_and_a_new_blob_field_are_described_by_themselves(types: TypeRegistry) -> None:
    """A type that is registered appears with its blobs, and one that is not enabled does not."""
    spec = types.specs["sample_artifact"]
    alone = describe(TypeRegistry({"others": replace(spec, name="others")}, types.all), (*PUBLIC, *API))
    assert {path for path in alone["paths"] if path.startswith("/artifacts/others")} == {
        "/artifacts/others",
        "/artifacts/others/{id}",
        "/artifacts/others/{id}/blob",
        "/artifacts/others/{id}/small_blob",
        "/artifacts/others/{id}/dict_of_blobs",
        "/artifacts/others/{id}/dict_of_blobs/{key}",
    }
    assert not any(path.startswith("/artifacts/images") for path in alone["paths"])


def test_the_document_is_valid_openapi(document: Mapping[str, Any]) -> None:
    """It passes the meta-schema of OpenAPI 3.1."""
    errors = Draft202012Validator(OPENAPI_31).iter_errors(json.loads(json.dumps(document)))
    assert [f"{error.json_path}: {error.message[:200]}" for error in errors] == []


def test_component_schemas_are_valid_json_schema(document: Mapping[str, Any]) -> None:
    """Each component passes the meta-schema of JSON Schema 2020-12."""
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def references(value: Any) -> Iterator[str]:
    """Every reference in a part of the document."""
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from references(inner)


def test_references_lead_to_components_and_every_component_is_used(document: Mapping[str, Any]) -> None:
    """No reference is broken, and no component is left that nothing refers to."""
    there = {
        f"#/components/{kind}/{name}"
        for kind, parts in document["components"].items()
        if kind != "securitySchemes"
        for name in parts
    }
    used = set(references(document))
    assert used - there == set()
    unused = there - used
    # Errors of methods and addresses that no operation has, and their headers, belong to no operation.
    assert unused == {"#/components/responses/MethodNotAllowed", "#/components/responses/NotImplemented"}


def test_operation_ids_are_unique_and_path_parameters_are_declared(document: Mapping[str, Any]) -> None:
    """Generators of clients may rely on both."""
    ids = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            ids.append(operation["operationId"])
            given = [
                resolve(document, part) for part in (*item.get("parameters", ()), *operation.get("parameters", ()))
            ]
            declared = {part["name"] for part in given if part["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path)), path
            assert len({(part["in"], part["name"]) for part in given}) == len(given), path
    assert len(ids) == len(set(ids))


def resolve(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference leads to, or the part itself."""
    if "$ref" not in part:
        return part
    found: Any = document
    for word in part["$ref"][2:].split("/"):
        found = found[word]
    return dict(found)


def test_every_filter_and_sort_key_of_the_schemas_is_a_parameter(
    types: TypeRegistry, document: Mapping[str, Any]
) -> None:
    """What /schemas calls filterable is a parameter that names its operators; what it calls sortable is in `sort`."""
    for spec in (*types.specs.values(), types.all):
        listed = document["paths"][f"/artifacts/{spec.name}"]["get"]["parameters"]
        parameters = {part["name"]: part for part in (resolve(document, part) for part in listed)}
        for name, field in spec.schema(NEWEST)["properties"].items():
            if field["filter_ops"] and field["glareType"].endswith("Dict"):
                assert f"`{name}.KEY`" in parameters[name]["description"]
            if field["filter_ops"]:
                assert ", ".join(field["filter_ops"]) in parameters[name]["description"], name
            assert (name in parameters) >= bool(field["filter_ops"]), name
            sorts = re.fullmatch(parameters["sort"]["schema"]["pattern"], f"{name}:asc") is not None
            assert sorts == field.get("sortable", False), name
        assert {"limit", "marker", "sort", "tags", "tags-any"} <= set(parameters)


@pytest.mark.parametrize(
    ("value", "passes"),
    [
        ("plain", True),
        ("eq:a:b", True),
        ("or:like:%a%", True),
        ("and:plain", True),
        ("a:b", False),
        ("gt:plain", False),
        ("or:maybe:x", False),
    ],
)
def test_filters_are_described_by_their_grammar(document: Mapping[str, Any], value: str, *, passes: bool) -> None:
    """The pattern of a filter admits its operators, and a colon only after one."""
    pattern = document["components"]["parameters"]["Filter.name"]["schema"]["items"]["pattern"]
    assert bool(re.search(pattern, value)) == passes


def test_every_status_that_an_error_becomes_is_described(document: Mapping[str, Any]) -> None:
    """The statuses of the table of errors and those of the described error responses are the same."""
    described = {response["description"].partition(":")[0] for response in document["components"]["responses"].values()}
    assert len(described) == len(set(STATUS.values()))


def test_creation_asks_for_what_a_client_may_set(types: TypeRegistry, document: Mapping[str, Any]) -> None:
    """Neither system fields nor blobs nor what the life cycle sets are in the body of a creation; everything else
    is.
    """
    for spec in types.specs.values():
        schema = spec.schema(NEWEST)["properties"]
        refused = {name for name, field in schema.items() if field.get("readOnly") or "Blob" in field["glareType"]}
        described = document["components"]["schemas"][f"{spec.name}.New"]
        assert set(described["properties"]) == set(schema) - refused - {"status", "visibility"}
        assert described["required"] == ["name"]
        assert described["additionalProperties"] is False


def validator(document: Mapping[str, Any], name: str) -> Draft202012Validator:
    """A validator for one component schema."""
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def test_versions_are_described_as_they_are(document: Mapping[str, Any]) -> None:
    """The pattern of versions has none of the slashes that /schemas keeps, and knows what is refused."""
    represented = validator(document, "images.New")
    for version in ("0.0.0", "1.2.3-rc.1+build.5", "10.20.65535", "1.0.0-0a"):
        assert represented.is_valid({"name": "x", "version": version}), version
    for version in ("1.0", "01.0.0", "/1.0.0/", "1.0.0-01", "1.0.0-"):
        assert not represented.is_valid({"name": "x", "version": version}), version


def test_patches_name_a_field_or_an_element(document: Mapping[str, Any]) -> None:
    """Whole fields can be set and copied; only elements can be removed and moved away."""
    patch = validator(document, "JsonPatch")
    assert patch.is_valid([{"op": "replace", "path": "/status", "value": "active"}])
    assert patch.is_valid(
        [{"op": "remove", "path": "/metadata/key"}, {"op": "copy", "from": "/name", "path": "/owner"}]
    )
    assert not patch.is_valid([{"op": "remove", "path": "/metadata"}])
    assert not patch.is_valid([{"op": "move", "from": "/name", "path": "/description"}])
    assert not patch.is_valid([{"op": "add", "path": "/name"}])
    assert not patch.is_valid({"op": "add", "path": "/name", "value": "x"})


@pytest.mark.parametrize("type_name", ["sample_artifact", "images"])
def test_artifacts_are_as_described(glare: Glare, type_name: str) -> None:
    """An artifact without values and one with blobs pass the schema of their type, `all` and a page pass theirs."""
    document = glare.stranger.request("GET", "/openapi.json").json()
    artifact = glare.alice.create(type_name, name="described")
    if type_name == "sample_artifact":
        glare.alice.upload(artifact, "blob", b"data")
        glare.alice.upload(artifact, "dict_of_blobs/a/b", b"more data")
    represented = glare.alice.get(artifact).json()
    validator(document, f"{type_name}.Artifact").validate(represented)
    validator(document, f"{type_name}.Page").validate(glare.alice.page(type_name))
    validator(document, "all.Page").validate(glare.alice.page("all"))
    without_url = {**represented, "name": None}
    assert not validator(document, f"{type_name}.Artifact").is_valid(without_url)


def test_errors_are_as_described(glare: Glare) -> None:
    """An error passes the schema of errors, one about versions that of its own."""
    document = glare.stranger.request("GET", "/openapi.json").json()
    missing: Json = glare.alice.request("GET", "/artifacts/nothing").json()
    validator(document, "Error").validate(missing)
    refused = glare.alice.request("GET", "/schemas", headers={"OpenStack-API-Version": "artifact 9.9"})
    assert refused.status_code == 406
    validator(document, "VersionError").validate(refused.json())


def test_the_document_needs_no_token_and_has_an_etag(glare: Glare) -> None:
    """Everybody may read it, and whoever has it is told that it has not changed."""
    first = glare.stranger.request("GET", "/openapi.json")
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    again = glare.stranger.request("GET", "/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_document_stays_small(types: TypeRegistry) -> None:
    """The built-in types take less than 400 kB."""
    built_in = TypeRegistry({name: types.specs[name] for name in BUILT_IN_NAMES}, types.all)
    assert len(json.dumps(describe(built_in, (*PUBLIC, *API)))) < 400_000
