"""Downloads of origins that break off, stall, or send less than they were asked for: what can be had of them is had,
within bounds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from glare.digest import BLOCK
from glare.egress.cancellation import Cancellation
from glare.operations.locations.jobs import do_next
from support.conversation import Answer, Conversation
from support.origins.crooked import Asked, Behaviour, Crooked, Visit, honest
from support.runs.clock import Clock
from support.service import LOCATION, Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite

BLOCKS = 6
DATA = random.Random(165).randbytes((BLOCKS - 1) * BLOCK + 77)
V2 = {"OpenStack-API-Version": "artifact 1.2"}
PATIENT = "header_deadline = 20\ntotal_time = 60\nanswer_timeout = 15\nhurry = 0.2\nresumptions = 8\n"


class Breaking:
    """Serves ranges, and closes the connection after so many bytes of each answer. `asked` lists what it was asked
    for.
    """

    def __init__(self, *bytes_of_answers: int, ranges: bool = True) -> None:
        self.asked: list[Asked | None] = []
        self._bytes = bytes_of_answers
        self._ranges = ranges

    def __call__(self, visit: Visit) -> None:
        asked = visit.asked(len(DATA)) if self._ranges else None
        self.asked.append(visit.asked(len(DATA)))
        first, last = asked or (0, len(DATA) - 1)
        if asked is None:
            visit.head(200, Content_Length=len(DATA))
        else:
            visit.head(206, Content_Length=last - first + 1, Content_Range=f"bytes {first}-{last}/{len(DATA)}")
        most = self._bytes[min(len(self.asked), len(self._bytes)) - 1]
        visit.send(DATA[first : min(last + 1, first + most)])


class InParts:
    """Answers a range with no more than `most` bytes of it, which RFC 9110 allows; a plain request is answered with a
    range's error.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.visits = 0

    def __call__(self, visit: Visit) -> None:
        self.visits += 1
        asked = visit.asked(len(DATA))
        if asked is None:
            honest(DATA[:BLOCK] + bytes(len(DATA) - BLOCK))(visit)  # One right block.
            return
        first, last = asked[0], min(asked[1], asked[0] + self.most - 1)
        visit.head(206, Content_Length=last - first + 1, Content_Range=f"bytes {first}-{last}/{len(DATA)}")
        visit.send(DATA[first : last + 1])


@pytest.fixture(scope="module")
def origins() -> Iterator[list[Crooked]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Crooked(honest(DATA))) for _ in range(3)]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, origins: list[Crooked]) -> Iterator[Glare]:
    ports = tuple(origin.port for origin in origins)
    with running(tmp_path_factory.mktemp("going-on"), PATIENT, ports=(80, 443, *ports)) as service:
        yield service
        assert service.services.fetches.live == 0


@pytest.fixture
def image(api: Glare, origins: list[Crooked], request: pytest.FixtureRequest) -> Json:
    """An active image with replicas at as many origins as the test says (one), which begins with a good memory of
    them.
    """
    replicas: int = getattr(request, "param", 1)
    found = api.alice.create("images", name=request.node.name, container_format="bare", disk_format="raw")
    for number, origin in enumerate(origins[:replicas]):
        origin.behave = honest(DATA)
        body = json.dumps({"url": origin.url}).encode()
        headers = {"Content-Type": LOCATION, **V2}
        answer = api.alice.request("PUT", f"{path_of(found)}/locations/{number}", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        api.services.egress.lately.worked(("host", "127.0.0.1", origin.port))
        origin.visits = 0
    return api.alice.activate(found)


def get(api: Glare, image: Json, **headers: str) -> Answer:
    """What a client receives, whether or not it is broken off."""
    with Conversation(api, "GET", f"{path_of(image)}/locations/0", {**V2, **headers}) as download:
        download.end()
        return download.answer()


def whole(answer: Answer) -> bool:
    return (answer.status, answer.complete, answer.body == DATA) == (200, True, True)


@pytest.mark.parametrize("at", [0, 1, 3])
def test_an_only_origin_that_breaks_once_is_asked_again_at_the_same_block(
    api: Glare, image: Json, origins: list[Crooked], at: int
) -> None:
    """The reader notices nothing, also where it happens in the first block, and nothing is fetched twice but a part of
    a block.
    """
    origins[0].behave = breaking = Breaking(at * BLOCK + 5, len(DATA))
    assert whole(get(api, image))
    assert breaking.asked == [None, (at * BLOCK, len(DATA) - 1) if at else None]


def test_an_origin_that_always_breaks_off_and_goes_on(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """With a block more each time a download ends well, however often it breaks."""
    origins[0].behave = breaking = Breaking(BLOCK + 100)
    assert whole(get(api, image))
    assert breaking.asked == [None, *((block * BLOCK, len(DATA) - 1) for block in range(1, BLOCKS - 1))]


def test_a_range_goes_on_too(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """The rest of a range is asked for within its bounds."""
    origins[0].behave = breaking = Breaking(BLOCK + 100)
    answer = get(api, image, Range=f"bytes={BLOCK + 7}-{3 * BLOCK}")
    assert (answer.status, answer.body) == (206, DATA[BLOCK + 7 : 3 * BLOCK + 1])
    assert breaking.asked == [(block * BLOCK, 4 * BLOCK - 1) for block in (1, 2, 3)]


def test_who_does_not_go_on_is_given_up(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """Twice in a row without a block ends it."""
    origins[0].behave = breaking = Breaking(2 * BLOCK, 10)
    answer = get(api, image)
    assert (answer.status, answer.complete, answer.body) == (200, False, DATA[: 2 * BLOCK])
    assert len(breaking.asked) == 2


def test_resumptions_are_bounded(
    api: Glare, image: Json, origins: list[Crooked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much an origin delivers between, it is not asked for ever."""
    origins[0].behave = breaking = Breaking(BLOCK)
    monkeypatch.setattr(api.services.egress, "settings", replace(api.services.egress.settings, resumptions=2))
    answer = get(api, image)
    assert (answer.complete, answer.body, len(breaking.asked)) == (False, DATA[: 3 * BLOCK], 3)


def test_an_origin_without_ranges_is_read_from_its_beginning_once_more(
    api: Glare, image: Json, origins: list[Crooked]
) -> None:
    """What was had is read again and dropped; but not for ever, since it costs the origin as much each time."""
    origins[0].behave = breaking = Breaking(2 * BLOCK, len(DATA), ranges=False)
    assert whole(get(api, image))
    assert len(breaking.asked) == 2
    origins[0].behave = breaking = Breaking(BLOCK, 2 * BLOCK, 3 * BLOCK, 4 * BLOCK, len(DATA), ranges=False)
    answer = get(api, image)
    assert (answer.complete, answer.body, len(breaking.asked)) == (False, DATA[: 3 * BLOCK], 3)


@pytest.mark.parametrize("status", [404, 403, 429, 503])
def test_what_was_refused_is_not_asked_again(api: Glare, image: Json, origins: list[Crooked], status: int) -> None:
    """An origin that has lost a file, or asks for a pause, is asked once."""
    origins[0].behave = lambda visit: visit.head(status, Content_Length=0)
    assert get(api, image).status == 502
    assert origins[0].visits == 1


def test_a_passing_error_is_asked_again(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """An origin or its proxy that fails once (500, 502, 504) has another chance."""

    def behave(visit: Visit) -> None:
        if origins[0].visits == 1:
            visit.head(502, Content_Length=0)
        else:
            honest(DATA)(visit)

    origins[0].behave = behave
    assert whole(get(api, image))


def test_a_wrong_mirror_is_followed_by_another_one(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """Where a redirect led to wrong bytes, the redirector is asked once more; an origin that has wrong bytes itself is
    not.
    """
    origins[1].behave = honest(bytes(len(DATA)))
    origins[2].behave = honest(DATA)
    targets = iter((origins[1].url, origins[2].url))
    origins[0].behave = lambda visit: visit.head(302, Location=next(targets), Content_Length=0)
    assert whole(get(api, image))
    origins[0].visits, origins[0].behave = 0, honest(bytes(len(DATA)))
    assert get(api, image).status == 502
    assert origins[0].visits == 1


@pytest.mark.parametrize("most", [BLOCK, 2 * BLOCK + 9, len(DATA)])
def test_an_origin_that_answers_ranges_in_parts(api: Glare, image: Json, origins: list[Crooked], most: int) -> None:
    """A 206 may hold a beginning of what was asked for (RFC 9110, 15.3.7): the rest is asked for then."""
    origins[0].behave = InParts(most)
    answer = get(api, image, Range=f"bytes={BLOCK}-")
    assert (answer.status, answer.body) == (206, DATA[BLOCK:])
    assert origins[0].visits == -(-(len(DATA) - BLOCK) // most)


def test_an_origin_that_answers_in_crumbs(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """Parts of less than a block are taken as often as a download may be resumed."""
    origins[0].behave = InParts(100)
    assert get(api, image, Range=f"bytes={BLOCK}-{BLOCK + 10}").status == 502
    assert origins[0].visits == 9


@pytest.mark.parametrize("image", [2], indirect=True)
def test_a_silent_replica_costs_little_and_is_asked_last(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """Who accepts and never answers is left after a short while for the next one, and not asked again by those who come
    soon.
    """
    origins[0].behave = lambda visit: visit.hold()
    Clock(api).forward(3600)  # The proofs are old enough for hints to be followed.
    for _ in range(4):
        assert whole(get(api, image))
    assert [origin.visits for origin in origins[:2]] == [1, 4]
    listed = api.alice.request("GET", f"/locations?artifact={image['id']}").json()["locations"]
    assert all(location["next_check_at"] for location in listed), (
        "being slow for who is in a hurry is no hint of a change"
    )


@pytest.mark.parametrize("image", [2], indirect=True)
def test_slow_replicas_are_asked_again_without_hurry(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """Where all are too slow for who could ask another one, the first of them is given its time."""

    def slow(visit: Visit) -> None:
        if visit.server.crooked.visits == 1:
            visit.hold()  # Longer than `hurry`.
        honest(DATA)(visit)

    for origin in origins[:2]:
        origin.behave = slow
    assert whole(get(api, image))
    assert [origin.visits for origin in origins[:2]] in ([2, 1], [1, 2])


@pytest.mark.parametrize("image", [2], indirect=True)
def test_what_has_delivered_is_asked_first_again(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """A replica that was away is not held back once it has delivered."""
    behaviours: list[Behaviour] = [honest(DATA), lambda visit: visit.head(404, Content_Length=0)]
    for origin, behave in zip(origins, reversed(behaviours), strict=False):
        origin.behave = behave
    assert whole(get(api, image))
    for origin, behave in zip(origins, behaviours, strict=False):
        origin.behave = behave
    assert whole(get(api, image))
    origins[1].behave = honest(DATA)
    assert whole(get(api, image))
    assert [origin.visits for origin in origins[:2]] == [3, 2]


def test_a_promotion_goes_on(api: Glare, image: Json, origins: list[Crooked]) -> None:
    """A copy into a store continues at the block where its only origin broke off."""
    origins[0].behave = breaking = Breaking(2 * BLOCK)
    [location] = api.alice.request("GET", f"/locations?artifact={image['id']}").json()["locations"]
    assert api.alice.request("POST", f"/locations/{location['id']}/promotion").status_code == 202
    assert do_next(api.services, Cancellation()) is not None
    reported = api.alice.request("GET", f"/locations/{location['id']}/promotion").json()["promotion"]
    assert reported["status"] == "done", reported
    assert [asked and asked[0] for asked in breaking.asked] == [None, 2 * BLOCK, 4 * BLOCK]
