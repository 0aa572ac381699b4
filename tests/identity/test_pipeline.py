"""Several sources in one pipeline."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from glare.app.identity_sources import SOURCES
from glare.domain.actor import ANONYMOUS, Actor
from glare.errors import BadRequest, GlareError, Unauthorized, Unavailable
from glare.identity.base import UNDECIDED, Credentials
from glare.identity.pipeline import Pipeline
from glare.identity.token_file import TokenFile, TokenFileSource
from glare.settings.declare import options_of
from glare.settings.options.callers import IdentitySettings
from support.identities import Asked, decided

ANN = Actor("ann", "p1", frozenset({"member"}))
BOB = Actor("bob", "p2", frozenset({"member"}))


def sent(token: str, **more: str) -> Credentials:
    return Credentials({"x-auth-token": token, **more}, "127.0.0.1")


def raising(error: GlareError) -> Asked:
    def refuse(token: str) -> Actor:
        raise error

    return Asked("a-", refuse)


def test_the_first_source_that_takes_the_credentials_decides() -> None:
    """Each source gets what has its form, in the configured order, and no other is asked then."""
    first, second = Asked("a-", lambda _: ANN), Asked("", lambda _: BOB)
    pipeline = Pipeline([first, second])
    assert pipeline.known(sent("a-1")) is UNDECIDED
    assert decided(pipeline, sent("a-1")) == ANN
    assert decided(pipeline, sent("b-1")) == BOB
    assert [len(first.asked), len(second.asked)] == [1, 1]


@pytest.mark.parametrize("error", [Unauthorized("no"), Unavailable("not now")])
def test_what_one_source_refuses_no_other_accepts(error: GlareError) -> None:
    """Neither a refusal nor a source that is down opens the door of the next source, or makes a caller anonymous."""
    other = Asked("", lambda _: BOB)
    pipeline = Pipeline([raising(error), other], allow_anonymous=True)
    with pytest.raises(type(error)):
        decided(pipeline, sent("a-1"))
    assert other.asked == []


def test_a_token_that_no_source_takes_is_refused() -> None:
    """It is 401 with every remedy, also where the anonymous reader is welcome; without credentials one is that."""
    pipeline = Pipeline(
        [Asked("a-", lambda _: ANN), Asked("b-", lambda _: BOB, remedy="Or ask.")], allow_anonymous=True
    )
    with pytest.raises(Unauthorized, match=r"not known here.*Send a token of this test.*Or ask") as raised:
        decided(pipeline, sent("c-1"))
    assert "c-1" not in raised.value.message
    assert decided(pipeline, Credentials({}, None)) is ANONYMOUS


def test_no_credentials_are_refused_with_the_ways_in() -> None:
    """The challenges of all sources come with the refusal, each once; RFC 6750 wants to be told of a wrong token."""
    keystone = Asked("k-", lambda _: ANN, challenges=('Keystone uri="https://keystone.example"',))
    pipeline = Pipeline([keystone, Asked("a-", lambda _: ANN), Asked("b-", lambda _: ANN)])
    with pytest.raises(Unauthorized) as raised:
        decided(pipeline, Credentials({}, None))
    assert raised.value.challenges == ('Keystone uri="https://keystone.example"', 'Bearer realm="test"')
    with pytest.raises(Unauthorized) as raised:
        decided(pipeline, sent("c-1"))
    assert raised.value.challenges == (
        'Keystone uri="https://keystone.example"',
        'Bearer realm="test", error="invalid_token"',
    )


def test_two_tokens_that_differ_are_refused() -> None:
    """Whoever stands before the service may have looked at the other one."""
    pipeline = Pipeline([Asked("", lambda _: ANN)])
    with pytest.raises(BadRequest, match="different tokens"):
        decided(pipeline, sent("a", authorization="Bearer b"))
    assert decided(pipeline, sent("a", authorization="Bearer a")) == ANN
    assert decided(pipeline, sent("a", authorization="Basic YTpi")) == ANN


def test_a_source_that_has_fallen_silent_leaves_threads_to_others() -> None:
    """As many as may wait for it do; one more is told to come back, and callers of another source are decided."""
    go_on, waiting = threading.Event(), threading.Semaphore(0)

    def silent(token: str) -> Actor:
        waiting.release()
        assert go_on.wait(30)
        return ANN

    pipeline = Pipeline([Asked("a-", silent, name="silent"), Asked("b-", lambda _: BOB)], at_most=2, patience=0.01)
    with ThreadPoolExecutor(4) as threads:
        first = [threads.submit(pipeline.decide, sent(f"a-{number}")) for number in range(2)]
        for _ in first:
            assert waiting.acquire(timeout=30)
        with pytest.raises(Unavailable, match="'silent', which answers slowly"):
            pipeline.decide(sent("a-3"))
        assert pipeline.decide(sent("b-1")) == BOB
        go_on.set()
        assert [one.result(30) for one in first] == [ANN, ANN]
    assert pipeline.decide(sent("a-4")) == ANN


def test_an_unknown_token_of_a_file_is_the_next_sources(tmp_path: Path) -> None:
    """What is not in the file may stand elsewhere; an expired token is refused at once."""
    file = TokenFile(tmp_path / "tokens.json")
    token, record = file.create("p1", "ann", ("member",), expires_in=60)
    assert record.expires is not None
    ends = record.expires.timestamp()
    after = Asked("", lambda _: BOB)
    assert decided(Pipeline([TokenFileSource(file), after]), sent(token)) == ANN
    assert decided(Pipeline([TokenFileSource(file), after]), sent("glare_other")) == BOB
    with pytest.raises(Unauthorized, match="has expired"):
        decided(Pipeline([TokenFileSource(file, clock=lambda: ends), after]), sent(token))


def test_every_source_of_the_table_can_be_chosen() -> None:
    """The choices of the option are the entries of the table."""
    [option] = [declared.option for declared in options_of(IdentitySettings) if declared.name == "pipeline"]
    for name in SOURCES:
        assert option.kind.parse(name) == (name,)
    assert option.kind.words.startswith(f"one or more of {', '.join(SOURCES)},")
