"""The keys of an issuer: when they are asked for, and when not."""

from __future__ import annotations

import threading

import pytest

from glare.errors import OriginFailed, Unavailable
from glare.identity.oidc.discovery import jwks_uri
from glare.identity.oidc.keys import Keys, KeysUnusable, Rhythm, read_keys
from support.oidc import Clock, Issuer

RHYTHM = Rhythm(interval=30, fresh=900, most_age=86400, patience=5, most_waiting=2)
FAILED = OriginFailed("The origin is away.", reason="away")


class Stage:
    """An issuer, its keys as a verifier has them, and a clock."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.clock = Clock()
        self.keys = Keys("corp", lambda: self.issuer.get(f"{self.issuer.url}/jwks"), RHYTHM, self.clock)

    @property
    def newest(self) -> str | None:
        return self.issuer.keys[-1][1].kid

    def has(self, kid: str | None) -> bool:
        return self.keys.find(kid, "ES256") is not None

    @property
    def asked(self) -> int:
        return len(self.issuer.asked)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_keys_are_fetched_when_the_first_token_comes_and_then_kept(stage: Stage) -> None:
    """Not before, and not for each token."""
    assert stage.asked == 0
    for _ in range(5):
        assert stage.has(stage.newest)
    assert stage.asked == 1


def test_an_unknown_key_is_asked_for_once_in_an_interval(stage: Stage) -> None:
    """However many forged names come, and whatever they are."""
    assert stage.has(stage.newest)
    for number in range(100):
        assert not stage.has(f"forged-{number}")
    assert stage.asked == 1
    stage.clock.now += 31
    for number in range(100):
        assert not stage.has(f"forged-{number}")
    assert stage.asked == 2


def test_a_new_key_is_found_and_an_old_one_ends(stage: Stage) -> None:
    """Rotation: the new key with the next question, the withdrawn one is not used after that."""
    old = stage.newest
    assert stage.has(old)
    stage.issuer.rotate()
    stage.clock.now += 31
    assert stage.has(stage.newest)
    assert not stage.has(old)


def test_a_withdrawn_key_ends_when_keys_are_due(stage: Stage) -> None:
    """Also where no token names another key."""
    old = stage.newest
    assert stage.has(old)
    stage.issuer.rotate()
    stage.clock.now += 899
    assert stage.has(old)
    stage.clock.now += 2
    assert not stage.has(old)


def test_known_keys_go_on_while_the_issuer_is_down(stage: Stage) -> None:
    """For a day; a key that is not known is 503 meanwhile, since nobody can tell. The issuer is asked once an
    interval.
    """
    assert stage.has(stage.newest)
    stage.issuer.down = FAILED
    stage.clock.now += 1000
    assert stage.has(stage.newest)
    with pytest.raises(Unavailable, match="'corp'") as unavailable:
        stage.has("new")
    assert 1 <= (unavailable.value.retry_after or 0) <= 30
    assert stage.asked == 2
    stage.clock.now += 86400
    with pytest.raises(Unavailable):
        stage.has(stage.newest)
    assert stage.asked == 3
    stage.issuer.down = None
    stage.clock.now += 31
    assert stage.has(stage.newest)


def test_an_issuer_that_was_never_reached_is_unavailable_and_then_there(stage: Stage) -> None:
    """503 until it answers, with one question an interval."""
    stage.issuer.down = FAILED
    for _ in range(10):
        with pytest.raises(Unavailable):
            stage.has(stage.newest)
    assert stage.asked == 1
    stage.issuer.down = None
    stage.clock.now += 30
    assert stage.has(stage.newest)


def test_an_issuer_that_sends_nonsense_is_as_one_that_is_down(stage: Stage) -> None:
    """What is no key set replaces none."""
    assert stage.has(stage.newest)
    stage.issuer.down = KeysUnusable("they are no JWK Set")
    stage.clock.now += 1000
    assert stage.has(stage.newest)
    for nonsense in (b"", b"[]", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AA"}]}'):
        with pytest.raises(KeysUnusable):
            read_keys(nonsense)


def test_a_token_without_a_key_name_is_good_where_there_is_one_key_only(stage: Stage) -> None:
    """With two it could be either: such an issuer has to name them."""
    assert stage.has(None)
    stage.issuer.rotate(keep=True)
    stage.clock.now += 1000
    assert not stage.has(None)


def test_one_thread_fetches_and_few_wait() -> None:
    """While the issuer is slow two more wait with it, and further ones are told to come again."""
    issuer, may_answer, begun = Issuer(), threading.Event(), threading.Event()

    def fetch() -> bytes:
        begun.set()
        assert may_answer.wait(20)
        return issuer.get("/jwks")

    keys = Keys("corp", fetch, RHYTHM)
    outcomes: list[bool] = []
    kid = issuer.keys[-1][1].kid
    threads = [threading.Thread(target=lambda: outcomes.append(keys.find(kid, "ES256") is not None)) for _ in range(3)]
    threads[0].start()
    assert begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    while keys.waiting < 2:
        threading.Event().wait(0.005)
    with pytest.raises(Unavailable):
        keys.find(kid, "ES256")
    may_answer.set()
    for thread in threads:
        thread.join(20)
    assert outcomes == [True, True, True]
    assert len(issuer.asked) == 1


def test_discovery_takes_the_document_of_the_very_issuer(stage: Stage) -> None:
    """One that names another issuer, even with a slash more, is not believed."""
    issuer = stage.issuer
    assert jwks_uri(issuer.url, issuer.get) == f"{issuer.url}/jwks"
    assert issuer.asked == [f"{issuer.url}/.well-known/openid-configuration"]
    with pytest.raises(KeysUnusable, match=r"that of the issuer 'https://issuer\.example'"):
        jwks_uri(issuer.url + "/", issuer.get)
    for nonsense in (b"", b"[]", b"{}", b'{"issuer": "https://issuer.example", "jwks_uri": 7}'):
        with pytest.raises(KeysUnusable):
            jwks_uri(issuer.url, {f"{issuer.url}/.well-known/openid-configuration": nonsense}.__getitem__)
