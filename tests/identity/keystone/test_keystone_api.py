"""The service with Keystone, over HTTP."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.programs.keystone import Account, Keystone, running_keystone
from support.runs.midway import Midway
from support.server import Server
from support.service import Glare, running

KEYSTONE = "[identity]\npipeline = keystone\n"
PATIENT = "[api]\nbody_timeout = 60 s\n"


@pytest.fixture
def cloud(tmp_path: Path, catalogued: Keystone) -> Iterator[Glare]:
    """The service, which asks Keystone only."""
    with running(tmp_path, KEYSTONE + catalogued.authtoken()) as glare:
        yield glare


def test_projects_are_those_of_keystone(cloud: Glare, keystone: Keystone, alpha: str, ann: Account) -> None:
    """A member owns what it makes, a reader of its project sees it, another project does not, and the administrator of
    the system does what administrators do.
    """
    member = cloud.actor(keystone.token_of(ann, alpha))
    artifact = member.create("images", name="a")
    assert artifact["owner"] == alpha
    reader = cloud.actor(keystone.token_of(keystone.member(alpha, "reader"), alpha))
    assert reader.get(artifact).status_code == 200
    assert reader.request("POST", "/artifacts/images", json={"name": "r"}).status_code == 403
    assert reader.request("DELETE", f"/artifacts/images/{artifact['id']}").status_code == 403
    beta = keystone.project("beta")
    other = cloud.actor(keystone.token_of(keystone.member(beta, "member"), beta))
    assert other.get(artifact).status_code == 404
    system = keystone.user()
    keystone.grant(system, "admin", None)
    admin = cloud.actor(keystone.token(system.name, system.password, scope={"system": {"all": True}}))
    assert admin.request("GET", "/quotas").status_code == 200
    assert member.request("GET", "/quotas").status_code == 403


def test_headers_of_callers_have_no_say(cloud: Glare, keystone: Keystone, alpha: str, ann: Account) -> None:
    """Whoever claims to be an administrator of another project is who the token says."""
    token = keystone.token_of(ann, alpha)
    claims = {"X-Identity-Status": "Confirmed", "X-Roles": "admin", "X-Project-Id": "other", "X-User-Id": "root"}
    made = cloud.client.post("/artifacts/images", json={"name": "b"}, headers={"X-Auth-Token": token, **claims})
    assert (made.status_code, made.json()["owner"]) == (201, alpha)
    assert cloud.client.get("/quotas", headers={"X-Auth-Token": token, **claims}).status_code == 403
    assert cloud.client.get("/artifacts/images", headers=claims).status_code == 401


def test_a_refusal_names_keystone(cloud: Glare, keystone: Keystone) -> None:
    """A token that is none and none at all are 401 with Keystone's address, as clients of OpenStack read it."""
    for headers in ({}, {"X-Auth-Token": "gAAAAA" + "x" * 178}):
        refused = cloud.client.get("/artifacts/images", headers=headers)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == f'Keystone uri="{keystone.url}"'


def test_rules_of_access_hold_for_the_path_that_is_routed(
    cloud: Glare, keystone: Keystone, alpha: str, ann: Account
) -> None:
    """A credential for one path is good for no other one, however that is spelled."""
    artifact = cloud.actor(keystone.token_of(ann, alpha)).create("images", name="c")
    rules = [{"method": "GET", "path": "/artifacts/images/*", "service": "artifact"}]
    token = keystone.token_by(keystone.application_credential(ann, alpha, rules))
    one = f"/artifacts/images/{artifact['id']}"
    for path, status in (
        (one, 200),
        (f"{one}?x=/artifacts/images/1", 200),
        ("/artifacts/images", 401),
        ("/artifacts/images%2F" + artifact["id"], 200),
        (f"{one}/image", 401),
        (f"{one}%2Fimage", 401),
        ("/artifacts/all", 401),
    ):
        assert cloud.client.get(path, headers={"X-Auth-Token": token}).status_code == status, path
    assert cloud.client.delete(one, headers={"X-Auth-Token": token}).status_code == 401


def test_an_application_credential_makes_others_where_its_user_lets_it(
    cloud: Glare, keystone: Keystone, alpha: str, ann: Account
) -> None:
    """A token would outlive it, and be good for what its access rules do not name."""
    latest = {"OpenStack-API-Version": "artifact latest"}
    rules = [{"method": "POST", "path": "/tokens", "service": "artifact"}]
    for given, unrestricted, status in (
        (None, False, 403),
        (None, True, 201),
        (rules, False, 403),
        (rules, True, 403),
    ):
        credential = keystone.application_credential(ann, alpha, given, unrestricted=unrestricted)
        caller = cloud.actor(keystone.token_by(credential))
        answer = caller.request("POST", "/tokens", json={}, headers=latest)
        assert answer.status_code == status, f"{given} {unrestricted}: {answer.status_code} {answer.text}"


def test_an_application_credential_with_access_rules_makes_no_links(
    cloud: Glare, keystone: Keystone, alpha: str, ann: Account
) -> None:
    """A link would read what they do not name. One without rules makes a link, which anybody reads by who has it: of
    Keystone nothing is asked then.
    """
    plain = cloud.actor(keystone.token_by(keystone.application_credential(ann, alpha)))
    made = plain.upload(plain.create("images", name="linked"), "image", b"bytes")
    asked = {"artifact": made["id"], "blob": "image"}
    rules = [{"method": method, "path": "/**", "service": "artifact"} for method in ("GET", "POST")]
    ruled = cloud.actor(keystone.token_by(keystone.application_credential(ann, alpha, rules)))
    assert ruled.get(made).status_code == 200
    refused = ruled.request("POST", "/links", json=asked)
    assert (refused.status_code, "application credential" in refused.text) == (403, True)
    link = plain.request("POST", "/links", json=asked)
    assert link.status_code == 201, link.text
    assert cloud.client.get(urlsplit(link.json()["url"]).path).content == b"bytes"


def test_keystone_stops_and_starts_under_load(tmp_path: Path, keystone: Keystone, alpha: str, ann: Account) -> None:
    """Who is known goes on all the time; who is not is told to come again, and by and by is let in. Nobody hears
    anything else.
    """
    text = KEYSTONE + keystone.authtoken(http_request_max_retries="0")
    known = keystone.token_of(ann, alpha)
    unknown = [keystone.token_of(ann, alpha) for _ in range(6)]
    over = threading.Event()
    with Server(tmp_path, text) as server, ThreadPoolExecutor(4) as threads:
        server.client.timeout = 60  # A Keystone that has just started takes its time.
        assert server.actor(known).request("GET", "/artifacts/images").status_code == 200

        def ask_on() -> Counter[int]:
            counts: Counter[int] = Counter()
            while not over.is_set():
                counts[server.actor(known).request("GET", "/artifacts/images").status_code] += 1
                time.sleep(0.01)
            return counts

        asking = [threads.submit(ask_on) for _ in range(3)]
        try:
            keystone.stop()
            try:
                for token in unknown[:3]:
                    refused = server.actor(token).request("GET", "/artifacts/images")
                    assert refused.status_code == 503
                    assert int(refused.headers["Retry-After"]) > 0
            finally:
                keystone.start()
            deadline = time.monotonic() + 60
            for token in unknown:
                while (status := server.actor(token).request("GET", "/artifacts/images").status_code) == 503:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                assert status == 200
        finally:
            over.set()
        counts = sum((done.result() for done in asking), Counter())
        assert set(counts) == {200}
        assert not any(token in server.log for token in (known, *unknown))


@pytest.mark.timeout(600)
def test_what_was_let_in_ends_well(tmp_path: Path, keystone: Keystone, alpha: str, ann: Account) -> None:
    """As with every other source: an upload and a PATCH whose token ends meanwhile end with success, and the next
    request is 401, but for a service that goes on for who began.
    """
    options = KEYSTONE + keystone.authtoken() + PATIENT
    with (
        running_keystone(tmp_path / "hasty", expiration=10, beside=keystone) as hasty,
        Server(tmp_path, options) as server,
    ):
        server.client.timeout = 60  # A Keystone that has just started takes its time.
        first = server.actor(keystone.token_of(ann, alpha))  # Whoever asks first asks for longer.
        assert first.request("GET", "/artifacts/images").status_code == 200
        token = hasty.token_of(ann, alpha)
        under_way = Midway.of_token(server, token)
        under_way.wait_for_the_end()
        assert under_way.end() == (200, 200)
        service = keystone.token_of(keystone.member(alpha, "service"), alpha)
        goes_on = Midway(server, {"X-Auth-Token": token, "X-Service-Token": service})
        assert goes_on.end() == (200, 200)
        assert server.leftovers() == {}
