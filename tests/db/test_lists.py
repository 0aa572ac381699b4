"""Lists against a plain-Python oracle."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from glare.db.engine import Database
from glare.db.lists import members
from glare.db.lists.read import FEW, list_page
from glare.documents.members import MemberStatus
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.blob import Blob as StoredBlob
from glare.domain.blob import BlobStatus, Slot
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.compile import compile_all, compile_type
from glare.domain.member import Member
from glare.domain.microversion import SHARING, Microversion
from glare.domain.query import ListQuery, parse_query
from glare.domain.visibility import ListScope, visible
from glare.errors import ArtifactNotFound, BadRequest
from glare.types import (
    ArtifactType,
    BlobDict,
    Boolean,
    DateTime,
    DictOf,
    Float,
    Integer,
    Link,
    ListOf,
    String,
    Version,
)
from support.catalogue import count_all, rolled_back, store
from support.runs.list_oracle import Decided, Types, expected, order

ALL_OPS = ("eq", "neq", "in", "gt", "gte", "lt", "lte")


class Thing(ArtifactType):
    name = "things"
    display_name = "Things"

    color = String(sortable=True, filter_ops=("like", "eq", "neq", "in"))
    size = Integer(sortable=True, filter_ops=("like", *ALL_OPS))
    weight = Float(sortable=True)
    flag = Boolean(default=False)
    due = DateTime(sortable=True)
    made = Version(sortable=True)
    home = Link()
    labels = ListOf(of=String())
    numbers = ListOf(of=Integer())
    attrs = DictOf(of=Integer())
    files = BlobDict()


class Other(ArtifactType):
    name = "others"

    color = String()


THING, OTHER, ALL = compile_type(Thing), compile_type(Other), compile_all()
TYPES: Types = {"things": THING, "others": OTHER}

MINE, THEIRS = "me", "them"
SCOPES = (ListScope.everything(), ListScope.of_project(MINE), ListScope.public_only())

NO_DECISIONS: Decided = {}

names = st.sampled_from(["a", "b", "B", "é", "\U0001f600", "a:b"])
versions = st.sampled_from(["0.0.0", "1.0.0", "1.0.0-rc.1", "1.0.0+one", "1.0.0+two", "1.10.0", "1.9.0"])
colors = st.sampled_from(["red", "Red", "r_d", "re", "%"])
small = st.integers(-1, 2)
weights = st.sampled_from([-1.5, 0.0, 0.25, 2.0])
dates = st.sampled_from(["2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"])
homes = st.sampled_from(["http://h/1", "/artifacts/things/1"])
keys = st.sampled_from(["x", "y"])
seconds = st.integers(1, 4)

thing_values = st.fixed_dictionaries(
    {},
    optional={
        "color": colors,
        "size": small,
        "weight": weights,
        "flag": st.booleans(),
        "due": dates,
        "made": versions,
        "home": homes,
        "labels": st.lists(colors, max_size=3),
        "numbers": st.lists(small, max_size=2),
        "attrs": st.dictionaries(keys, small),
        "tags": st.lists(keys, max_size=2, unique=True),
        "metadata": st.dictionaries(keys, colors),
    },
)
other_values = st.fixed_dictionaries({}, optional={"color": colors, "tags": st.lists(keys, max_size=2, unique=True)})


@st.composite
def catalogues(draw: st.DrawFn) -> list[Artifact]:
    """A few artifacts with many equal values; names are unique as the constraint has them."""
    found: dict[Any, Artifact] = {}
    for _ in range(draw(st.integers(0, 14))):
        type_name = draw(st.sampled_from(["things", "things", "others"]))
        visibility = draw(st.sampled_from(Visibility))
        created = draw(seconds) * 1_000_000 + draw(st.integers(0, 1))
        status = draw(st.sampled_from(list(Status)))
        owner = draw(st.sampled_from([MINE, THEIRS]))
        name, text = draw(names), draw(versions)
        slots = [Slot("files", key) for key in draw(st.sets(keys))] if type_name == "things" else []
        artifact = Artifact(
            id=str(uuid.UUID(int=draw(st.integers(0, 2**128 - 1)))),
            type_name=type_name,
            name=name,
            version=text,
            owner=owner,
            status=status,
            visibility=visibility,
            created_at=created,
            updated_at=created + draw(seconds),
            activated_at=None if draw(st.booleans()) else created + draw(seconds),
            values=draw(thing_values if type_name == "things" else other_values),
            blobs={slot: StoredBlob(slot, BlobStatus.SAVING, None, None, None, None) for slot in slots},
            revision=1,
            deleted_at=created if status is Status.DELETED else None,
        )
        taken = (type_name, name, text, "public" if visibility is Visibility.PUBLIC else owner)
        found[taken if status is not Status.DELETED else artifact.id] = artifact
    unique_ids = {artifact.id: artifact for artifact in found.values()}
    return list(unique_ids.values())


@st.composite
def decisions(draw: st.DrawFn, catalogue: Sequence[Artifact]) -> dict[str, MemberStatus]:
    """What `MINE` has decided of artifacts that others share with it."""
    found = {}
    for artifact in catalogue:
        theirs = artifact.owner == THEIRS and artifact.status is not Status.DELETED
        if theirs and artifact.visibility is Visibility.SHARED and draw(st.booleans()):
            found[artifact.id] = draw(st.sampled_from(MemberStatus))
    return found


def _value(operands: st.SearchStrategy[Any], operators: Sequence[str]) -> st.SearchStrategy[str]:
    texts = operands.map(str)
    quoted = st.lists(texts, max_size=3).map(lambda items: ",".join(f'"{item}"' for item in items))
    plain = st.sampled_from([operator for operator in operators if operator != "in"]).flatmap(
        lambda operator: texts.map(lambda text: f"{operator}:{text}")
    )
    written = st.one_of(plain, quoted.map(lambda text: f"in:{text}")) if "in" in operators else plain
    return st.tuples(st.sampled_from(["", "", "and:", "or:"]), written).map("".join)


def _parameter(name: str, operands: st.SearchStrategy[Any], operators: Sequence[str]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), _value(operands, operators))


E = ("eq", "neq", "in")
K = ("eq", "neq")
D = ("lt", "gt")
patterns = st.sampled_from(["%", "r%", "_ed", "%d", "R%", "a"])
tag_lists = st.lists(keys, max_size=2).map(",".join)

base_parameters = st.one_of(
    _parameter("name", names, E),
    _parameter("name", patterns, ("like",)),
    _parameter("version", versions, ALL_OPS),
    st.just(("version", "latest")),
    _parameter("status", st.sampled_from(list(Status)), E),
    _parameter("owner", st.sampled_from([MINE, THEIRS]), E),
    _parameter("visibility", st.sampled_from(list(Visibility)), E),
    st.just(("visibility", "all")),
    _parameter("created_at", seconds.map(lambda second: f"1970-01-01T00:00:0{second}Z"), D),
    _parameter("activated_at", seconds.map(lambda second: f"1970-01-01T00:00:0{second}Z"), D),
    st.tuples(st.sampled_from(["tags", "tags-any"]), tag_lists),
    st.tuples(st.sampled_from(["tags", "tags-any"]), tag_lists.map("or:".__add__)),
    _parameter("metadata", keys, ("eq", "in")),
    _parameter("metadata.x", colors, E),
    _parameter("display_type_name", st.sampled_from(["Things", "Others"]), E),
)
thing_parameters = st.one_of(
    base_parameters,
    _parameter("color", colors, E),
    _parameter("color", patterns, ("like",)),
    _parameter("size", small, ALL_OPS),
    _parameter("weight", weights, ALL_OPS),
    _parameter("flag", st.booleans(), K),
    _parameter("due", dates, D),
    _parameter("made", versions, ALL_OPS),
    _parameter("home", homes, K),
    _parameter("labels", colors, E),
    _parameter("numbers", small, ALL_OPS),
    _parameter("attrs", keys, ("eq", "in")),
    _parameter("attrs.x", small, ALL_OPS),
    _parameter("files", keys, ("eq", "in")),
)
all_parameters = st.one_of(base_parameters, _parameter("type_name", st.sampled_from(["things", "others"]), E))

BASE_SORTS = (
    "id",
    "name",
    "owner",
    "status",
    "visibility",
    "version",
    "created_at",
    "updated_at",
    "activated_at",
    "display_type_name",
)


@st.composite
def queries(draw: st.DrawFn, spec: TypeSpec) -> ListQuery:
    parameters = draw(st.lists(all_parameters if spec is ALL else thing_parameters, max_size=3))
    own = ["type_name"] if spec is ALL else ["color", "size", "weight", "due", "made"]
    fields = draw(st.lists(st.sampled_from(BASE_SORTS), max_size=2)) + draw(st.lists(st.sampled_from(own), max_size=1))
    fields = draw(st.permutations(fields))
    if fields:
        directions = [draw(st.sampled_from(["", ":asc", ":desc"])) for _ in fields]
        parameters.append(("sort", ",".join(map("".join, zip(fields, directions, strict=True)))))
    if draw(st.booleans()):
        parameters.append(("member_status", draw(st.sampled_from([*MemberStatus, "all"]))))
    return replace(parse_query(spec.face(SHARING), parameters), limit=draw(st.integers(1, 4)))


def _fill(
    connection: Connection, catalogue: Sequence[Artifact], decided: Decided = NO_DECISIONS, *, older: bool = False
) -> None:
    """With what has been decided; `older` nodes have added the members, and changed the artifacts since."""
    for name, spec in TYPES.items():
        store(connection, spec, [artifact for artifact in catalogue if artifact.type_name == name])
    count_all(connection)
    for artifact in catalogue:
        if artifact.id in decided:
            was = replace(artifact, status=Status.DEACTIVATED, updated_at=9, activated_at=9) if older else artifact
            if older:
                connection.execute(_CHANGE, _changeable(was))
            assert members.add(connection, was, Member(artifact.id, MINE, decided[artifact.id], 1, 1))
            assert members.add(connection, was, Member(artifact.id, "others", MemberStatus.ACCEPTED, 1, 1))
            if older:
                connection.execute(_CHANGE, _changeable(artifact))
    if older:
        connection.execute(text(f"{_NO_COPIES} WHERE artifact_id < '8'"))


_CHANGE = text("UPDATE artifacts SET status = :status, updated_at = :updated, activated_at = :activated WHERE id = :id")
"""What a node of any release does."""

_NO_COPIES = (
    "UPDATE artifact_members SET artifact_status = NULL, artifact_updated_at = NULL, artifact_activated_at = NULL"
)


def _changeable(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "status": artifact.status.value,
        "updated": artifact.updated_at,
        "activated": artifact.activated_at,
    }


def _walk(connection: Connection, query: ListQuery, scope: ListScope, types: Types, few: int) -> Iterator[list[str]]:
    while True:
        page = list_page(connection, query, scope, list(types.values()), few=few)
        yield [artifact.id for artifact in page.artifacts]
        if len(page.artifacts) < query.limit:
            return
        query = replace(query, marker=page.artifacts[-1].id)


relaxed = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize("spec", [THING, ALL], ids=["one type", "all types"])
@relaxed
@given(data=st.data())
def test_walk_is_the_oracles_list(migrated: Database, spec: TypeSpec, data: st.DataObject) -> None:
    """Following `next` shows each artifact that passes once, in the oracle's order, and the total counts them."""
    catalogue, query = data.draw(catalogues()), data.draw(queries(spec))
    decided = data.draw(decisions(catalogue))
    scope = data.draw(st.sampled_from(SCOPES))
    types: Types = TYPES if spec is ALL else {spec.name: spec}
    few = data.draw(st.sampled_from([0, FEW]))
    wanted = expected(catalogue, query, scope, types, decided if scope.project == MINE else {})
    older = data.draw(st.booleans())
    with rolled_back(migrated) as connection:
        _fill(connection, catalogue, decided, older=older)
        total = list_page(connection, query, scope, list(types.values()), few=few).total
        walked = [found for page in _walk(connection, query, scope, types, few) for found in page]
    assert walked == wanted
    assert total == len(wanted)


@pytest.mark.parametrize(
    ("asked", "sort", "are_behind"),
    [
        ("name=B", "name", False),
        ("name=B", "owner,name", False),
        ("version=1.0.0", "version", True),
        ("name=B&version=latest", "version", True),
        ("visibility=public", "visibility", True),
        ("status=active", "status", False),
    ],
)
@pytest.mark.parametrize("ascending", [True, False])
def test_a_page_after_what_is_not_in_the_list(
    migrated: Database, asked: str, sort: str, *, are_behind: bool, ascending: bool
) -> None:
    """A marker that has another value where all of the list have the same is before all of them, or behind."""
    marker, other = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    common: Any = {"type_name": "things", "owner": MINE, "values": {}, "blobs": {}, "revision": 1}
    times: Any = {"updated_at": 2, "activated_at": 2, "deleted_at": None}
    plain = Artifact(
        id=marker,
        name="a",
        version="0.9.0",
        status=Status.DRAFTED,
        visibility=Visibility.PRIVATE,
        created_at=2,
        **common,
        **times,
    )
    rest = replace(plain, id=other, name="B", version="1.0.0", status=Status.ACTIVE, visibility=Visibility.PUBLIC)
    directions = ",".join(f"{field}:{'asc' if ascending else 'desc'}" for field in sort.split(","))
    with rolled_back(migrated) as connection:
        _fill(connection, [plain, rest])
        pairs = parse_qsl(asked)
        query = parse_query(THING, [*pairs, ("sort", directions), ("marker", marker)])
        found = [artifact.id for artifact in list_page(connection, query, SCOPES[0], [THING]).artifacts]
    assert found == ([other] if are_behind == ascending else [])


@relaxed
@given(data=st.data())
def test_page_begins_after_any_visible_marker(migrated: Database, data: st.DataObject) -> None:
    """A marker that the list itself does not hold still says where the page begins; an invisible one is not found."""
    catalogue, query = data.draw(catalogues().filter(bool)), data.draw(queries(THING))
    scope = data.draw(st.sampled_from(SCOPES))
    all_decided = data.draw(decisions(catalogue))
    decided = all_decided if scope.project == MINE else {}
    marker = data.draw(st.sampled_from(catalogue))
    query = replace(query, marker=marker.id)
    types: Types = {"things": THING}
    with rolled_back(migrated) as connection:
        _fill(connection, catalogue, all_decided)
        try:
            found = [artifact.id for artifact in list_page(connection, query, scope, [THING]).artifacts]
        except ArtifactNotFound:
            assert not visible(scope, marker.owner, marker.visibility, member=marker.id in decided)
            return
    assert visible(scope, marker.owner, marker.visibility, member=marker.id in decided)
    if marker.type_name != "things" or marker.status is Status.DELETED:
        return  # Sort values of other types, and of what is deleted, are not known to the oracle.
    key = order(query, types)
    by_id = {artifact.id: artifact for artifact in catalogue}
    after = [item for item in expected(catalogue, query, scope, types, decided) if key(by_id[item]) > key(marker)]
    assert found == after[: query.limit]


@pytest.mark.parametrize("marker", ["", "nothing", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "\0" * 36])
def test_unknown_marker_is_not_found(connection: Connection, marker: str) -> None:
    """A marker that is no artifact's id is 404, an empty one too, and also with a limit of 0."""
    with pytest.raises(ArtifactNotFound):
        list_page(connection, ListQuery(sort=parse_query(THING, []).sort, marker=marker, limit=0), SCOPES[0], [THING])


def test_limit_zero_gives_the_total_alone(connection: Connection) -> None:
    """A limit of 0 shows no artifact and counts them all."""
    artifact = Artifact(
        str(uuid.uuid4()), "things", "a", "1.0.0", MINE, Status.ACTIVE, Visibility.PRIVATE, 1, 1, None, {}, {}, 1
    )
    _fill(connection, [artifact])
    page = list_page(connection, parse_query(THING, [("limit", "0")]), SCOPES[1], [THING])
    assert (page.artifacts, page.total) == ([], 1)


def test_total_can_be_declined(connection: Connection) -> None:
    """Without a count the total is None, and the page is the same."""
    page = list_page(connection, parse_query(THING, [("color", "red")]), SCOPES[0], [THING], count=False)
    assert (page.artifacts, page.total) == ([], None)


def test_no_enabled_type_is_an_empty_list(connection: Connection) -> None:
    """The list of all types is empty where no type is enabled."""
    page = list_page(connection, parse_query(ALL, []), SCOPES[0], [])
    assert (page.artifacts, page.total) == ([], 0)


def _one(visibility: Visibility, owner: str, number: int) -> Artifact:
    return Artifact(
        str(uuid.UUID(int=number)), "things", str(number), "1.0.0", owner, Status.ACTIVE, visibility, number, 1, None,
        {}, {}, 1,
    )  # fmt: skip


def test_older_requests_find_what_is_shared_as_private(connection: Connection) -> None:
    """What is not public is private to them, in filters and in orders; no list shows them others' community."""
    mine = [_one(visibility, MINE, number) for number, visibility in enumerate(Visibility)]
    theirs = [_one(visibility, THEIRS, 10 + number) for number, visibility in enumerate(Visibility)]
    _fill(connection, [*mine, *theirs], {theirs[1].id: MemberStatus.ACCEPTED})
    old = Microversion(1, 2)

    def names_of(*pairs: tuple[str, str]) -> list[str]:
        query = parse_query(THING.face(old), pairs, microversion=old)
        return [artifact.name for artifact in list_page(connection, query, SCOPES[1], [THING]).artifacts]

    assert names_of() == ["13", "11", "3", "2", "1", "0"]
    assert names_of(("visibility", "private")) == ["11", "2", "1", "0"]
    assert names_of(("visibility", "neq:private")) == ["13", "3"]
    assert names_of(("sort", "visibility:asc")) == ["11", "2", "1", "0", "13", "3"]
    for pair in (("visibility", "shared"), ("visibility", "all"), ("member_status", "all")):
        with pytest.raises(BadRequest):
            names_of(pair)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE artifacts SET visibility = 'public', scope = 'public' WHERE name = '5'",
        "UPDATE artifacts SET status = 'deleted', scope = NULL, listed = 0 WHERE name = '5'",
        "DELETE FROM artifacts WHERE name = '5'",
    ],
    ids=["published", "marked as deleted", "removed"],
)
def test_what_an_older_node_did_is_obeyed(connection: Connection, statement: str) -> None:
    """Releases that know of no members leave theirs; the artifact is listed once, or not at all."""
    artifact = _one(Visibility.SHARED, THEIRS, 5)
    _fill(connection, [artifact], {artifact.id: MemberStatus.ACCEPTED})
    query = parse_query(THING, [])
    assert [one.id for one in list_page(connection, query, SCOPES[1], [THING]).artifacts] == [artifact.id]
    connection.execute(text(statement))
    published = statement.startswith("UPDATE artifacts SET vis")
    found = list_page(connection, query, SCOPES[1], [THING]).artifacts
    assert [one.visibility for one in found] == ([Visibility.PUBLIC] if published else [])
