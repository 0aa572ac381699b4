"""A wrong declaration is refused with the type, the field and the reason."""

from __future__ import annotations

from typing import Any

import pytest

from glare.domain.declared.compile import compile_type
from glare.errors import InvalidDeclaration
from glare.types import (
    ArtifactType,
    Blob,
    BlobDict,
    Boolean,
    DateTime,
    DictOf,
    Field,
    Float,
    Integer,
    Link,
    ListOf,
    Microversion,
    Option,
    String,
    Version,
)


async def _waits(self: object, artifact: object) -> None:
    """A hook that nobody would await."""


def declare(**attributes: Any) -> type[ArtifactType]:
    """A type with these attributes."""
    return type("Things", (ArtifactType,), {"name": "things"} | attributes)


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (ListOf(of=Blob()), "lists of blobs do not exist"),
        (DictOf(of=Blob()), "use BlobDict"),
        (ListOf(of=ListOf(of=String())), "a list may be of String"),
        (DictOf(of=DateTime()), "a dict may be of String"),
        (ListOf(of=String(mutable=True)), "mutable is an option of the list"),
        (ListOf(of=String("text")), "description is an option of the list"),
        (DictOf(of=String(default="a")), "default is an option of the dict"),
        (ListOf(of=String(), sortable=True), "only single values can be sorted by"),
        (DictOf(of=String(), sortable=True), "only single values can be sorted by"),
        (Blob(sortable=True), "only single values can be sorted by"),
        (BlobDict(sortable=True), "only single values can be sorted by"),
        (Link(sortable=True), "only single values can be sorted by"),
        (String(sortable=True, max_length=256), "longer than 255"),
        (String(sortable=True, allowed=("a" * 256,)), "longer than 255"),
        (String(filter_ops=("gt",)), "filter operator 'gt' does not exist for String"),
        (Boolean(filter_ops=("in",)), "filter operator 'in' does not exist for Boolean"),
        (Boolean(filter_ops=("like",)), "filter operator 'like' does not exist for Boolean"),
        (Version(filter_ops=("like",)), "filter operator 'like' does not exist for Version"),
        (DateTime(filter_ops=("eq",)), "filter operator 'eq' does not exist for DateTime"),
        (Blob(filter_ops=("eq",)), "filter operator 'eq' does not exist for Blob"),
        (ListOf(of=Link(), filter_ops=("in",)), "filter operator 'in' does not exist for Link"),
        (String(filter_ops="eq"), "a list of different operators"),
        (String(filter_ops=("eq", "eq")), "a list of different operators"),
        (Integer(default="x"), "its default is refused by its own rules"),
        (String(default="b", allowed=("a",)), "its default is refused by its own rules"),
        (Integer(default=5, minimum=6), "its default is refused by its own rules"),
        (ListOf(of=Integer(), default=["x"]), "its default is refused by its own rules"),
        (Blob(default="x"), "a blob cannot have a default"),
        (BlobDict(default={}), "a blob cannot have a default"),
        (Blob(nullable=False), "use required_on_activate"),
        (Blob(max_size=0), "max_size must be at least 1"),
        (BlobDict(max_blob_size=-1), "must be a whole number"),
        (BlobDict(max_folder_size=0), "max_folder_size must be at least 1"),
        (BlobDict(max_key_length=0), "max_key_length must be at least 1"),
        (DictOf(of=String(), max_key_length=256), "more than 255 characters"),
        (DictOf(of=String(), allowed_keys=("a",), required_keys=("b",)), "must be among allowed_keys"),
        (ListOf(of=String(), min_size=3, max_size=2), "max_size must be at least 3"),
        (String(min_length=3, max_length=2), "max_length must be at least 3"),
        (String(min_length=256), "max_length must be at least 256"),
        (String(max_length="5"), "max_length must be a whole number"),  # type: ignore[arg-type]  # an author's mistake
        (String(pattern="("), "no regular expression"),
        (String(uuid=True, pattern="a"), "exclude one another"),
        (String(forbidden_chars="a-z"), "use pattern"),
        (String(allowed="abc"), "a list of texts"),
        (Integer(minimum=3, maximum=2), "minimum is above its maximum"),
        (Integer(minimum=0.5), "must be of Integer"),  # type: ignore[arg-type]  # an author's mistake
        (Float(allowed=("1",)), "must be of Float"),  # type: ignore[arg-type]  # an author's mistake
        (String(mutable="yes"), "mutable must be True or False"),  # type: ignore[arg-type]  # an author's mistake
        (String(since="1.2"), "since must be a Microversion"),  # type: ignore[arg-type]  # an author's mistake
        (String(metadata="x"), "its metadata must be a mapping"),  # type: ignore[arg-type]  # an author's mistake
        (String(system=True, nullable=False), "nobody could give it a value"),
        (String(5), "its description must be text"),  # type: ignore[arg-type]  # an author's mistake
    ],
)
def test_wrong_fields(field: Field, reason: str) -> None:
    """A field that cannot work is refused, and the message names the type, the field and the reason."""
    with pytest.raises(InvalidDeclaration) as refused:
        compile_type(declare(wrong=field))
    assert refused.value.message.startswith("Artifact type 'things', field 'wrong': ")
    assert reason in refused.value.message


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"tags": String()}, "field 'tags': a base field has this name"),
        ({"owner": String()}, "field 'owner': a base field has this name"),
        ({"other": String(field_name="visibility")}, "field 'visibility': a base field has this name"),
        ({"a": String(), "b": String(field_name="a")}, "field 'a': another field of the type has this name"),
        ({"type_name": String()}, "field 'type_name': this name is reserved"),
        ({"sort": String()}, "field 'sort': this name is reserved"),
        ({"limit": String()}, "field 'limit': this name is reserved"),
        ({"größe": String()}, "field 'größe': its name must be 1 to 64 ASCII letters"),
        ({"a" * 65: String()}, "its name must be 1 to 64 ASCII letters"),
        ({"a": String(field_name="b.c")}, "field 'b.c': its name must be"),
        ({"a": String(field_name="1a")}, "field '1a': its name must be"),
        ({"display_name": String()}, "'display_name' is an attribute of types"),
        ({"format": String()}, "'format' is an attribute of types"),
        ({"image": Blob}, "field 'image' is declared as a class; write Blob(…)"),
        ({"config": Option("n", int, 1, "d")}, "a single option needs a comma"),
        ({"validate": _waits}, "hook 'validate' must be a plain method"),
        ({"before": lambda self, artifact: None}, "write def before(self, change, artifact)"),
        ({"ingest": staticmethod(lambda self, upload, stream: stream)}, "write def ingest(self, upload, stream)"),
        (
            {"befor": lambda self, change, artifact: None},
            "method 'befor' is no hook, so nobody would call it; name it before, or",
        ),
        (
            {"on_boot": staticmethod(lambda: None)},
            "'on_boot' is no hook, so nobody would call it; name it validate or ingest",
        ),
        ({"after": 5}, "'after' is a hook; write it as a method"),
        ({"name": "all"}, "this name is reserved"),
        ({"name": "with space"}, "its name must be 1 to 64 ASCII letters"),
        ({"name": "a" * 65}, "its name must be 1 to 64 ASCII letters"),
        ({"name": String()}, "it has no name"),
        ({"version": 1}, "'version' must be text"),
        ({"display_name": 5}, "'display_name' must be text"),
        ({"config": (Option("a", str), Option("a", int))}, "the name of option 'a' is taken"),
        ({"config": (Option("default_store", str),)}, "the name of option 'default_store' is taken"),
        ({"config": (Option("a", int, "x"),)}, "the default of option 'a' must be of kind int"),
        ({"config": ("a",)}, "'config' must hold options"),
    ],
)
def test_wrong_types(attributes: dict[str, Any], reason: str) -> None:
    """A type that cannot work is refused, and the message says what is wrong in it."""
    with pytest.raises(InvalidDeclaration) as refused:
        compile_type(declare(**attributes))
    assert reason in refused.value.message
    assert "Things" in refused.value.message or "'things'" in refused.value.message


def test_a_type_has_a_known_base() -> None:
    """What is not derived from ArtifactType is refused."""
    with pytest.raises(InvalidDeclaration, match=r"derive it from glare\.types\.ArtifactType"):
        compile_type(int)  # type: ignore[arg-type]  # an author's mistake
    with pytest.raises(InvalidDeclaration, match="it has no name"):
        compile_type(ArtifactType)


@pytest.mark.parametrize(
    ("field", "operators"),
    [
        (String(filter_ops=("like", "eq")), ("like", "eq")),
        (Integer(filter_ops=("like",)), ("like",)),
        (Float(filter_ops=("like", "gt")), ("like", "gt")),
        (String(filter_ops=()), ()),
        (ListOf(of=Boolean()), ("eq", "neq")),
        (DateTime(), ("lt", "gt")),
    ],
)
def test_operators_keep_their_order(field: Field, operators: tuple[str, ...]) -> None:
    """The filter operators of a field are those that its author lists, in that order, or those of its kind."""
    assert compile_type(declare(right=field)).fields["right"].filter_ops == operators


def test_fields_are_inherited() -> None:
    """A type has the fields of the classes that it is derived from, theirs first, and may replace or remove them."""

    class Common(ArtifactType):
        first = String()
        second = String()
        third = String()

    class Derived(Common):
        name = "derived"
        second = Integer()  # type: ignore[assignment]  # another kind on purpose
        third = None  # type: ignore[assignment]  # removed on purpose
        fourth = String(since=Microversion(1, 1))

    spec = compile_type(Derived)
    assert [(name, field.kind.value) for name, field in spec.custom_fields.items()] == [
        ("first", "String"),
        ("second", "Integer"),
        ("fourth", "String"),
    ]


def test_a_field_may_be_named_apart_from_its_attribute() -> None:
    """A field whose name is an attribute of types is declared under another attribute."""
    spec = compile_type(declare(shown_as=String(field_name="format")))
    assert list(spec.custom_fields) == ["format"]


def test_limits_of_blobs() -> None:
    """Blobs and folders have the limits of their declaration, or the usual ones."""
    spec = compile_type(
        declare(a=Blob(), b=Blob(max_size=7), c=BlobDict(), d=BlobDict(max_blob_size=1, max_folder_size=2, max_size=3))
    )
    assert [spec.fields[name].max_blob_size for name in "abcd"] == [10485760, 7, 10485760, 1]
    assert [spec.fields[name].max_folder_size for name in "cd"] == [2673868800, 2]
    assert [spec.fields[name].max_keys for name in "cd"] == [255, 3]
    assert [(spec.fields[name].is_blob, spec.fields[name].is_folder) for name in "ac"] == [(True, False), (True, True)]
