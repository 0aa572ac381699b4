"""Who is calling, over HTTP, by each way to say so."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from glare.app import create_application
from glare.app.application import threads_of_one_source
from glare.domain.actor import Actor
from glare.errors import Unavailable
from glare.identity.pipeline import Pipeline
from glare.identity.token_file import TokenFile
from support.identities import Asked
from support.service import Glare, configuration, running

ANONYMOUS = "[DEFAULT]\nallow_anonymous_access = true\n"
HEADERS = "[identity]\npipeline = trusted_headers\n"


@contextmanager
def trusted(glare: Glare, peer: str = "127.0.0.1") -> Iterator[Any]:
    """A client whose connections come from `peer`."""
    application = create_application(glare.settings, with_worker=False, services=glare.services)
    client = TestClient(application, client=(peer, 50000), raise_server_exceptions=False)
    yield client


TOKENS = "[identity]\npipeline = token_file\ntoken_file = {}\n"


def test_token_file(tmp_path: Path) -> None:
    """A token of the file is its owner, in either header; another one is 401 whatever it claims; a revoked one ends."""
    tokens = TokenFile(tmp_path / "tokens.json")
    token, record = tokens.create("wonderland", "alice", ("member",))
    admin, _ = tokens.create("cloud", "root", ("Admin",))
    with running(tmp_path, TOKENS.format(tokens.path)) as glare:
        artifact = glare.actor(token).create("images", name="a")
        assert artifact["owner"] == "wonderland"
        bearer = glare.client.get(f"/artifacts/images/{artifact['id']}", headers={"Authorization": f"Bearer {token}"})
        assert bearer.status_code == 200
        for wrong in ("alice:wonderland:member", "glare_unknown", "", token + "x"):
            assert glare.actor(wrong).get(artifact).status_code == 401
        assert glare.stranger.get(artifact).status_code == 401
        assert glare.actor(admin).request("GET", "/quotas").status_code == 200
        tokens.revoke(record.id)
        end = time.monotonic() + 10  # The service looks at the file once a second.
        while glare.actor(token).get(artifact).status_code != 401:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert glare.actor(admin).get(artifact).status_code == 200


def test_token_file_with_anonymous_readers(tmp_path: Path) -> None:
    """Without a token one may read what is public; a wrong token stays 401."""
    tokens = TokenFile(tmp_path / "tokens.json")
    token, _ = tokens.create("wonderland", "alice", ("admin",))
    with running(tmp_path, ANONYMOUS + TOKENS.format(tokens.path)) as glare:
        owner = glare.actor(token)
        hidden = owner.create("sample_artifact", name="hidden", string_required="x")
        public = owner.create("sample_artifact", name="public", string_required="x")
        owner.activate(public)
        owner.publish(public)
        assert glare.stranger.names("sample_artifact") == ["public"]
        assert glare.stranger.get(hidden).status_code == 404
        assert glare.stranger.get(public).status_code == 200
        assert glare.stranger.request("GET", "/schemas").status_code == 200
        assert glare.stranger.try_create("images", name="a").status_code == 403
        assert glare.stranger.patch(public).status_code == 403
        assert glare.stranger.delete(hidden).status_code == 404
        assert glare.stranger.request("GET", "/project-quotas").status_code == 403
        assert glare.actor("wrong").get(public).status_code == 401


def test_trusted_headers(tmp_path: Path) -> None:
    """A proxy that is believed names user, project and roles; the older name of the project's header is known."""
    with running(tmp_path, HEADERS) as glare, trusted(glare) as client:
        confirmed = {"X-Identity-Status": "Confirmed", "X-User-Id": "u"}
        one = {**confirmed, "X-Project-Id": "one", "X-Roles": "member"}
        created = client.post("/artifacts/images", json={"name": "a"}, headers=one)
        assert (created.status_code, created.json()["owner"]) == (201, "one")
        path = f"/artifacts/images/{created.json()['id']}"
        assert client.get(path, headers={**confirmed, "X-Tenant-Id": "one"}).status_code == 200
        assert client.get(path, headers={**confirmed, "X-Project-Id": "two"}).status_code == 404
        assert client.get(path, headers={**confirmed, "X-Project-Id": "two", "X-Roles": "a, ADMIN "}).status_code == 200
        assert client.get(path, headers={"X-Project-Id": "one"}).status_code == 401
        assert client.get(path, headers={**one, "X-Identity-Status": "Invalid"}).status_code == 401
        assert client.get(path, headers={"X-Auth-Token": "u:one:admin"}).status_code == 401
        assert client.get(path).status_code == 401


def test_confirmed_without_a_project(tmp_path: Path) -> None:
    """Whoever has no project owns nothing, reads what is public, and is an admin if their roles say so."""
    with running(tmp_path, HEADERS) as glare, trusted(glare) as client:
        for roles in ("member", "admin"):
            nobody = {"X-Identity-Status": "Confirmed", "X-User-Id": "u", "X-Roles": roles}
            assert client.post("/artifacts/images", json={"name": "a"}, headers=nobody).status_code == 403
            assert client.get("/artifacts/images", headers=nobody).json()["artifacts"] == []
            assert client.get("/project-quotas", headers=nobody).status_code == 403
            assert client.get("/quotas", headers=nobody).status_code == (200 if roles == "admin" else 403)


def test_trusted_headers_from_strangers(tmp_path: Path) -> None:
    """An address that is not trusted is refused when it names an identity, also where anonymous readers are welcome."""
    with running(tmp_path, HEADERS + ANONYMOUS) as glare:
        claimed = {"X-Identity-Status": "Confirmed", "X-Project-Id": "one", "X-Roles": "admin"}
        with trusted(glare, "192.0.2.1") as client:
            assert client.get("/schemas", headers=claimed).status_code == 401
            assert client.get("/schemas").status_code == 200
        with trusted(glare) as client:
            unconfirmed = {**claimed, "X-Identity-Status": "Invalid"}
            assert client.get("/schemas", headers=unconfirmed).status_code == 200
            assert client.get("/quotas", headers=unconfirmed).status_code == 403


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("u:p:member", 200),
        (" u : p : member , other ", 200),
        ("u:p:", 200),
        (":p:", 200),
        ("u:none:", 200),
        ("u:p", 401),
        ("u:p:member:more", 401),
        ("u::member", 401),
        ("u: :member", 401),
        ("", 401),
        ("token", 401),
    ],
)
def test_test_token(api: Glare, token: str, status: int) -> None:
    """Exactly three parts with a tenant are somebody."""
    assert api.actor(token).request("GET", "/schemas").status_code == status


def test_no_header_overrules_the_token(api: Glare) -> None:
    """X-Project-Id and its like mean nothing beside a token that names the project (quirk 48)."""
    headers = {
        "X-Project-Id": "builders",
        "X-Tenant-Id": "builders",
        "X-Roles": "admin",
        "X-Identity-Status": "Confirmed",
        "X-User-Id": "bob",
    }
    answer = api.alice.request("POST", "/artifacts/images", json={"name": "mine"}, headers=headers)
    assert answer.json()["owner"] == "wonderland"
    assert api.alice.request("GET", "/quotas", headers=headers).status_code == 403


def test_admin_role_in_any_case(api: Glare) -> None:
    """The admin role is known with blanks around it and in any case."""
    for roles in ("admin", "ADMIN", " Admin ", "member, admin"):
        assert api.actor(f"u:p:{roles}").request("GET", "/quotas").status_code == 200
    for roles in ("administrator", "member", "adm in"):
        assert api.actor(f"u:p:{roles}").request("GET", "/quotas").status_code == 403


def test_anonymous_access_is_off_at_first(api: Glare) -> None:
    """No token is 401 unless the operator allows anonymous readers."""
    assert api.stranger.request("GET", "/artifacts/images").status_code == 401


@pytest.mark.parametrize("length", [255, 256])
def test_a_project_whose_name_cannot_be_stored_is_401(tmp_path: Path, length: int) -> None:
    """The longest name that an owner can have is served; one character more is refused in a sentence, whatever is
    asked.
    """
    name = "p" * length
    with running(tmp_path, HEADERS) as glare, trusted(glare) as client:
        headers = {"X-Identity-Status": "Confirmed", "X-User-Id": "u" * 300, "X-Project-Id": name, "X-Roles": "member"}
        answer = client.post("/artifacts/images", json={"name": "a"}, headers=headers)
        if length == 255:
            assert (answer.status_code, answer.json()["owner"]) == (201, name)
        else:
            assert answer.status_code == 401
            assert "256 characters" in answer.json()["error"]["message"]
            assert client.get("/artifacts/images", headers=headers).status_code == 401


@pytest.mark.parametrize("pipeline", ["token_file", "trusted_headers", "test_token"])
def test_no_pipeline_takes_the_first_of_two(tmp_path: Path, pipeline: str) -> None:
    """A field of an identity that comes twice, as behind a proxy that appends, is 400 whoever is configured to read
    it.
    """
    options = f"[identity]\npipeline = {pipeline}\n" + (
        f"token_file = {tmp_path / 'tokens.json'}\n" if pipeline == "token_file" else ""
    )
    TokenFile(tmp_path / "tokens.json").create("wonderland", "alice", ("member",))
    said = [("X-Identity-Status", "Confirmed"), ("X-User-Id", "eve"), ("X-Auth-Token", "alice:wonderland:member")]
    with running(tmp_path, options) as glare, trusted(glare) as client:
        for twice in ("X-Project-Id", "X-Roles", "x-auth-token", "AUTHORIZATION"):
            answer = client.get("/artifacts/images", headers=[*said, (twice, "victim"), (twice, "eve")])
            assert answer.status_code == 400, answer.text
            assert twice.lower() in answer.text
        for alike in ("X_Project_Id", "X-Project_Id"):
            assert client.get("/artifacts/images", headers=[*said, (alike, "victim")]).status_code == 400
        assert client.get("/healthz", headers=[("X-Project-Id", "a"), ("X-Project-Id", "b")]).status_code == 200


def test_a_proxy_names_one_project(tmp_path: Path) -> None:
    """The old name of the project's header may come along with the new one, where both say the same."""
    said = {"X-Identity-Status": "Confirmed", "X-Project-Id": "one", "X-Roles": "member"}
    with running(tmp_path, HEADERS) as glare, trusted(glare) as client:
        assert client.get("/artifacts/images", headers={**said, "X-Tenant-Id": "one"}).status_code == 200
        refused = client.get("/artifacts/images", headers={**said, "X-Tenant-Id": "two"})
        assert refused.status_code == 400
        assert "different projects" in refused.text


def test_401_names_the_ways_in(tmp_path: Path) -> None:
    """Every refusal of an identity has `WWW-Authenticate`, and says of a token that came that it is wrong."""
    with running(tmp_path, TOKENS.format(tmp_path / "tokens.json")) as glare:
        none = glare.stranger.request("GET", "/artifacts/images")
        wrong = glare.actor("glare_wrong").request("GET", "/artifacts/images")
        assert (none.status_code, none.headers["www-authenticate"]) == (401, 'Bearer realm="glare"')
        assert wrong.status_code == 401
        assert wrong.headers["www-authenticate"] == 'Bearer realm="glare", error="invalid_token"'


@contextmanager
def asking(glare: Glare, source: Asked) -> Iterator[Any]:
    """A client of a service whose only source of identity has to wait."""
    application = create_application(
        glare.settings, with_worker=False, services=glare.services, identity=Pipeline([source])
    )
    yield TestClient(application, raise_server_exceptions=False)


def test_a_source_that_waits_is_asked_in_a_thread_and_sees_the_request(tmp_path: Path) -> None:
    """The event loop goes on meanwhile: a request whose caller is known is answered while another one's is not."""
    go_on, began = threading.Event(), threading.Event()

    def answer(token: str) -> Actor:
        began.set()
        assert go_on.wait(30)
        return Actor("ann", "p1", frozenset({"member"}))

    source = Asked("slow-", answer)
    with running(tmp_path, ANONYMOUS) as glare, asking(glare, source) as client, client:
        headers = {"X-Auth-Token": "slow-1"}
        with ThreadPoolExecutor(1) as threads:
            slow = threads.submit(client.get, "/artifacts/images", headers=headers)
            assert began.wait(30)
            assert client.get("/artifacts/images").status_code == 401
            go_on.set()
            assert slow.result(30).status_code == 200
        [asked] = source.asked
        assert (asked.method, asked.path, asked.peer) == ("GET", "/artifacts/images", "testclient")


def test_a_source_that_is_down_is_503(tmp_path: Path) -> None:
    """Whoever cannot be asked is not one who says no, and the answer says when to come back."""

    def answer(token: str) -> Actor:
        raise Unavailable("The identity service does not answer; try again.", retry_after=7)

    with running(tmp_path, ANONYMOUS) as glare, asking(glare, Asked("", answer)) as client, client:
        answer_ = client.get("/artifacts/images", headers={"X-Auth-Token": "any"})
        assert (answer_.status_code, answer_.headers["retry-after"]) == (503, "7")
        assert "www-authenticate" not in answer_.headers


@pytest.mark.parametrize(("threads", "at_most"), [(8, 6), (2, 1), (1, 1), (16, 12)])
def test_a_quarter_of_the_threads_is_kept_from_each_source(tmp_path: Path, threads: int, at_most: int) -> None:
    """With one source alone there is nobody to keep them for."""
    for pipeline, expected in (("token_file, tokens", at_most), ("tokens", None)):
        text = f"[identity]\nthreads = {threads}\npipeline = {pipeline}\n"
        assert threads_of_one_source(configuration(tmp_path, text)) == expected
