"""What limited tokens may do: every operation that there is, with a token that may and with tokens that may not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import pytest
from starlette.routing import Route

from glare.db.callers.publishers import add as add_publisher
from glare.domain.publisher import Publisher
from glare.http.call import Endpoint
from glare.http.routes import API
from support.service import BYTES, PATCH, ActorClient, path_of
from support.token_nodes import SINCE, TokenNodes, token_nodes

OTHER_TYPE = ["heat_templates"]
BUILDS: Final[Any] = {"issuer": "github", "claims": {"repository": "acme/app"}}
URL = "https://files.example.org/image"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenNodes]:
    """Both nodes, with locations that are recorded as they are claimed."""
    with token_nodes(tmp_path_factory.mktemp("limited"), "[locations]\nmeasure = off\n") as found:
        yield found


@dataclass
class Request:
    """A request that works for an administrator's whole token, with the status that it is answered with then."""

    path: str
    status: int = 200
    body: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, who: ActorClient, method: str) -> httpx2.Response:
        options: dict[str, Any] = {"headers": {**SINCE, **self.headers}}
        if self.content is not None:
            options["content"] = self.content
        elif self.body is not None:
            options["json"] = self.body
        return who.request(method, self.path, **options)


class Scene:
    """One of everything, of images, in a project of its own; and a request for each operation on it."""

    def __init__(self, nodes: TokenNodes, project: str) -> None:
        self.session = f"root:{project}:admin"
        owner = nodes.users.actor(self.session)
        self.image = owner.upload(owner.create("images", name="mine"), "image", b"bytes")
        self.spare = owner.create("images", name="spare")
        digest = {"md5": "0" * 32, "sha1": "0" * 40, "sha256": "0" * 64}
        claimed = owner.locate(owner.create("images", name="located"), "image", URL, **digest)
        listed = owner.request("GET", "/locations", headers=SINCE).json()["locations"]
        location = next(one["id"] for one in listed if one["artifact"] == claimed["id"])
        self.token = nodes.make(self.session)["id"]
        shared = owner.create("images", name="shared", disk_format="raw", container_format="bare")
        owner.upload(shared, "image", b"bytes")
        owner.activate(shared)
        change = {"op": "replace", "path": "/visibility", "value": "shared"}
        assert owner.patch(shared, change, headers=SINCE).status_code == 200
        members = f"/members/{shared['id']}"
        assert owner.request("POST", members, json={"project": "p2"}, headers=SINCE).status_code == 201
        wish = {"artifact": self.image["id"], "blob": "image"}
        link = owner.request("POST", "/links", json=wish, headers=SINCE).json()["id"]
        builds = Publisher(
            f"pub-{project}", project, "github", BUILDS["claims"], "a" * 64, ("member",), None, None, "", 1, None
        )
        assert nodes.users.services.db.transact(lambda connection: add_publisher(connection, builds, 9))
        takedown = {"kind": "host", "value": f"{project}.example.org", "reason": "x"}
        self.takedown = owner.request("POST", "/takedowns", json=takedown).json()["id"]
        subscribed = owner.request("POST", "/subscriptions", json={"target": "https://files.example.org/hook"})
        self.subscription = subscribed.json()["id"]
        log = owner.request("GET", f"/subscriptions/{self.subscription}/deliveries").json()["deliveries"]
        one, sub, at = path_of(self.image), f"/subscriptions/{self.subscription}", f"/locations/{location}"
        rename = b'[{"op": "replace", "path": "/description", "value": "new"}]'
        spare = path_of(self.spare)
        self.requests: dict[tuple[str, str], Request] = {
            ("GET", "/schemas"): Request("/schemas"),
            ("GET", "/schemas/{type_name}"): Request("/schemas/images"),
            ("GET", "/artifacts/{type_name}"): Request("/artifacts/images"),
            ("POST", "/artifacts/{type_name}"): Request("/artifacts/images", 201, {"name": "new"}),
            ("GET", "/artifacts/{type_name}/{id}"): Request(one),
            ("PATCH", "/artifacts/{type_name}/{id}"): Request(one, 200, None, rename, {"Content-Type": PATCH}),
            ("GET", "/artifacts/{type_name}/{id}/{blob_path:path}"): Request(f"{one}/image"),
            ("PUT", "/artifacts/{type_name}/{id}/{blob_path:path}"): Request(
                f"{spare}/image", 200, None, b"bytes", {"Content-Type": BYTES}
            ),
            ("PUT", "/quotas"): Request("/quotas", 200, [{"project_id": project, "project_quotas": []}]),
            ("GET", "/quotas"): Request("/quotas"),
            ("GET", "/project-quotas"): Request("/project-quotas"),
            ("GET", "/project-quotas/{project}"): Request(f"/project-quotas/{project}"),
            ("GET", "/locations"): Request("/locations"),
            ("GET", "/locations/{location_id}"): Request(at),
            ("GET", "/locations/{location_id}/checks"): Request(f"{at}/checks"),
            ("POST", "/locations/{location_id}/checks"): Request(f"{at}/checks", 202),
            ("POST", "/locations/{location_id}/promotion"): Request(f"{at}/promotion", 409),
            ("GET", "/locations/{location_id}/promotion"): Request(f"{at}/promotion", 404),
            ("GET", "/takedowns"): Request("/takedowns"),
            ("POST", "/takedowns"): Request(
                "/takedowns", 201, {"kind": "host", "value": f"x.{project}.example.org", "reason": "x"}
            ),
            ("GET", "/takedowns/{takedown_id}"): Request(f"/takedowns/{self.takedown}"),
            ("DELETE", "/takedowns/{takedown_id}"): Request(f"/takedowns/{self.takedown}", 204),
            ("GET", "/publishers"): Request("/publishers"),
            ("POST", "/publishers"): Request("/publishers", 400, BUILDS),
            ("GET", "/publishers/{publisher}"): Request(f"/publishers/{builds.id}"),
            ("DELETE", "/publishers/{publisher}"): Request(f"/publishers/{builds.id}", 204),
            ("GET", "/members/{artifact_id}"): Request(members),
            ("POST", "/members/{artifact_id}"): Request(members, 201, {"project": f"{project}-7"}),
            ("GET", "/members/{artifact_id}/{project}"): Request(f"{members}/p2"),
            ("PUT", "/members/{artifact_id}/{project}"): Request(f"{members}/p2", 200, {"status": "accepted"}),
            ("DELETE", "/members/{artifact_id}/{project}"): Request(f"{members}/p2", 204),
            ("GET", "/links"): Request("/links"),
            ("POST", "/links"): Request("/links", 201, {"artifact": self.image["id"], "blob": "image"}),
            ("GET", "/links/{link}"): Request(f"/links/{link}"),
            ("DELETE", "/links/{link}"): Request(f"/links/{link}", 204),
            ("POST", "/links/revocation"): Request("/links/revocation", 200, {}),
            ("GET", "/audit"): Request("/audit"),
            ("GET", "/tokens"): Request("/tokens"),
            ("POST", "/tokens"): Request("/tokens", 201, {}),
            ("POST", "/tokens/revocation"): Request("/tokens/revocation", 200, {"user": "nobody"}),
            ("GET", "/tokens/{token}"): Request(f"/tokens/{self.token}"),
            ("DELETE", "/tokens/{token}"): Request(f"/tokens/{self.token}", 204),
            ("GET", "/subscriptions"): Request("/subscriptions"),
            ("POST", "/subscriptions"): Request("/subscriptions", 201, {"target": "https://files.example.org/two"}),
            ("GET", "/subscriptions/{subscription}"): Request(sub),
            ("PATCH", "/subscriptions/{subscription}"): Request(sub, 200, {"description": "new"}),
            ("POST", "/subscriptions/{subscription}/secret"): Request(f"{sub}/secret", 200, {}),
            ("POST", "/subscriptions/{subscription}/confirmation"): Request(
                f"{sub}/confirmation", 403, {"token": "wrong"}
            ),
            ("GET", "/subscriptions/{subscription}/deliveries"): Request(f"{sub}/deliveries"),
            ("GET", "/subscriptions/{subscription}/deliveries/{delivery}"): Request(f"{sub}/deliveries/{log[0]['id']}"),
            ("POST", "/subscriptions/{subscription}/deliveries/{delivery}/redelivery"): Request(
                f"{sub}/deliveries/{log[0]['id']}/redelivery", 202
            ),
            ("DELETE", "/subscriptions/{subscription}"): Request(sub, 204),
            ("DELETE", "/artifacts/{type_name}/{id}/{blob_path:path}"): Request(f"{path_of(claimed)}/image", 200),
            ("DELETE", "/artifacts/{type_name}/{id}"): Request(spare, 204),
        }


@pytest.fixture(scope="module")
def scene(nodes: TokenNodes, unique: Callable[[], str]) -> Scene:
    return Scene(nodes, unique())


def operations() -> set[tuple[str, str]]:
    """Every operation that needs credentials."""
    found = set()
    for route in API:
        assert isinstance(route, Route)
        assert isinstance(route.endpoint, Endpoint)
        found |= {(method, route.path) for method in route.endpoint.handlers}
    return found


def refused(answer: httpx2.Response) -> bool:
    """Whether the caller was told nothing but that they may not, or that there is nothing for them."""
    return answer.status_code in (403, 404)


SHOWN_TO_ALL = {("GET", "/schemas"), ("GET", "/schemas/{type_name}")}
"""What a type is, is no secret: it is no artifact."""


def test_every_operation_keeps_to_the_limits(nodes: TokenNodes, scene: Scene) -> None:
    """An administrator's token that is for another type, for reading, or for other names is refused in every operation
    that is beyond its limits; with the whole token the same request works. A new operation has to have its row.
    """
    assert scene.requests.keys() == operations()
    whole = nodes.bearer(nodes.make(scene.session))
    reader = nodes.bearer(nodes.make(scene.session, read_only=True))
    other_type = nodes.bearer(nodes.make(scene.session, types=OTHER_TYPE))
    other_name = nodes.bearer(nodes.make(scene.session, names=["theirs-*"]))
    wrong = []
    for (method, path), request in scene.requests.items():
        if (method, path) not in SHOWN_TO_ALL:
            answer = request.send(other_type, method)
            is_empty_list = path == "/artifacts/{type_name}" and method == "GET" and answer.json()["artifacts"] == []
            if not refused(answer) and not is_empty_list:
                wrong.append((method, path, "another type", answer.status_code))
        if method != "GET":
            for who, what in ((reader, "reading"), (other_name, "other names")):
                answer = request.send(who, method)
                if not refused(answer):
                    wrong.append((method, path, what, answer.status_code))
        answer = request.send(whole, method)
        if answer.status_code != request.status:
            wrong.append((method, path, f"the whole token: {answer.text}", answer.status_code))
        if method == "GET":
            for who, what in ((reader, "reading"), (other_name, "other names")):
                if request.send(who, method).status_code != request.status:
                    wrong.append((method, path, what, request.send(who, method).status_code))
    assert not wrong, "\n".join(map(str, wrong))


def test_a_token_for_a_type_sees_that_type_only(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """Lists of all types, of one, counts, markers and single reads are one rule; public artifacts of other types are
    not there either.
    """
    session = f"ann:{unique()}:member"
    owner = nodes.users.actor(session)
    image = owner.create("images", name="image")
    template = owner.create("heat_templates", name="template")
    published = nodes.users.admin.create("images", name=unique())
    bearer = nodes.bearer(nodes.make(session, types=OTHER_TYPE))
    assert [one["id"] for one in bearer.page("all")["artifacts"]] == [template["id"]]
    assert bearer.page("images")["artifacts"] == []
    assert bearer.page("heat_templates")["artifacts"][0]["id"] == template["id"]
    for hidden in (image, published):
        assert bearer.get(hidden).status_code == 404
        assert bearer.request("GET", f"/artifacts/all/{hidden['id']}").status_code == 404
        assert bearer.request("GET", f"/artifacts/all?marker={hidden['id']}").status_code == 404
    assert bearer.get(template).status_code == 200
    assert bearer.create("heat_templates", name="another")["owner"] == owner.show(template)["owner"]
    assert bearer.try_create("images", name="other").status_code == 403


def test_a_body_does_not_choose_the_type(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """What a body calls its type has no say in what the token is for."""
    bearer = nodes.bearer(nodes.make(f"ann:{unique()}:member", types=OTHER_TYPE))
    answer = bearer.request("POST", "/artifacts/images", json={"name": "n", "type_name": "heat_templates"})
    assert answer.status_code == 403
    assert "Your credential is limited" in answer.text


def test_a_token_for_names_changes_no_others(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """It creates, uploads to, renames and deletes what matches, reads everything, and never moves an artifact into or
    out of its pattern.
    """
    session = f"ann:{unique()}:member"
    owner = nodes.users.actor(session)
    foreign = owner.create("images", name="release-1")
    bearer = nodes.bearer(nodes.make(session, names=["nightly-*"]))
    mine = bearer.create("images", name="nightly-1")
    assert bearer.try_create("images", name="release-2").status_code == 403
    assert bearer.upload(mine, "image", b"x")["image"]["size"] == 1
    assert bearer.try_upload(foreign, "image", b"x").status_code == 403
    assert bearer.get(foreign).status_code == 200
    assert bearer.set(mine, name="nightly-2").status_code == 200
    assert bearer.set(mine, name="release-3").status_code == 403
    assert bearer.set(foreign, name="nightly-3").status_code == 403
    assert bearer.set(foreign, description="x").status_code == 403
    assert owner.show(mine)["name"] == "nightly-2"
    assert owner.show(foreign)["name"] == "release-1"
    assert bearer.delete(foreign).status_code == 403
    assert bearer.delete(mine).status_code == 204


def test_a_token_for_reading_changes_nothing(nodes: TokenNodes, unique: Callable[[], str]) -> None:
    """It reads what its maker reads, downloads included."""
    session = f"ann:{unique()}:member"
    owner = nodes.users.actor(session)
    image = owner.upload(owner.create("images", name="n"), "image", b"bytes")
    bearer = nodes.bearer(nodes.make(session, read_only=True))
    assert bearer.download(image, "image").content == b"bytes"
    assert bearer.names("images") == ["n"]
    answer = bearer.set(image, name="m")
    assert answer.status_code == 403
    assert "may only read" in answer.text
