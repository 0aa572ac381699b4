"""JSON Patch on the flat representation of an artifact."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import ValidationError, convert

from glare.documents.patches import JsonPatch
from glare.domain.patch import Op, Operation, apply, json_equal, parse
from glare.errors import BadRequest

DOCUMENT: dict[str, Any] = {
    "name": "n",
    "size": 1,
    "flag": True,
    "none": None,
    "tags": ["a", "b", "c"],
    "meta": {"k": "v", "a/b": "slash", "m~n": "tilde", "01": "number"},
    "image": {"size": 5, "url": "/artifacts/images/1/image"},
}


def patched(*members: dict[str, Any], document: dict[str, Any] | None = None) -> dict[str, Any]:
    """The document after a patch, and a proof that the one before is as it was."""
    before = copy.deepcopy(DOCUMENT if document is None else document)
    now = before
    for operation in parse(list(members)):
        field, now = apply(operation, now)
        assert field == operation.field
    assert before == (DOCUMENT if document is None else document)
    return now


def changed(**fields: Any) -> dict[str, Any]:
    return {**DOCUMENT, **fields}


META = DOCUMENT["meta"]

FITTING: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # Whole fields.
    ({"op": "add", "path": "/name", "value": "m"}, changed(name="m")),
    ({"op": "add", "path": "/name", "value": None}, changed(name=None)),
    ({"op": "replace", "path": "/tags", "value": []}, changed(tags=[])),
    ({"op": "add", "path": "/unknown", "value": 1}, changed(unknown=1)),
    ({"op": "copy", "path": "/name", "from": "/size"}, changed(name=1)),
    ({"op": "copy", "path": "/name", "from": "/meta/k"}, changed(name="v")),
    ({"op": "copy", "path": "/name", "from": "/tags/2"}, changed(name="c")),
    ({"op": "copy", "path": "/name", "from": "/name"}, DOCUMENT),
    ({"op": "move", "path": "/name", "from": "/tags/0"}, changed(name="a", tags=["b", "c"])),
    ({"op": "move", "path": "/meta", "from": "/meta/k"}, changed(meta="v")),
    ({"op": "test", "path": "/tags", "value": ["a", "b", "c"]}, DOCUMENT),
    ({"op": "test", "path": "/none", "value": None}, DOCUMENT),
    ({"op": "test", "path": "/size", "value": 1.0}, DOCUMENT),
    # Keys of dicts.
    ({"op": "add", "path": "/meta/new", "value": "x"}, changed(meta={**META, "new": "x"})),
    ({"op": "add", "path": "/meta/k", "value": "x"}, changed(meta={**META, "k": "x"})),
    ({"op": "add", "path": "/meta/-", "value": "x"}, changed(meta={**META, "-": "x"})),
    ({"op": "replace", "path": "/meta/k", "value": "x"}, changed(meta={**META, "k": "x"})),
    ({"op": "replace", "path": "/meta/a~1b", "value": "x"}, changed(meta={**META, "a/b": "x"})),
    ({"op": "replace", "path": "/meta/m~0n", "value": "x"}, changed(meta={**META, "m~n": "x"})),
    ({"op": "add", "path": "/meta/~01", "value": "x"}, changed(meta={**META, "~1": "x"})),
    ({"op": "test", "path": "/meta/01", "value": "number"}, DOCUMENT),
    ({"op": "remove", "path": "/meta/01"}, changed(meta={k: v for k, v in META.items() if k != "01"})),
    ({"op": "copy", "path": "/meta/new", "from": "/name"}, changed(meta={**META, "new": "n"})),
    (
        {"op": "move", "path": "/meta/new", "from": "/meta/k"},
        changed(meta={"a/b": "slash", "m~n": "tilde", "01": "number", "new": "v"}),
    ),
    ({"op": "move", "path": "/meta/k", "from": "/meta/k"}, DOCUMENT),
    # Indexes of lists.
    ({"op": "add", "path": "/tags/0", "value": "x"}, changed(tags=["x", "a", "b", "c"])),
    ({"op": "add", "path": "/tags/3", "value": "x"}, changed(tags=["a", "b", "c", "x"])),
    ({"op": "add", "path": "/tags/-", "value": "x"}, changed(tags=["a", "b", "c", "x"])),
    ({"op": "add", "path": "/tags/-", "value": ["x"]}, changed(tags=["a", "b", "c", ["x"]])),
    ({"op": "replace", "path": "/tags/1", "value": "x"}, changed(tags=["a", "x", "c"])),
    ({"op": "remove", "path": "/tags/1"}, changed(tags=["a", "c"])),
    ({"op": "copy", "path": "/tags/-", "from": "/tags/0"}, changed(tags=["a", "b", "c", "a"])),
    ({"op": "move", "path": "/tags/2", "from": "/tags/0"}, changed(tags=["b", "c", "a"])),
    ({"op": "move", "path": "/tags/0", "from": "/tags/2"}, changed(tags=["c", "a", "b"])),
    ({"op": "move", "path": "/tags/-", "from": "/meta/k"}, changed(
        tags=["a", "b", "c", "v"], meta={"a/b": "slash", "m~n": "tilde", "01": "number"})),
    ({"op": "test", "path": "/tags/0", "value": "a"}, DOCUMENT),
    # What an operation does not need is ignored.
    ({"op": "remove", "path": "/tags/0", "value": 1, "from": 5, "xyz": 1}, changed(tags=["b", "c"])),
]  # fmt: skip

MISFIT: list[tuple[dict[str, Any], str]] = [
    ({"op": "remove", "path": "/name"}, "whole field cannot be removed"),
    ({"op": "move", "path": "/meta/k", "from": "/name"}, "whole field cannot be moved away"),
    ({"op": "move", "path": "/name", "from": "/name"}, "whole field cannot be moved away"),
    ({"op": "replace", "path": "/meta/new", "value": 1}, "no key 'new'"),
    ({"op": "remove", "path": "/meta/new"}, "no key 'new'"),
    ({"op": "remove", "path": "/meta/-"}, "no key '-'"),
    ({"op": "copy", "path": "/name", "from": "/meta/new"}, "no key 'new'"),
    ({"op": "move", "path": "/name", "from": "/meta/new"}, "no key 'new'"),
    ({"op": "test", "path": "/meta/new", "value": None}, "no key 'new'"),
    ({"op": "add", "path": "/tags/4", "value": 1}, "has 3 elements, so none can be put at 4"),
    ({"op": "replace", "path": "/tags/3", "value": 1}, "has 3 elements, and none at 3"),
    ({"op": "replace", "path": "/tags/-", "value": 1}, "'-' is the place after the last element"),
    ({"op": "remove", "path": "/tags/-"}, "'-' is the place after the last element"),
    ({"op": "remove", "path": "/tags/3"}, "and none at 3"),
    ({"op": "test", "path": "/tags/-", "value": 1}, "'-' is the place"),
    ({"op": "copy", "path": "/name", "from": "/tags/-"}, "'-' is the place"),
    ({"op": "move", "path": "/tags/3", "from": "/tags/0"}, "has 2 elements, so none can be put at 3"),
    *[
        ({"op": "add", "path": f"/tags/{index}", "value": 1}, "no index of a list")
        for index in ("01", "-1", "+1", "1.0", "x", " 1", "1e0", "٣", "9" * 30)
    ],
    ({"op": "add", "path": "/name/0", "value": 1}, "holds no elements now"),
    ({"op": "add", "path": "/size/-", "value": 1}, "holds no elements now"),
    ({"op": "add", "path": "/none/k", "value": 1}, "holds no elements now"),
    ({"op": "test", "path": "/flag/-", "value": 1}, "holds no elements now"),
    ({"op": "add", "path": "/unknown/k", "value": 1}, "no field 'unknown'"),
    ({"op": "copy", "path": "/name", "from": "/unknown"}, "no field 'unknown'"),
    ({"op": "test", "path": "/unknown", "value": None}, "no field 'unknown'"),
    ({"op": "test", "path": "/flag", "value": 1}, "the value differs"),
    ({"op": "test", "path": "/size", "value": "1"}, "the value differs"),
    ({"op": "test", "path": "/tags", "value": ["c", "b", "a"]}, "the value differs"),
]  # fmt: skip

MALFORMED: list[tuple[Any, str]] = [
    (5, "Operation 1 of the patch is not an object"),
    ([], "not an object"),
    ({"path": "/name"}, "no known op; give one of: add, replace, remove, copy, move, test"),
    ({"op": None, "path": "/name"}, "no known op"),
    ({"op": "Add", "path": "/name", "value": 1}, "no known op"),
    ({"op": ["add"], "path": "/name", "value": 1}, "no known op"),
    ({"op": "add", "value": 1}, "has no path that begins with '/'"),
    ({"op": "add", "path": None, "value": 1}, "has no path that begins with '/'"),
    ({"op": "add", "path": "", "value": 1}, "has no path that begins with '/'"),
    ({"op": "add", "path": 5, "value": 1}, "has no path that begins with '/'"),
    ({"op": "add", "path": ["/name"], "value": 1}, "has no path that begins with '/'"),
    ({"op": "add", "path": "name", "value": 1}, "has no path that begins with '/'"),
    ({"op": "test", "path": "", "value": {}}, "has no path that begins with '/'"),
    ({"op": "add", "path": "/", "value": 1}, "has an empty part in its path"),
    ({"op": "add", "path": "/meta/", "value": 1}, "has an empty part in its path"),
    ({"op": "add", "path": "//k", "value": 1}, "has an empty part in its path"),
    ({"op": "copy", "path": "/name", "from": "/meta/"}, "has an empty part in its from"),
    ({"op": "add", "path": "/meta/k/x", "value": 1}, "deeper than an element"),
    ({"op": "copy", "path": "/name", "from": "/meta/k/x"}, "deeper than an element"),
    ({"op": "add", "path": "/meta/~", "value": 1}, "escapes nothing"),
    ({"op": "add", "path": "/meta/a~2b", "value": 1}, "escapes nothing"),
    ({"op": "add", "path": "/name"}, "(add) has no value"),
    ({"op": "replace", "path": "/name"}, "(replace) has no value"),
    ({"op": "test", "path": "/name"}, "(test) has no value"),
    ({"op": "copy", "path": "/name"}, "has no from that begins with '/'"),
    ({"op": "move", "path": "/name"}, "has no from that begins with '/'"),
    ({"op": "move", "path": "/name", "from": ""}, "has no from that begins with '/'"),
]


@pytest.mark.parametrize(("member", "expected"), FITTING)
def test_an_operation_that_fits_is_done(member: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each cell of the contract's table that succeeds gives the document that RFC 6902 says."""
    assert patched(member) == expected


@pytest.mark.parametrize(("member", "reason"), MISFIT)
def test_an_operation_that_does_not_fit_is_refused(member: dict[str, Any], reason: str) -> None:
    """What cannot be done to this document is 400, with the operation's index and the reason."""
    with pytest.raises(BadRequest, match=rf"Operation 1 of the patch .*{re.escape(reason)}"):
        patched({"op": "test", "path": "/name", "value": "n"}, member)


@pytest.mark.parametrize(("member", "reason"), MALFORMED)
def test_a_malformed_operation_is_refused_before_any_is_done(member: Any, reason: str) -> None:
    """A form that can never be right is refused by `parse`, with the operation's index and the remedy."""
    with pytest.raises(BadRequest, match="Operation 1 of the patch") as raised:
        parse([{"op": "test", "path": "/name", "value": "n"}, member])
    assert reason in raised.value.message


def is_read(member: Any) -> bool:
    """Whether `parse` takes a patch of this one operation."""
    try:
        parse([member])
    except BadRequest:
        return False
    return True


def is_declared(member: Any) -> bool:
    """Whether the document that clients import, and that the description has, takes it."""
    try:
        convert([member], JsonPatch)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("member", [member for member, _ in (*FITTING, *MISFIT, *MALFORMED)])
def test_the_declared_document_takes_what_is_read(member: Any) -> None:
    """What is declared and what is read are the same operations."""
    assert is_declared(member) == is_read(member)


POINTERS = st.text(alphabet="/~01a", max_size=6) | st.sampled_from(["/name", "/meta/k", "/a/b/c", "/tags/-"])


@given(
    st.fixed_dictionaries(
        {"op": st.sampled_from([*(one.value for one in Op), "other"])},
        optional={"path": POINTERS | st.none(), "from": POINTERS | st.none(), "value": st.none() | st.integers()},
    )
)
def test_the_declared_document_takes_any_that_is_read(member: dict[str, Any]) -> None:
    """The same for whatever has the form of an operation."""
    assert is_declared(member) == is_read(member)


@pytest.mark.parametrize("body", [None, {}, "[]", 5, {"op": "add"}])
def test_a_patch_is_an_array(body: object) -> None:
    """Anything but an array is refused; an empty array is no operation."""
    with pytest.raises(BadRequest, match="JSON array"):
        parse(body)
    assert parse([]) == ()


def test_an_operation_says_what_it_touches() -> None:
    """The field, and whether it is a test, are known before the operation is done."""
    [operation] = parse([{"op": "test", "path": "/meta/a~1b", "value": 1}])
    assert operation == Operation(0, Op.TEST, ("meta", "a/b"), (), 1)
    assert operation.field == "meta"
    assert operation.is_test
    assert not any(one.is_test for one in parse([{"op": "add", "path": "/name", "value": 1}]))


def test_a_move_between_fields_is_two_operations() -> None:
    """Moving an element to another field changes both, so the caller sees one operation for each, under one index."""
    members = [{"op": "add", "path": "/size", "value": 1}, {"op": "move", "path": "/name", "from": "/tags/0"}]
    assert [(one.index, one.op, one.field) for one in parse(members)] == [
        (0, Op.ADD, "size"),
        (1, Op.COPY, "name"),
        (1, Op.REMOVE, "tags"),
    ]
    assert len(parse([{"op": "move", "path": "/tags/-", "from": "/tags/0"}])) == 1


def test_an_error_repeats_no_endless_path() -> None:
    """The message about a path of a megabyte is short."""
    for path in ("/meta/" + "x" * 1_000_000, "/" + "y" * 1_000_000 + "/k", "/meta/~" + "x" * 1_000_000):
        with pytest.raises(BadRequest) as raised:
            patched({"op": "test", "path": path, "value": 1})
        assert len(raised.value.message) < 1000


def test_later_operations_see_earlier_ones() -> None:
    """A patch is a sequence: what one operation makes, the next can use."""
    assert patched(
        {"op": "add", "path": "/meta/new", "value": "x"},
        {"op": "test", "path": "/meta/new", "value": "x"},
        {"op": "copy", "path": "/tags/-", "from": "/meta/new"},
        {"op": "remove", "path": "/meta/new"},
    ) == changed(tags=["a", "b", "c", "x"])


RFC_6902: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux"}, {"baz": "qux", "foo": "bar"}),
    ({"foo": ["bar", "baz"]}, {"op": "add", "path": "/foo/1", "value": "qux"}, {"foo": ["bar", "qux", "baz"]}),
    ({"foo": ["bar", "qux", "baz"]}, {"op": "remove", "path": "/foo/1"}, {"foo": ["bar", "baz"]}),
    (
        {"baz": "qux", "foo": "bar"},
        {"op": "replace", "path": "/baz", "value": "boo"},
        {"baz": "boo", "foo": "bar"},
    ),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        {"op": "move", "from": "/foo/waldo", "path": "/qux/thud"},
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "grass", "cows", "eat"]},
        {"op": "move", "from": "/foo/1", "path": "/foo/3"},
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    ({"foo": "bar"}, {"op": "add", "path": "/child", "value": {"g": {}}}, {"foo": "bar", "child": {"g": {}}}),
    ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux", "xyz": 123}, {"foo": "bar", "baz": "qux"}),
    ({"/": 9, "~1": 10}, {"op": "test", "path": "/~01", "value": 10}, {"/": 9, "~1": 10}),
    ({"foo": ["bar"]}, {"op": "add", "path": "/foo/-", "value": ["abc"]}, {"foo": ["bar", ["abc"]]}),
]


@pytest.mark.parametrize(("document", "member", "expected"), RFC_6902)
def test_the_examples_of_the_standard_hold(
    document: dict[str, Any], member: dict[str, Any], expected: dict[str, Any]
) -> None:
    """The examples of RFC 6902's appendix that stay within two levels give its results."""
    assert patched(member, document=document) == expected


scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 0.5]) | st.sampled_from(["", "a", "1"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)
documents = st.dictionaries(st.sampled_from(["f", "g", "h"]), values, min_size=1)
pointers = st.sampled_from(["/f", "/g", "/f/a", "/f/0", "/g/-", "/g/1", "/h/b", "/h/a~1b"])
members = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "replace", "test"]), "path": pointers, "value": values}),
    st.fixed_dictionaries({"op": st.just("remove"), "path": pointers}),
    st.fixed_dictionaries({"op": st.sampled_from(["copy", "move"]), "path": pointers, "from": pointers}),
)


def typed(value: Any) -> Any:
    """A form in which Python's equality is JSON's: booleans apart from numbers, integers equal to floats."""
    match value:
        case bool():
            return ("bool", value)
        case list():
            return [typed(part) for part in value]
        case dict():
            return {key: typed(part) for key, part in value.items()}
    return value


@given(values, values)
def test_equality_is_that_of_json(one: Any, other: Any) -> None:
    """Two values are equal when they are the same JSON value, whatever Python thinks of True and 1."""
    assert json_equal(one, other) == (typed(one) == typed(other))
    assert json_equal(one, copy.deepcopy(one))


def reference(document: dict[str, Any], member: dict[str, Any]) -> dict[str, Any]:
    """The standard's words in the plainest Python, changing in place. Raises whatever comes for what does not fit."""
    document = copy.deepcopy(document)

    def walk(pointer: str) -> tuple[Any, Any]:
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
        holder: Any = document
        for token in tokens[:-1]:
            holder = holder[token]
        last: Any = tokens[-1]
        if isinstance(holder, list):
            last = len(holder) if last == "-" else int(last)
        elif not isinstance(holder, dict):
            raise TypeError
        return holder, last

    def get(pointer: str) -> Any:
        holder, last = walk(pointer)
        return copy.deepcopy(holder[last])

    def remove(pointer: str) -> None:
        holder, last = walk(pointer)
        del holder[last]

    def add(pointer: str, value: Any) -> None:
        holder, last = walk(pointer)
        if isinstance(holder, list):
            if last > len(holder):
                raise IndexError
            holder.insert(last, value)
        else:
            holder[last] = value

    match member["op"]:
        case "add":
            add(member["path"], member["value"])
        case "replace":
            remove(member["path"])
            add(member["path"], member["value"])
        case "remove":
            remove(member["path"])
        case "copy":
            add(member["path"], get(member["from"]))
        case "move":
            moved = get(member["from"])
            remove(member["from"])
            add(member["path"], moved)
        case "test":
            if typed(get(member["path"])) != typed(member["value"]):
                raise ValueError
    return document


def is_whole(pointer: str) -> bool:
    return pointer.count("/") == 1


@given(documents, members)
def test_an_operation_does_what_the_standard_says(document: dict[str, Any], member: dict[str, Any]) -> None:
    """On any document an operation gives what RFC 6902 says, or is refused where that fails."""
    # What the contract refuses on purpose, or leaves to the caller who knows the fields, is told apart by hand.
    assume(not (member["op"] == "remove" and is_whole(member["path"])))
    assume(not (member["op"] == "move" and is_whole(member["from"])))
    assume(not (member["op"] == "replace" and is_whole(member["path"]) and member["path"][1:] not in document))
    try:
        expected = reference(document, member)
    except (KeyError, IndexError, TypeError, ValueError):
        with pytest.raises(BadRequest):
            patched(member, document=document)
    else:
        assert typed(patched(member, document=document)) == typed(expected)


@given(documents, st.lists(members, max_size=5))
def test_a_failed_operation_leaves_the_document_alone(document: dict[str, Any], several: list[dict[str, Any]]) -> None:
    """No operation, done or refused, changes the document that it was given."""
    before = copy.deepcopy(document)
    now = document
    try:
        for operation in parse(several):
            _, now = apply(operation, now)
    except BadRequest:
        pass
    assert typed(document) == typed(before)
