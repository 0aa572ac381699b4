"""What is wrong with a document or a query is said in a sentence that names the member and what it must be."""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from typing import Annotated, Any

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from glare.documents.parse import parse, parse_query
from glare.documents.parts import PageQuery, as_given, marker
from glare.errors import BadRequest, InvalidParameterValue


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Part(Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=0, le=9)]


class Thing(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    colour: Colour = Colour.RED
    parts: list[Part] | UnsetType | None = UNSET
    key: Annotated[str, Meta(max_length=3, extra={"must_be": "a key", "secret": True})] = ""
    big: bool = False
    colours: Annotated[list[Colour], Meta(min_length=1)] | UnsetType = UNSET


class ThingQuery(PageQuery, frozen=True):
    colour: Annotated[Colour | None, Meta(description="Which.")] = None
    marker: Annotated[str | None, marker()] = None


@pytest.mark.parametrize(
    ("body", "error", "sentence"),
    [
        ([], BadRequest, "The body must be a JSON object with members out of 'name', 'colour', 'parts', 'key', 'big' "),
        ({}, BadRequest, "Member 'name' is required and must be a string of 1 to 5 characters."),
        ({"name": 5}, BadRequest, "Member 'name' must be a string of 1 to 5 characters; it is 5."),
        ({"name": ""}, BadRequest, "Member 'name' must be a string of 1 to 5 characters; it has 0."),
        ({"name": "x" * 50}, BadRequest, "Member 'name' must be a string of 1 to 5 characters; it has 50."),
        ({"name": "x", "colour": "x" * 50}, InvalidParameterValue, f"; it is '{'x' * 40}…'."),
        ({"name": None}, BadRequest, "Member 'name' must be a string of 1 to 5 characters; it is null."),
        (
            {"name": "x", "colour": "green"},
            InvalidParameterValue,
            "Member 'colour' must be one of red, blue; it is 'green'.",
        ),
        ({"name": "x", "colour": 5}, BadRequest, "Member 'colour' must be one of red, blue; it is 5."),
        (
            {"name": "x", "parts": 5},
            BadRequest,
            "Member 'parts' must be an array of objects with 'size' or null; it is 5.",
        ),
        ({"name": "x", "parts": [5]}, BadRequest, "Member 'parts[0]' must be a JSON object with 'size'; it is 5."),
        (
            {"name": "x", "parts": [{}]},
            BadRequest,
            "Member 'parts[0].size' is required and must be an integer from 0 to 9.",
        ),
        (
            {"name": "x", "parts": [{"size": 1}, {"size": 10}]},
            BadRequest,
            "Member 'parts[1].size' must be an integer from 0",
        ),
        ({"name": "x", "parts": [{"size": 1, "y": 2}]}, BadRequest, "Member 'parts[0].y' is not known here; use size."),
        ({"name": "x", "key": "secret"}, BadRequest, "Member 'key' must be a key; it has 6."),
        ({"name": "x", "key": ["secret"]}, BadRequest, "Member 'key' must be a key."),
        ({"name": "x", "big": 1}, BadRequest, "Member 'big' must be true or false; it is 1."),
        (
            {"name": "x", "colours": ["red", "green"]},
            BadRequest,
            "Member 'colours' must be an array of words out of red, blue",
        ),
        ({"name": "x", "a` - at `$.name": 1}, BadRequest, "Member 'a` - at `$.name' is not known here"),
        ({"name": "x", "` - at `$.parts[7].x": 1}, BadRequest, "is not known here"),
    ],
)
def test_what_is_wrong_is_said(body: Any, error: type[Exception], sentence: str) -> None:
    """The member, what it must be, and its value where that is no secret."""
    with pytest.raises(error) as caught:
        parse(Thing, body)
    assert type(caught.value) is error
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_was_left_out_is_not_there() -> None:
    """A document tells null from what was not given."""
    assert as_given(parse(Thing, {"name": "x", "parts": None}))["parts"] is None
    assert "parts" not in as_given(parse(Thing, {"name": "x"}))


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([("size", "1")], "Parameter 'size' is not known here; use colour, marker, limit."),
        ([("colour", "red"), ("colour", "red")], "Parameter 'colour' is given twice; give it once."),
        ([("colour", "green")], "Parameter 'colour' is 'green'; give one of red, blue."),
        ([("marker", "x" * 256)], "Parameter 'marker' may have at most 255 characters, and no NUL."),
        ([("marker", "\0")], "Parameter 'marker' may have at most 255 characters, and no NUL."),
        *(
            ([("limit", text)], f"Parameter 'limit' is '{text}'; give an integer of 1 or more.")
            for text in ("0", "-1", "x", "", "+1", "1.0", "1e3", "٣", "null")
        ),
    ],
)
def test_a_wrong_parameter_is_said(pairs: list[tuple[str, str]], sentence: str) -> None:
    """The parameter, its value, and what to give."""
    with pytest.raises(InvalidParameterValue) as caught:
        parse_query(ThingQuery, pairs)
    assert str(caught.value) == sentence


def test_parameters_are_read() -> None:
    """Numbers are numbers, words are of their kind, and the rest has its default."""
    assert parse_query(ThingQuery, [("limit", "007"), ("colour", "blue")]) == ThingQuery(limit=7, colour=Colour.BLUE)
    assert parse_query(ThingQuery, []).limit == 100
    assert parse_query(ThingQuery, [("limit", "9" * 200)]).limit > 1 << 62


def test_a_client_needs_msgspec_only() -> None:
    """Every module of the documents can be imported where nothing but msgspec is installed, and none of the server."""
    program = """
import pkgutil, sys
before = set(sys.modules)
import glare.documents
for module in pkgutil.iter_modules(glare.documents.__path__):
    __import__(f"glare.documents.{module.name}")
roots = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
ours = {name for name in sys.modules if name.startswith("glare.") and not name.startswith("glare.documents")}
print(*sorted(roots | ours))
"""
    document = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert set(document.split()) - {"typing_extensions"} == {
        "glare",
        "glare.errors",
        "msgspec",
    }  # Which msgspec looks for.
