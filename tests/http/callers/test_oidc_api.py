"""Callers with signed tokens, and builds that publish, through HTTP: two nodes on one database."""

from __future__ import annotations

import io
import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from glare.app import build_services, close, create_application
from glare.cli.main import main
from glare.domain import moment
from glare.domain.moment import SECOND
from glare.identity.token_file import TokenFile
from support.oidc import Issuer
from support.origins.origin import Origin
from support.service import Json, running

NUMBERS = itertools.count(1)
V3 = {"OpenStack-API-Version": "artifact 1.3"}
SEVERAL = """
[issuers.corp]
issuer = "{corp}"
audience = ["glare"]
algorithms = ["ES256"]
networks = ["127.0.0.1/32"]
allow_http = true

[[issuers.corp.rules]]
each = {{ groups = "*" }}
project = "{{1}}"
roles = ["member"]

[issuers.ci]
issuer = "{ci}"
audience = ["glare"]
networks = ["127.0.0.1/32"]
allow_http = true
publishers = true
kind = "github"
"""


@dataclass
class Site:
    """Two nodes, the issuers that they know, and the managers of two projects."""

    nodes: list[TestClient]
    corp: Issuer
    ci: Issuer
    origins: list[Origin]
    tokens: dict[str, str]
    configuration: Path

    def send(self, method: str, path: str, token: str | None, node: int = 0, **options: Any) -> httpx2.Response:
        headers = {**V3, **options.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self.nodes[node].request(method, path, headers=headers, **options)

    def publish(self, token: str, project: str | None, node: int = 0, **fields: Any) -> httpx2.Response:
        headers = {} if project is None else {"X-Glare-Project": project}
        body = {"name": f"app-{next(NUMBERS)}", **fields}
        return self.send("POST", "/artifacts/images", token, node, json=body, headers=headers)

    def register(self, who: str = "manager", **changes: Any) -> httpx2.Response:
        body = {"issuer": "ci", "claims": {"repository_id": "7", "ref": "refs/heads/*"}, **changes}
        return self.send("POST", "/publishers", self.tokens[who], json=body)

    def registered(self, who: str = "manager", **changes: Any) -> Json:
        answer = self.register(who, **changes)
        assert answer.status_code == 201, answer.text
        document: Json = answer.json()
        return document

    def build(self, **changes: Any) -> str:
        claims = {"sub": "repo:acme/app:ref:refs/heads/main", "repository": "acme/app", "repository_id": "7"}
        return self.ci.token(
            **{**claims, "repository_owner_id": "70", "ref": "refs/heads/main", "groups": None, **changes}
        )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for the tests that leave its issuers alone."""
    with opened(tmp_path_factory.mktemp("oidc")) as found:
        yield found


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """The site, without publishers before or after."""
    yield shared
    for project in ("images", "others", "cloud"):
        path = f"/publishers?project={project}"
        for publisher in shared.send("GET", path, shared.tokens["admin"]).json()["publishers"]:
            assert shared.send("DELETE", f"/publishers/{publisher['id']}", shared.tokens["admin"]).status_code == 204


@contextmanager
def opened(tmp_path: Path) -> Iterator[Site]:
    """A site with everything that it needs."""
    issuers = [Issuer(), Issuer()]
    with Origin() as one, Origin() as two:
        for issuer, origin in zip(issuers, (one, two), strict=True):
            issuer.serve(origin)
        file = tmp_path / "issuers.toml"
        file.write_text(SEVERAL.format(corp=issuers[0].url, ci=issuers[1].url))
        text = (
            f"[identity]\npipeline = oidc, token_file\n[oidc]\nissuers = {file}\npublisher_time = 0.2\n"
            "publishers_per_project = 3\nkey_interval = 1\n"
        )
        with running(tmp_path, text) as glare:
            tokens = TokenFile(glare.settings.identity.token_file)
            made = {
                "manager": tokens.create("images", "mia", ("member", "manager"))[0],
                "member": tokens.create("images", "max", ("member",))[0],
                "other": tokens.create("others", "oda", ("member", "manager"))[0],
                "admin": tokens.create("cloud", "root", ("admin",))[0],
            }
            second = build_services(glare.settings)
            with TestClient(create_application(glare.settings, with_worker=False, services=second)) as node:
                yield Site([glare.client, node], issuers[0], issuers[1], [one, two], made, tmp_path / "glare.conf")
            close(second)


def test_a_signed_token_lets_in_and_a_wrong_one_is_401_with_the_ways_in(site: Site) -> None:
    """The artifact belongs to the project that the rules make of the claims, on both nodes."""
    token = site.corp.token(groups=["red"])
    answer = site.publish(token, None)
    assert answer.status_code == 201, answer.text
    assert answer.json()["owner"] == "corp:red"
    assert site.send("GET", f"/artifacts/images/{answer.json()['id']}", token, 1).status_code == 200
    for wrong in (site.corp.token(aud="nova"), "eyJhbGciOiJub25lIn0.e30.", site.corp.token(groups=[])):
        refused = site.publish(wrong, None)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert site.send("GET", "/schemas", site.tokens["member"]).status_code == 200, "the other source works beside it"


def test_an_issuer_that_is_down_is_503_for_new_keys_and_nothing_for_known_ones(tmp_path: Path) -> None:
    """With Retry-After; and known tokens go on. Other sources do not notice."""
    with opened(tmp_path) as site:
        take_down(site)


def take_down(site: Site) -> None:
    """The issuer goes away, and with it what needs new keys."""
    token = site.corp.token()
    assert site.publish(token, None).status_code == 201
    site.origins[0].stop()
    assert site.publish(token, None).status_code == 201
    assert site.publish(site.corp.token(sub="bob"), None).status_code == 201
    site.corp.rotate()
    time.sleep(1.1)
    refused = site.publish(site.corp.token(), None)
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["Retry-After"]) >= 1
    assert site.send("GET", "/schemas", site.tokens["member"]).status_code == 200


def test_a_build_publishes_without_a_secret(site: Site) -> None:
    """What a manager registers holds on all nodes: for these claims, in this project, and nowhere else."""
    assert site.publish(site.build(), "images").status_code == 401
    publisher = site.registered(description="the app")
    assert publisher["project"] == "images"
    assert publisher["roles"] == ["member"]
    for node in (0, 1):
        answer = site.publish(site.build(jti=str(node)), "images", node)
        assert answer.status_code == 201, answer.text
        assert answer.json()["owner"] == "images"
    for token, project in [
        (site.build(), None),
        (site.build(), "others"),
        (site.build(repository_id="8"), "images"),
        (site.build(repository_id=None), "images"),
        (site.build(ref="refs/heads/a/b"), "images"),
        (site.build(aud="https://github.com/acme"), "images"),
    ]:
        assert site.publish(token, project).status_code == 401


def test_a_deleted_publisher_is_refused_on_all_nodes_within_seconds(site: Site) -> None:
    """The token itself is as good as before."""
    publisher = site.registered()
    token = site.build()
    for node in (0, 1):
        assert site.publish(token, "images", node).status_code == 201
    gone = site.send("DELETE", f"/publishers/{publisher['id']}", site.tokens["manager"])
    assert gone.status_code == 204
    time.sleep(0.3)
    for node in (0, 1):
        assert site.publish(token, "images", node).status_code == 401
    assert site.send("DELETE", f"/publishers/{publisher['id']}", site.tokens["manager"]).status_code == 404


def test_what_a_build_may_do_is_bounded(site: Site) -> None:
    """By the roles of its publisher: it registers no publishers, takes nothing down, and sees no audit log."""
    site.registered()
    headers = {"X-Glare-Project": "images"}
    body = {"issuer": "ci", "claims": {"repository_id": "9"}}
    assert site.send("POST", "/publishers", site.build(), json=body, headers=headers).status_code == 403
    assert site.send("GET", "/audit", site.build(), headers=headers).status_code == 403


def test_a_build_makes_no_credentials_that_outlive_it(site: Site) -> None:
    """Neither tokens nor publishers, also where it has all roles of who registered it and no other bounds."""
    site.registered(roles=["member", "manager"])
    headers = {"X-Glare-Project": "images"}
    for path, body in (("/tokens", {}), ("/publishers", {"issuer": "ci", "claims": {"repository_id": "9"}})):
        refused = site.send("POST", path, site.build(), json=body, headers=headers)
        assert refused.status_code == 403, f"{path}: {refused.status_code} {refused.text}"
        assert site.send("GET", path, site.build(), headers=headers).status_code == 200
        assert site.send("POST", path, site.tokens["manager"], json=body).status_code == 201


def test_somebody_elses_repository_gets_nothing_out_of_its_builds(site: Site) -> None:
    """Who registers the repository of another team gets none of its artifacts: builds name their project."""
    site.registered("other")
    site.registered("manager")
    assert site.publish(site.build(), None).status_code == 401
    assert site.publish(site.build(), "images").json()["owner"] == "images"


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"claims": {"repository": "acme/app"}}, 400, "repository_id, repository_owner_id exactly"),
        ({"claims": {"repository_id": "*"}}, 400, "exactly"),
        ({"claims": {"repository_id": "7", "ref": "***"}}, 400, "three stars"),
        ({"claims": {"repository_id": "7", "/a~b": "x"}}, 400, "JSON pointer"),
        ({"claims": {}}, 400, "claims"),
        ({"claims": {"repository_id": 7}}, 400, "claims"),
        ({"claims": {f"c{number}": "x" for number in range(17)}}, 400, "claims"),
        ({"issuer": "corp"}, 400, "'corp', which is no issuer that publishes here; there are ci"),
        ({"issuer": "../x"}, 400, "issuer"),
        ({"roles": ["admin"]}, 403, "you do not have that role"),
        ({"roles": ["auditor"]}, 403, "you do not have that role"),
        ({"roles": []}, 400, "roles"),
        ({"types": ["nonsense"]}, 400, "'nonsense', which is no type here"),
        ({"types": ["all"]}, 400, "'all', which is no type here"),
        ({"names": []}, 400, "names"),
        ({"secret": "x"}, 400, "secret"),
    ],
)
def test_what_cannot_be_a_publisher_is_refused(site: Site, changes: Json, status: int, says: str) -> None:
    """With the member, and what it must be."""
    answer = site.register(**changes)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_who_manages_a_project_registers_and_others_do_not(site: Site) -> None:
    """Members see them; other projects see none of it; an administrator gives any role but its own."""
    assert site.register("member").status_code == 403
    publisher = site.registered(roles=["manager", "reader"], types=["images"], names=["app-*"])
    path = f"/publishers/{publisher['id']}"
    assert site.send("GET", path, site.tokens["member"]).json() == publisher
    assert site.send("GET", "/publishers", site.tokens["member"]).json()["publishers"] == [publisher]
    assert site.send("DELETE", path, site.tokens["member"]).status_code == 403
    for method in ("GET", "DELETE"):
        assert site.send(method, path, site.tokens["other"]).status_code == 404
    assert site.send("GET", "/publishers?project=images", site.tokens["other"]).status_code == 403
    assert site.send("GET", "/publishers?project=images", site.tokens["admin"]).json()["publishers"] == [publisher]
    assert site.register("admin", roles=["admin"]).status_code == 403
    assert site.register("admin", roles=["auditor"]).status_code == 201
    assert (
        site.send(
            "GET", "/publishers", site.tokens["member"], headers={"OpenStack-API-Version": "artifact 1.2"}
        ).status_code
        == 404
    )


def test_a_project_has_so_many_publishers(site: Site) -> None:
    """And one more when one is deleted; other projects have their own."""
    made = [site.registered() for _ in range(3)]
    assert site.register().status_code == 409
    site.registered("other")
    page = site.send("GET", "/publishers?limit=2", site.tokens["manager"]).json()
    assert [one["id"] for one in page["publishers"]] == [made[2]["id"], made[1]["id"]]
    rest = site.send("GET", page["next"], site.tokens["manager"]).json()
    assert [one["id"] for one in rest["publishers"]] == [made[0]["id"]]
    assert site.send("DELETE", f"/publishers/{made[1]['id']}", site.tokens["manager"]).status_code == 204
    site.registered()
    assert site.register().status_code == 409


def test_the_audit_log_has_who_let_in_whom_and_what_builds_did(site: Site) -> None:
    """Registration and deletion with the claims; artifacts with the name of the build."""
    publisher = site.registered()
    assert site.publish(site.build(), "images").status_code == 201
    site.send("DELETE", f"/publishers/{publisher['id']}", site.tokens["manager"])
    entries = site.send("GET", "/audit", site.tokens["admin"]).json()["audit"]
    found = {entry["action"]: entry for entry in reversed(entries)}
    assert found["publisher_create"]["user"] == "mia"
    assert found["publisher_create"]["target"] == publisher["id"]
    assert found["publisher_create"]["detail"]["claims"] == publisher["claims"]
    assert found["publisher_delete"]["detail"]["issuer"] == "ci"
    assert found["create"]["user"] == "ci:repo:acme/app:ref:refs/heads/main"
    assert (found["create"]["source"], found["create"]["credential"]) == ("oidc", f"publisher:{publisher['id']}")
    [mine] = site.send("GET", f"/audit?credential=publisher:{publisher['id']}", site.tokens["admin"]).json()["audit"]
    assert mine["action"] == "create"


def test_the_commands_do_the_same_and_explain_a_token(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an operator registers on the command line holds for a running service."""

    def run(*words: str) -> tuple[int, str]:
        status = main([*words, "--config-file", str(site.configuration)])
        return status, capsys.readouterr().out

    builds = ("--issuer=ci", "--claim=repository_id=7", "--role=reader")
    status, made = run("publishers", "add", "--project=images", *builds)
    assert status == 0
    token = site.build()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"Bearer {token}\n"))
    status, said = run("identity", "explain", "--project", "images")
    assert status == 0, said
    assert f"publisher {made.strip()} of project 'images'" in said
    file = site.configuration.with_name("token.jwt")
    file.write_text(site.build(repository_id="8"))
    status, said = run("identity", "explain", "--token", str(file), "-o", "json")
    assert status == 1
    assert json.loads(said)[-1]["step"] == "caller"
    assert token not in said
    status, said = run("publishers", "list", "-o", "json")
    assert [one["id"] for one in json.loads(said)] == [made.strip()]
    assert site.publish(token, "images").status_code != 401
    assert run("publishers", "remove", made.strip())[0] == 0
    time.sleep(0.3)
    assert site.publish(token, "images").status_code == 401
    assert run("publishers", "add", "--project", "p", "--issuer", "ci", "--claim", "ref")[0] == 1


def test_a_link_of_a_build_ends_with_its_publisher(site: Site) -> None:
    """It outlives the token of the build, which lasts for minutes; both nodes follow it, and neither does at once when
    the publisher is gone, nor shows it.
    """
    publisher = site.registered(claims={"repository_id": "7"}, types=["images"], names=["app-*"])
    build = site.build()
    made = site.publish(build, "images")
    assert made.status_code == 201, made.text
    headers = {"X-Glare-Project": "images", "Content-Type": "application/octet-stream"}
    path = f"/artifacts/images/{made.json()['id']}/image"
    assert site.send("PUT", path, build, content=b"bytes", headers=headers).status_code == 200
    asked = {"artifact": made.json()["id"], "blob": "image"}
    answer = site.send("POST", "/links", build, json=asked, headers={"X-Glare-Project": "images"})
    assert answer.status_code == 201, answer.text
    link, address = answer.json(), urlsplit(answer.json()["url"]).path
    lasts = moment.read(link["expires_at"]) - moment.read(link["created_at"])
    assert lasts == 86400 * SECOND
    manager = site.tokens["manager"]
    assert [site.send("GET", address, None, node).status_code for node in (0, 1)] == [200, 200]
    assert site.send("DELETE", f"/publishers/{publisher['id']}", manager).status_code == 204
    assert [site.send("GET", address, None, node).status_code for node in (0, 1)] == [404, 404]
    assert link["id"] not in site.send("GET", "/links", manager).text
