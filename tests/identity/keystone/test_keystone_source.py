"""What becomes of Keystone's tokens, with a real Keystone."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from glare.domain.actor import Actor
from glare.domain.limits import Limits
from glare.errors import Forbidden, GlareError, Unauthorized, Unavailable
from glare.identity.base import UNDECIDED, Credentials
from glare.identity.keystone.source import KeystoneSource
from glare.identity.pipeline import Pipeline
from glare.identity.token_file import TokenFile, TokenFileSource
from server_process import free_ports
from support.identities import decided
from support.programs.keystone import Account, Keystone, MakeSource, running_keystone
from support.programs.programs import find_program


def sent(token: str, method: str = "GET", path: str = "/artifacts/images", **more: str) -> Credentials:
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return Credentials({"x-auth-token": token, **headers}, "127.0.0.1", method, path)


def outcome(source: KeystoneSource, credentials: Credentials) -> str:
    """A word for what becomes of it."""
    try:
        return "nobody's" if source.decide(credentials) is None else "taken"
    except GlareError as error:
        return type(error).__name__


@pytest.fixture(scope="module")
def hasty(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """Makes tokens of the same Keystone that last ten seconds."""
    with running_keystone(tmp_path_factory.mktemp("hasty"), expiration=10, beside=keystone) as server:
        yield server


def test_a_member_is_known_afterwards(make_source: MakeSource, keystone: Keystone, alpha: str, ann: Account) -> None:
    """User, project, its domain and the roles are Keystone's; the next request asks nobody."""
    source = make_source()
    credentials = sent(keystone.token_of(ann, alpha))
    assert source.known(credentials) is UNDECIDED
    actor = source.decide(credentials)
    assert actor == Actor(ann.id, alpha, frozenset({"member", "reader"}), domain="default")
    assert (actor.source, actor.expires is not None and actor.expires > time.time()) == ("keystone", True)
    token = credentials.headers["x-auth-token"]
    seen = keystone.call("GET", "/auth/tokens", headers={"X-Auth-Token": token, "X-Subject-Token": token})
    assert actor.credential == seen["token"]["audit_ids"][0]
    assert source.known(credentials) == actor
    assert source.known(sent(" " + credentials.headers["x-auth-token"] + " ")) == actor
    assert source.challenges == (f'Keystone uri="{keystone.url}"',)
    storage = Credentials({"x-storage-token": credentials.headers["x-auth-token"]}, None)
    assert decided(Pipeline([source]), storage) == actor


def test_scopes(make_source: MakeSource, keystone: Keystone, alpha: str, ann: Account) -> None:
    """System scope is told, and only of the caller: a service with it lends it to nobody. No scope is no project."""
    source = make_source()
    keystone.grant(ann, "admin", None)
    system = keystone.token(ann.name, ann.password, scope={"system": {"all": True}})
    actor = source.decide(sent(system))
    assert actor is not None
    assert (actor.project, actor.system, actor.domain) == (None, True, None)
    assert "admin" in actor.roles
    unscoped = source.decide(sent(keystone.token(ann.name, ann.password, scope="unscoped")))
    assert unscoped == Actor(ann.id, None, frozenset())
    helper = keystone.user()
    keystone.grant(helper, "service", None)
    acting = keystone.token(helper.name, helper.password, scope={"system": {"all": True}})
    lent = source.decide(sent(keystone.token_of(ann, alpha), x_service_token=acting))
    assert lent is not None
    assert (lent.project, lent.system, lent.service_roles) == (alpha, False, frozenset({"service"}))


def test_who_administers_a_domain_administers_nothing_here(
    make_source: MakeSource, keystone: Keystone, ann: Account
) -> None:
    """A role in a domain holds in that domain only, and a token of it is refused with the remedy."""
    keystone.admin("PUT", f"/domains/default/users/{ann.id}/roles/{keystone.role('admin')}")
    source = make_source()
    credentials = sent(keystone.token(ann.name, ann.password, scope={"domain": {"id": "default"}}))
    for _ in range(2):
        with pytest.raises(Forbidden, match=r"of a domain.*log in to a project"):
            source.decide(credentials)
        assert source.known(credentials) is UNDECIDED


RULES = [
    ("GET", "/artifacts/images", "GET", "/artifacts/images", True),
    ("GET", "/artifacts/images", "PUT", "/artifacts/images", False),
    ("GET", "/artifacts/images", "HEAD", "/artifacts/images", False),
    ("GET", "/artifacts/images", "GET", "/artifacts/images/1", False),
    ("GET", "/artifacts/images/*", "GET", "/artifacts/images/1", True),
    ("GET", "/artifacts/images/*", "GET", "/artifacts/images/1/image", False),
    ("GET", "/artifacts/images/{id}/**", "GET", "/artifacts/images/1/image", True),
    ("GET", "/artifacts/images/**", "GET", "/artifacts/secrets/1", False),
]


def test_application_credentials(make_source: MakeSource, catalogued: Keystone, alpha: str, ann: Account) -> None:
    """One without rules is its user in its project, but for making credentials; one with rules is good for what they
    name, asked again each time, and one for another service is good for nothing.
    """
    source = make_source()
    made_with = catalogued.application_credential(ann, alpha)
    plain = source.decide(sent(catalogued.token_by(made_with)))
    limits = Limits(delegates=False)
    assert plain == Actor(ann.id, alpha, frozenset({"member", "reader"}), domain="default", limits=limits)
    assert plain.credential == made_with[0], "the audit log says with which"
    tokens: dict[tuple[str, str], str] = {}
    for method, pattern, asked, path, allowed in RULES:
        if (method, pattern) not in tokens:
            rule = {"method": method, "path": pattern, "service": "artifact"}
            tokens[method, pattern] = catalogued.token_by(catalogued.application_credential(ann, alpha, [rule]))
        credentials = sent(tokens[method, pattern], asked, path)
        assert source.known(credentials) is UNDECIDED
        assert outcome(source, credentials) == ("taken" if allowed else "Unauthorized"), (pattern, asked, path)
    other = [{"method": "GET", "path": "/artifacts/images", "service": "image"}]
    token = catalogued.token_by(catalogued.application_credential(ann, alpha, other))
    assert outcome(source, sent(token)) == "Unauthorized"


def test_an_expired_token_and_a_service(
    make_source: MakeSource, keystone: Keystone, hasty: Keystone, alpha: str, ann: Account
) -> None:
    """It is refused from the moment on when it ends, though it was known. With the token of a service that may act for
    others it is taken on: a long job goes on for whom it was begun.
    """
    source = make_source()
    assert outcome(source, sent(keystone.token_of(ann, alpha))) == "taken"  # Whoever asks first asks for longer.
    token = hasty.token_of(ann, alpha)
    actor = source.decide(sent(token))
    assert actor is not None
    assert actor.expires is not None
    while time.time() <= actor.expires:
        time.sleep(0.05)
    assert source.known(sent(token)) is UNDECIDED
    assert outcome(source, sent(token)) == "Unauthorized"
    service = keystone.token_of(keystone.member(alpha, "service"), alpha)
    acted = source.decide(sent(token, x_service_token=service))
    assert acted is not None
    assert (acted.project, acted.user, acted.service_roles) == (alpha, ann.id, frozenset({"service"}))
    assert source.known(sent(token, x_service_token=service)) == acted
    assert source.known(sent(token)) is UNDECIDED
    for wrong in (keystone.token_of(ann, alpha), "gAAAAwrong", "", "ü", "x" * 5000):
        assert outcome(source, sent(token, x_service_token=wrong)) == "Unauthorized", wrong
        assert outcome(source, sent(keystone.token_of(ann, alpha), x_service_token=wrong)) == (
            "taken" if wrong == "" else "Unauthorized"
        )


def test_a_revoked_token_ends_with_the_time_of_the_cache(
    make_source: MakeSource, keystone: Keystone, alpha: str, ann: Account
) -> None:
    """It is known for no longer than token_cache_time after Keystone was asked, however often it is used meanwhile."""
    source, forgetful = make_source(token_cache_time="2"), make_source(token_cache_time="-1")
    token = keystone.token_of(ann, alpha)
    for one in (source, forgetful):
        assert one.decide(sent(token)) is not None
    keystone.revoke(token)
    assert forgetful.known(sent(token)) is UNDECIDED
    assert outcome(forgetful, sent(token)) == "Unauthorized"
    asked = time.monotonic()
    while decided_or_none(source, token) is not None:
        assert time.monotonic() < asked + 60
        time.sleep(0.05)


def decided_or_none(source: KeystoneSource, token: str) -> Actor | None:
    try:
        return decided(Pipeline([source]), sent(token))
    except Unauthorized:
        return None


def jwt(**claims: object) -> str:
    """An unsigned token of this form."""
    parts = ({"alg": "ES256"}, claims)
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.c2ln"


def test_only_what_may_be_keystones_is_sent_to_it(make_source: MakeSource, tmp_path: Path) -> None:
    """Glare's own tokens and foreign JWTs are other sources'; of what may be Keystone's and is not, the form says whose
    it was meant to be.
    """
    source = make_source()
    for other in ("glare_abc", jwt(sub="x"), "a.b.c", "", "ü", "a b", "x" * 2049):
        assert source.known(sent(other)) is None, other
        assert outcome(source, sent(other)) == "nobody's"
    assert outcome(source, sent("gAAAAA" + "x" * 178)) == "Unauthorized"
    assert outcome(source, sent(jwt(openstack_methods=["password"]))) == "Unauthorized"
    assert outcome(source, sent("0123456789abcdef")) == "nobody's"
    assert outcome(source, Credentials({"x-storage-token": "0123456789abcdef"}, None)) == "Unauthorized"
    tokens = TokenFile(tmp_path / "tokens.json")
    token, _ = tokens.create("p1", "bob", ("member",))
    both = Pipeline([source, TokenFileSource(tokens)])
    assert decided(both, sent(token)).project == "p1"


def test_keystone_that_is_down(make_source: MakeSource, keystone: Keystone, alpha: str, ann: Account) -> None:
    """Who is known goes on, everybody else is told to come again, and no other source is asked about its tokens."""
    source = make_source(http_request_max_retries="0")
    known, unknown = (sent(keystone.token_of(ann, alpha)) for _ in range(2))
    actor = source.decide(known)
    keystone.stop()
    try:
        assert source.known(known) == actor
        for _ in range(2):
            with pytest.raises(Unavailable, match="retry later"):
                decided(Pipeline([source], allow_anonymous=True), unknown)
    finally:
        keystone.start()
    deadline = time.monotonic() + 60
    while outcome(source, unknown) == "Unavailable":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert outcome(source, unknown) == "taken"


def test_processes_share_what_memcached_holds(
    make_source: MakeSource, keystone: Keystone, alpha: str, ann: Account
) -> None:
    """What one process has asked no other asks again, also while Keystone is down; it is encrypted on its way."""
    [port] = free_ports(1)
    program = find_program("memcached")
    with subprocess.Popen([program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "nobody"]) as process:
        try:
            options = {
                "memcached_servers": f"127.0.0.1:{port}",
                "memcache_security_strategy": "ENCRYPT",
                "memcache_secret_key": "a key of this test",
                "http_request_max_retries": "0",
            }
            credentials = sent(keystone.token_of(ann, alpha))
            first, second = make_source(**options), make_source(**options)
            deadline = time.monotonic() + 60
            actor = first.decide(credentials)
            keystone.stop()
            try:
                while outcome(second, credentials) != "taken":
                    assert time.monotonic() < deadline
                assert second.known(credentials) == actor
            finally:
                keystone.start()
        finally:
            process.terminate()
            process.wait(30)
