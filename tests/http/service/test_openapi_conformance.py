"""The service does what its own description says, whatever it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.service import ActorClient, Glare, Json, running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
"""Requests to each operation: enough to meet most statuses, few enough to wait for."""

BLOBS: Mapping[str, tuple[str, ...]] = {
    "images": ("image",),
    "heat_templates": ("template", "nested_templates/a/b"),
    "sample_artifact": ("blob", "dict_of_blobs/a/b"),
}
KEY = "a/b"


class Stock:
    """One artifact of each type with data in it, made anew when a request has deleted it."""

    def __init__(self, glare: Glare) -> None:
        self._glare = glare
        self._kept: dict[str, Json] = {}

    def id_of(self, type_name: str) -> str:
        """The id of the artifact, which is there now."""
        kept = self._kept.get(type_name)
        if kept is None or self._glare.admin.get(kept).status_code == 404:
            kept = self._glare.alice.create(type_name, name=f"stock {len(self._kept)} {type_name}", version="1.0.0")
            for path in BLOBS[type_name]:
                self._glare.alice.upload(kept, path, b"in stock")
            self._kept[type_name] = kept
        return str(kept["id"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service that reaches no origin."""
    with running(tmp_path_factory.mktemp("conformance")) as glare:
        yield glare
        assert glare.leftovers() == {}


@pytest.fixture(scope="module")
def stock(service: Glare) -> Stock:
    return Stock(service)


@pytest.fixture(scope="module")
def described(service: Glare) -> schemathesis.schemas.BaseSchema:
    """The description, as the service gives it."""
    return schemathesis.openapi.from_dict(service.stranger.request("GET", "/openapi.json").json())


def send(actor: ActorClient, case: schemathesis.Case[Any]) -> httpx2.Response:
    """Send what was made up for an operation, with the actor's token in the place of an invented one."""
    parts = case.as_transport_kwargs(base_url="http://testserver")
    body: dict[str, Any] = {"json": parts["json"]} if "json" in parts else {"content": parts.get("data")}
    headers = {name: value for name, value in parts["headers"].items() if name.lower() != "x-auth-token"}
    return actor.request(parts["method"], parts["url"], headers=headers, params=parts.get("params"), **body)


@pytest.mark.parametrize(
    "group", [*BLOBS, "all", "service", "schemas", "quotas", "locations", "subscriptions", "takedowns"]
)
def test_answers_are_as_described(
    service: Glare, stock: Stock, described: schemathesis.schemas.BaseSchema, group: str
) -> None:
    """Whoever asks, and whatever is asked: no answer is an unexpected error, or has a status, header or body that is
    not described.
    """
    operations = [found.ok() for found in described.get_all_operations() if isinstance(found, Ok)]
    chosen = [operation for operation in operations if group in (operation.tags or ())]
    assert chosen
    who = [service.alice, service.alice, service.admin, service.bob, service.stranger]
    actors = st.sampled_from([*who, *[service.admin] * 5] if group == "takedowns" else who)  # Which are for admins.
    statuses = set()
    for operation in chosen:

        @given(case=operation.as_strategy(), actor=actors, known=st.sampled_from([True, True, False]))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def conforms(case: schemathesis.Case[Any], actor: ActorClient, *, known: bool) -> None:
            place = case.path_parameters
            if known and "id" in place:
                place["id"] = stock.id_of("images" if group == "all" else group)
                if "key" in place:
                    place["key"] = KEY
            response = send(actor, case)
            statuses.add(response.status_code)
            case.validate_response(Response.from_any(response), checks=CHECKS)

        conforms()
    assert statuses & {200, 300}, "nothing succeeded, so little was looked at"
