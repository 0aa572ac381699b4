"""A redirector sends its visitors to one of several mirrors, and not all of them are well."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from glare.egress.asked import Asked
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.errors import Blocked, Cause, LocationRefused, OriginFailed
from support.origins.crooked import Crooked, Visit
from support.origins.egress import quick, resolve
from support.origins.hostile import Hostile
from support.origins.origin import Origin


class Redirector:
    """Sends visitors round over `targets`."""

    def __init__(self, *targets: str) -> None:
        self.targets = targets
        self.visits = 0

    def __call__(self, visit: Visit) -> None:
        self.visits += 1
        visit.head(302, Location=self.targets[(self.visits - 1) % len(self.targets)], Content_Length=0)


@pytest.fixture
def crooked() -> Iterator[Crooked]:
    with Crooked(Redirector("/")) as server:
        yield server


@pytest.fixture
def client(crooked: Crooked, origin: Origin, hostile: Hostile) -> EgressClient:
    origin.put("/a", b"12345")
    ports = (crooked.port, origin.port, hostile.port, 80)
    return EgressClient(quick(*ports, answer_seconds=0.5, connect_seconds=0.5), resolve=resolve)


def answered(behaviour: str) -> Callable[[Hostile], str]:
    """A mirror that is there and misbehaves."""
    return lambda hostile: hostile.url(behaviour)


BROKEN: dict[str, Callable[[Hostile], str]] = {
    **{name: answered(name) for name in ("missing", "silent", "hang_up", "not_http", "gzipped", "no_length")},
    "closed": lambda _: "http://127.0.0.1:80/",
    "forbidden": lambda _: "http://10.0.0.1/",
    "unknown": lambda _: "http://unknown.test.example/",
    "no URL": lambda _: "ftp://127.0.0.1/",
}


@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_the_next_mirror_has_it(
    client: EgressClient, crooked: Crooked, origin: Origin, hostile: Hostile, broken: str
) -> None:
    """Whatever fails behind a redirect is asked for once more from the start, where another mirror may be given."""
    redirector = Redirector(BROKEN[broken](hostile), origin.url("/a"))
    crooked.behave = redirector
    with client.open(client.parse(crooked.url)) as response:
        assert response.read(10) == b"12345"
    assert redirector.visits == 2


@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_once_and_no_more(client: EgressClient, crooked: Crooked, hostile: Hostile, broken: str) -> None:
    """The second failure is the answer. The redirector sees as many visits, whatever kept the mirror out of reach."""
    crooked.behave = redirector = Redirector(BROKEN[broken](hostile))
    with pytest.raises((OriginFailed, LocationRefused)):
        client.open(client.parse(crooked.url))
    assert redirector.visits == 2


def test_any_status_is_wanted(client: EgressClient, crooked: Crooked, hostile: Hostile, origin: Origin) -> None:
    """Whoever wants the status of the answer, as a check does, gets that of the second mirror."""
    crooked.behave = Redirector(hostile.url("missing"), origin.url("/a"), hostile.url("missing"))
    url = client.parse(crooked.url)
    with client.open(url, Asked(statuses=None)) as response:
        assert response.status == 200
    crooked.behave = Redirector(hostile.url("missing"))
    with client.open(url, Asked(statuses=None)) as response:
        assert response.status == 404


def test_what_fails_at_once_is_not_repeated(client: EgressClient, hostile: Hostile) -> None:
    """An origin that fails by itself is asked once."""
    for behaviour in ("missing", "loop"):
        with pytest.raises(OriginFailed):
            client.open(client.parse(hostile.url(behaviour)))
    assert (hostile.visits("missing"), hostile.visits("loop")) == (1, 4)


def test_a_takedown_is_final(crooked: Crooked, origin: Origin) -> None:
    """A redirect to what is taken down is not tried again."""
    crooked.behave = redirector = Redirector(origin.url("/a"))
    client = EgressClient(quick(crooked.port, origin.port), blocked=lambda url: "t1" if url.target == "/a" else None)
    with pytest.raises(Blocked):
        client.open(client.parse(crooked.url))
    assert redirector.visits == 1


def test_who_has_gone_is_not_served_again(client: EgressClient, crooked: Crooked, hostile: Hostile) -> None:
    """A request that was cancelled while a mirror was waited for is not sent again."""
    cancellation = Cancellation()
    redirector = Redirector(hostile.url("silent"))

    def behave(visit: Visit) -> None:
        redirector(visit)
        cancellation.cancel()

    crooked.behave = behave
    with pytest.raises(OriginFailed):
        client.open(client.parse(crooked.url), cancellation=cancellation)
    assert redirector.visits == 1


def test_each_attempt_is_logged(
    client: EgressClient, crooked: Crooked, hostile: Hostile, origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    """The operator sees the failure that the caller does not."""
    caplog.set_level(logging.INFO, "glare.egress")
    crooked.behave = Redirector(hostile.url("missing"), origin.url("/a"))
    client.open(client.parse(crooked.url)).close()
    reported = [(vars(record)["egress"]["outcome"], vars(record)["egress"]["hop"]) for record in caplog.records]
    assert reported == [("redirected", 0), ("failed", 1), ("redirected", 0), ("abandoned", 1)]


def test_the_cause_is_told(client: EgressClient, crooked: Crooked) -> None:
    """A redirect that cannot be followed says why, and nothing of the target."""
    crooked.behave = Redirector("ftp://s3cr3t.example/")
    with pytest.raises(OriginFailed, match="scheme is none of http, https") as caught:
        client.open(client.parse(crooked.url))
    assert caught.value.cause is Cause.POLICY
    assert "s3cr3t" not in caught.value.message
