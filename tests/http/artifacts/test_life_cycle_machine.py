"""Whatever several clients do, one after the other, the service answers and shows what the model says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol, TypeVar

import httpx2
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from glare.db.tables import metadata, quota_usage
from support.origins.origin import Origin
from support.runs.model import BAD, KINDS, WHO, Data, Held, Model, Refused, Step
from support.runs.truth import disagreements
from support.service import ActorClient, Glare, Json, path_of, running

T = TypeVar("T")


class Draw(Protocol):
    """Lets Hypothesis choose."""

    def __call__(self, strategy: st.SearchStrategy[T], /) -> T: ...


QUOTAS = {"max_artifact_number": 5, "max_uploaded_data": 3000, "max_artifact_number:images": 3}
SETTINGS = f"""
host_concurrency = 16
project_requests = -1
[DEFAULT]
enabled_artifact_types = {", ".join(KINDS)}
max_artifact_number = {QUOTAS["max_artifact_number"]}
max_uploaded_data = {QUOTAS["max_uploaded_data"]}
[artifact_type:images]
max_artifact_number = {QUOTAS["max_artifact_number:images"]}
delayed_delete = true
"""
OCTETS = "application/octet-stream"
SERVED = {"/few": b"external", "/many": bytes(1500)}
"""What the origin has; it has nothing at ``/none``."""

_SHARED: tuple[tuple[str, Any, Any], ...] = (
    *(("name", name, name) for name in ("a", "a", "b", "ä, %_: 'c'")),
    *(("name", value, BAD) for value in ("", None, "\U0001f600")),
    *(("version", text, kept) for text, kept in (("1", "1.0.0"), ("1.0.0", "1.0.0"), ("2.0-rc_1", "2.0.0-rc-1"))),
    *(("version", value, kept) for value, kept in ((None, "0.0.0"), ("01", BAD), (["1"], BAD))),
    *(("description", value, value) for value in ("", "text", None)),
    *(("tags", value, kept) for value, kept in ((["t"], ["t"]), (["u", "t"], ["u", "t"]), (None, []), ("t", BAD))),
    *(("metadata", value, kept) for value, kept in (({"k": "v"}, {"k": "v"}), (None, {}), ({"k": ""}, BAD))),
    *(("id", "x", BAD), ("owner", "builders", "builders"), ("unknown", 1, 1)),
)
"""Fields with a value as it is sent, and as it is kept."""
_OWN: dict[str, tuple[tuple[str, Any, Any], ...]] = {
    "sample_artifact": (
        *(("string_required", value, value) for value in ("x", "x", None)),
        *(("str1", 5, "5"), ("str1", "y", "y"), ("str1", [], BAD), ("int1", " 7 ", 7), ("int1", "x", BAD)),
        *(("string_mutable", "z", "z"), ("string_mutable", None, None), ("system_attribute", "s", "s")),
        *(("blob", None, None), ("dict_of_blobs", {}, {})),
    ),
    "images": (
        *(("container_format", "bare", "bare"), ("container_format", "no", BAD), ("disk_format", "raw", "raw")),
        *(("min_ram", 5, 5), ("min_ram", -1, BAD), ("image", None, None)),
    ),
}
VALUES = {name: (*_SHARED, *own) for name, own in _OWN.items()}
COMPLETE = {
    "sample_artifact": (("string_required", "x", "x"),),
    "images": (("container_format", "bare", "bare"), ("disk_format", "raw", "raw")),
}
PATHS = {
    "sample_artifact": ("blob", "blob", "small_blob", "dict_of_blobs/a", "dict_of_blobs/b/c", "dict_of_blobs/a"),
    "images": ("image", "image", "image"),
}
WRONG_PATHS = ("blob/key", "dict_of_blobs", "dict_of_blobs/", "image/", "str1", "unknown", "name/x")

PEOPLE = st.sampled_from(["alice", "alice", "alice", "bob", "bob", "admin", "carol", "anonymous", "stranger"])
CALLERS = st.sampled_from([*["owner"] * 6, *["admin"] * 4, "bob", "alice", "carol", "anonymous", "stranger"])
"""``owner`` is who has made the artifact."""
MOVES = (
    *(
        *["upload"] * 5,
        *["patch_anything"] * 5,
        *["change_status"] * 3,
        *["publish"] * 2,
        *["locate"] * 3,
        *["read"] * 2,
    ),
    *("create_complete", "create_with_anything", "delete_blob", "delete_blob", "delete", "page_through", "set_quota"),
)
DATA = st.sampled_from([b"", b"ten bytes.", b"eleven byte", bytes(900), b"\xff" * 1200, bytes(2001)])
_ELEMENTS = (
    *(
        Step("add", "metadata", "w", "w", "k"),
        Step("add", "metadata", 5, "5", "other"),
        Step("remove", "metadata", key="k"),
    ),
    *(Step("add", "tags", "t", "t", "-"), Step("add", "tags", "new", "new", "-"), Step("add", "tags", "a,b", BAD, "-")),
)


def _steps(type_name: str) -> st.SearchStrategy[Step]:
    whole = st.tuples(st.sampled_from(["add", "replace", "replace", "test"]), st.sampled_from(VALUES[type_name]))
    statuses = st.sampled_from(["active", "active", "active", "deactivated", "drafted", "deleted", "queued", None])
    return st.one_of(
        whole.map(lambda drawn: Step(drawn[0], *drawn[1])),
        st.sampled_from(_ELEMENTS),
        statuses.map(lambda status: Step("replace", "status", status)),
        st.sampled_from(["public", "public", "private", None]).map(lambda value: Step("add", "visibility", value)),
    )


class LifeCycle(RuleBasedStateMachine):
    """Every step is a request: the model says its answer first, then the service is asked, then all is compared.

    There is one rule that draws what to do, since requests are not equally worth trying.
    """

    def __init__(self, glare: Glare, origin: Origin) -> None:
        super().__init__()
        self._glare = glare
        self._origin = origin
        self._model = Model(QUOTAS)
        self._made: list[Json] = []
        self._turns = 0
        self._actors = {
            "alice": glare.alice,
            "carol": glare.actor("carol:wonderland:"),
            "bob": glare.bob,
            "admin": glare.admin,
            "anonymous": glare.anonymous,
            "stranger": glare.stranger,
        }
        _empty(glare)
        self._begin()

    def _begin(self) -> None:
        """A draft with a blob and a location, an active image at a location, and an artifact of bob's that is
        public.
        """
        for who, kind in (("alice", "sample_artifact"), ("alice", "images"), ("bob", "sample_artifact")):
            self._create(who, kind, [("name", "a", "a"), *COMPLETE[kind]])
        draft, active, public = self._made
        self._store("alice", draft, "blob", Data(bytes(900), OCTETS), announced=True)
        self._record("alice", draft, "small_blob", "/few", {})
        self._record("alice", active, "image", "/few", {})
        self._store("bob", public, "blob", Data(b"data", OCTETS), announced=False)
        self._patch("alice", active, [Step("replace", "status", "active")])
        self._patch("admin", public, [Step("replace", "status", "active"), Step("replace", "visibility", "public")])

    @rule(move=st.sampled_from(MOVES), data=st.data())
    def request(self, move: str, data: st.DataObject) -> None:
        getattr(self, f"_{move}")(data.draw)

    def _create_complete(self, draw: Draw) -> None:
        kind = draw(st.sampled_from(sorted(KINDS)))
        name = draw(st.sampled_from("abc"))
        self._create(draw(PEOPLE), kind, [("name", name, name), *COMPLETE[kind]])

    def _create_with_anything(self, draw: Draw) -> None:
        kind = draw(st.sampled_from(sorted(KINDS)))
        name = draw(st.sampled_from("bcde"))
        values = draw(st.lists(st.sampled_from(VALUES[kind]), max_size=3, unique_by=lambda value: value[0]))
        self._create(draw(PEOPLE), kind, [("name", name, name), *COMPLETE[kind], *values])

    def _patch_anything(self, draw: Draw) -> None:
        who, artifact = self._pick(draw)
        self._patch(who, artifact, draw(st.lists(_steps(artifact["type_name"]), max_size=3)))

    def _change_status(self, draw: Draw) -> None:
        who, artifact = self._pick(draw)
        self._patch(
            who, artifact, [Step("replace", "status", draw(st.sampled_from(["active", "active", "deactivated"])))]
        )

    def _publish(self, draw: Draw) -> None:
        who, artifact = self._pick(draw)
        self._patch(who, artifact, [Step("replace", "status", "active"), Step("replace", "visibility", "public")])

    def _upload(self, draw: Draw) -> None:
        who, artifact = self._pick(draw)
        path = self._path(draw, artifact)
        sent = Data(draw(DATA), draw(st.sampled_from([OCTETS, "text/plain"])))
        self._store(who, artifact, path, sent, announced=draw(st.booleans()))

    def _locate(self, draw: Draw) -> None:
        who, artifact = self._pick(draw)
        path = self._path(draw, artifact)
        address = draw(st.sampled_from([*SERVED, *SERVED, "/none"]))
        claims: st.SearchStrategy[Json] = st.sampled_from([{}, {}, {"md5": None, "size": 8}, {"sha256": "0" * 64}])
        self._record(who, artifact, path, address, draw(claims))

    def _delete_blob(self, draw: Draw) -> None:
        who, artifact = self._pick(draw)
        path = self._path(draw, artifact)
        expected = _expect(lambda: self._model.delete_blob(WHO[who], artifact["id"], path))
        self._compare(self._as(who).request("DELETE", f"{path_of(artifact)}/{path}"), expected)

    def _delete(self, draw: Draw) -> None:
        who, artifact = self._pick(draw)
        expected = _expect(lambda: self._model.delete(WHO[who], artifact["id"]))
        self._compare(self._as(who).delete(artifact), 204 if expected is None else expected)

    def _read(self, draw: Draw) -> None:
        who, artifact = self._pick(draw)
        self._look(who, artifact, [self._path(draw, artifact)])

    def _page_through(self, draw: Draw) -> None:
        who, kind = draw(PEOPLE), draw(st.sampled_from(["all", *KINDS]))
        field = draw(st.sampled_from(["name", "status", "owner", "version"]))
        if not WHO[who].known:
            _compare_refusal(self._as(who).request("GET", f"/artifacts/{kind}"), 401)
            return
        expected = self._model.listed(WHO[who], kind)
        page = self._as(who).page(kind, f"limit=2&sort={field}:asc")
        found = page["artifacts"]
        while "next" in page:
            page = self._as(who).request("GET", page["next"]).json()
            found += page["artifacts"]
        assert [artifact[field] for artifact in found] == sorted(held.document[field] for held in expected)
        assert {artifact["id"] for artifact in found} == {held.id for held in expected}

    def _set_quota(self, draw: Draw) -> None:
        who, project = (
            draw(st.sampled_from(["admin", "admin", "alice"])),
            draw(st.sampled_from(["wonderland", "builders"])),
        )
        name = draw(st.sampled_from([*QUOTAS, "max_uploaded_data:sample_artifact"]))
        value = draw(st.sampled_from([None, None, -1, 0, 2, 1000]))
        records = {} if value is None else {name: value}
        listed = [{"quota_name": key, "quota_value": number} for key, number in records.items()]
        expected = _expect(lambda: self._model.set_quotas(WHO[who], project, records))
        answer = self._as(who).request("PUT", "/quotas", json=[{"project_id": project, "project_quotas": listed}])
        assert answer.status_code == (200 if expected is None else expected)
        [represented] = self._as("admin").request("GET", f"/project-quotas/{project}").json()
        quotas = {one["quota_name"]: one["quota_value"] for one in represented["project_quotas"]}
        assert quotas == self._model.limits(project)

    @invariant()
    def lists_show_what_each_may_see(self) -> None:
        """Ids and totals for each in turn; and an admin sees every artifact as the model has it, in every field."""
        self._turns += 1
        who = ("alice", "bob", "anonymous")[self._turns % 3]
        page = self._as(who).page("all", "limit=100")
        expected = {held.id for held in self._model.listed(WHO[who])}
        assert {artifact["id"] for artifact in page["artifacts"]} == expected
        assert page["total_count"] == len(expected)
        for kind in KINDS:
            page = self._as("admin").page(kind, "limit=100")
            represented = {artifact["id"]: artifact for artifact in page["artifacts"]}
            held = {held.id: held for held in self._model.listed(WHO["admin"], kind)}
            assert represented.keys() == held.keys()
            assert page["total_count"] == len(held)
            for artifact_id, artifact in represented.items():
                _compare_document(artifact, held[artifact_id])

    @invariant()
    def active_artifacts_have_their_bytes(self) -> None:
        for held in self._model.artifacts.values():
            for path, data in held.blobs.items() if held.status == "active" else ():
                _compare_bytes(self._as("admin").download(_named(held), path), data)

    @invariant()
    def quotas_count_what_is_there(self) -> None:
        with self._glare.services.db.read() as connection:
            rows = connection.execute(select(quota_usage)).all()
        used = {(row.project, row.type_name): (row.artifacts, row.bytes) for row in rows if row.artifacts or row.bytes}
        assert used == self._model.usage()

    def teardown(self) -> None:
        """Everybody sees of every artifact what the model says, and rows, counters and files agree with one another."""
        for held in self._model.artifacts.values():
            for who in ("alice", "bob", "admin", "anonymous"):
                self._look(who, _named(held), held.blobs)
        directory = self._glare.settings.glance_store.filesystem_store_datadir
        assert disagreements(self._glare.services, directory) == []

    def _look(self, who: str, artifact: Json, paths: Iterable[str]) -> None:
        expected = _expect(lambda: self._model.find(WHO[who], artifact["id"]))
        self._compare(self._as(who).get(artifact), expected)
        for path in paths:
            found = _expect(partial(self._model.download, WHO[who], artifact["id"], path))
            _compare_bytes(self._as(who).download(artifact, path), found)

    def _create(self, who: str, kind: str, values: list[tuple[str, Any, Any]]) -> None:
        made = _expect(lambda: self._model.create(WHO[who], kind, values))
        answer = self._as(who).try_create(kind, **{name: value for name, value, _ in values})
        if isinstance(made, int):
            _compare_refusal(answer, made)
            return
        assert answer.status_code == 201, answer.text
        _compare_document(answer.json(), made(answer.json()["id"]))
        self._made.append({"id": answer.json()["id"], "type_name": kind, "made by": who})

    def _store(self, who: str, artifact: Json, path: str, sent: Data, *, announced: bool) -> None:
        body = sent.content if announced else iter([sent.content[:7], sent.content[7:]])
        expected = _expect(lambda: self._model.upload(WHO[who], artifact["id"], path, sent))
        answer = self._as(who).try_upload(artifact, path, body, headers={"Content-Type": sent.content_type})
        self._compare(answer, expected)

    def _record(self, who: str, artifact: Json, path: str, address: str, claims: Json) -> None:
        url = self._origin.url(address)
        content = SERVED.get(address)
        served = Data(content, OCTETS, url) if content is not None else None
        claimed = "sha256" not in claims and claims.get("size") in (None, len(content or b""))
        expected = _expect(lambda: self._model.locate(WHO[who], artifact["id"], path, served, claimed=claimed))
        self._compare(self._as(who).try_locate(artifact, path, url, **claims), expected)

    def _patch(self, who: str, artifact: Json, steps: list[Step]) -> None:
        before = self._revision(artifact)
        expected = _expect(lambda: self._model.patch(WHO[who], artifact["id"], steps))
        answer = self._as(who).patch(artifact, *(step.json() for step in steps))
        if isinstance(expected, int):
            _compare_refusal(answer, expected)
            assert self._revision(artifact) == before
            return
        held, changed = expected
        self._compare(answer, held)
        assert (self._revision(artifact) != before) == changed

    def _revision(self, artifact: Json) -> str | None:
        return self._as("admin").get(artifact).headers.get("etag")

    def _pick(self, draw: Draw) -> tuple[str, Json]:
        """Who asks, and for which artifact: mostly one that is there."""
        there = [artifact for artifact in self._made if artifact["id"] in self._model.artifacts]
        artifact = draw(st.sampled_from([*there * 4, *self._made]))
        who = draw(CALLERS)
        return artifact["made by"] if who == "owner" else who, artifact

    def _path(self, draw: Draw, artifact: Json) -> str:
        """A path of a blob: often of one that is there, and now and then a wrong one."""
        held = self._model.artifacts.get(artifact["id"])
        there = [path for path in PATHS[artifact["type_name"]] if held is not None and path in held.blobs]
        return draw(st.sampled_from([*PATHS[artifact["type_name"]] * 4, *there * 8, *WRONG_PATHS]))

    def _as(self, who: str) -> ActorClient:
        return self._actors[who]

    def _compare(self, answer: httpx2.Response, expected: Any) -> None:
        if isinstance(expected, Held):
            assert answer.status_code == 200, answer.text
            _compare_document(answer.json(), expected)
        elif expected == 204:
            assert (answer.status_code, answer.content) == (204, b"")
        else:
            _compare_refusal(answer, expected)


def _compare_document(represented: Json, held: Held) -> None:
    """Every field and blob is as the model has it."""
    expected = held.document
    assert {name: represented[name] for name in expected} == expected
    assert (represented["activated_at"] is None) == (held.activations == 0)
    blobs: Json = {}
    for name, place in held.kind.places.items():
        found = (represented[name] if place.folder else {None: represented[name]} if represented[name] else {}).items()
        blobs |= {f"{name}/{key}" if place.folder else name: blob for key, blob in found}
    assert blobs.keys() == held.blobs.keys()
    for path, data in held.blobs.items():
        address = {} if data.url else {"url": f"{path_of(_named(held))}/{path}"}
        assert blobs[path] == {**data.represented(), **address}


def _compare_bytes(answer: httpx2.Response, expected: Data | int) -> None:
    if isinstance(expected, int):
        _compare_refusal(answer, expected)
        return
    assert answer.status_code == 200, answer.text
    assert answer.content == expected.content
    represented = expected.represented()
    assert answer.headers["content-type"] == expected.content_type
    assert answer.headers["content-md5"] == represented["md5"]
    assert answer.headers["etag"] == f'"{represented["sha256"]}"'


def _compare_refusal(answer: httpx2.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def _expect(request: Callable[[], T]) -> T | int:
    """What the model says: its result, or the status of its refusal."""
    try:
        return request()
    except Refused as refusal:
        return refusal.status


def _named(held: Held) -> Json:
    return {"id": held.id, "type_name": held.type_name}


def _empty(glare: Glare) -> None:
    """Forget everything, whatever an example before has left."""
    with glare.services.db.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    for path in glare.objects():
        path.unlink()


@pytest.fixture(scope="module")
def served() -> Iterator[Origin]:
    """A web server with `SERVED`."""
    with Origin() as origin:
        for target, content in SERVED.items():
            origin.put(target, content)
        yield origin


@pytest.mark.timeout(600)  # A failure is shrunk to its shortest sequence, which takes a while.
def test_the_life_cycle_is_that_of_the_model(tmp_path_factory: pytest.TempPathFactory, served: Origin) -> None:
    """Any requests of owners, others, admins and strangers are answered as the model says, and leave what it says.

    After each of them: lists and totals, the bytes and fields of every active artifact, and what quotas count.
    """
    with running(tmp_path_factory.mktemp("machine"), SETTINGS, ports=(80, 443, served.port)) as glare:

        class Machine(LifeCycle):
            def __init__(self) -> None:
                super().__init__(glare, served)

        chosen = settings(
            max_examples=8,
            stateful_step_count=30,
            derandomize=True,
            database=None,
            phases=[Phase.generate, Phase.shrink],
        )
        run_state_machine_as_test(Machine, settings=chosen)
        assert glare.leftovers() == {}
