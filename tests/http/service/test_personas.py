"""Every persona at every path: who may do what by the default rules, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from glare.http.routes import API
from support.personas import ALL, TABLE, Row, World, peopled, refusals

pytestmark = pytest.mark.sqlite  # Who may do what is decided before a database is asked.


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with peopled(tmp_path) as world:
        yield world


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.method} {row.path or row.route}")
def test_a_request_is_for_the_personas_of_the_table(world: World, row: Row) -> None:
    """Who is not in the row is refused, and whoever is in it is not. The refused come first: they leave things as they
    are.
    """
    for name in sorted(ALL - row.allowed):
        answer = row.send(world.callers[name], world.names)
        assert answer.status_code in refusals(name), f"{name}: {answer.status_code} {answer.text}"
    reading = row.method == "GET"
    for name in sorted(row.allowed):
        answer = row.send(world.callers[name], world.names)
        wrong_token = "Member 'token' is not the one" in answer.text  # Nobody of these knows it.
        assert answer.status_code not in (401, 403) or wrong_token, f"{name}: {answer.status_code} {answer.text}"
        if reading:
            assert answer.status_code in (200, 204), f"{name}: {answer.status_code} {answer.text}"
        elif name == min(row.allowed):
            assert answer.status_code < 500, answer.text
            assert answer.status_code != 404, answer.text


def test_every_path_is_in_the_table() -> None:
    """A path that is added says whom it is for."""
    routes = {
        (method, route.path)  # type: ignore[attr-defined]  # all of them are routes
        for route in API
        for method in route.endpoint.handlers  # type: ignore[attr-defined]  # whose app is an endpoint
    }
    assert {(row.method, row.route) for row in TABLE} == routes
