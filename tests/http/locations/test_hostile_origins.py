"""Recording from origins that misbehave: what the caller is told, and that nothing is left."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from support.origins.hostile import BEHAVIOURS, CONTENT, Hostile
from support.service import Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite  # What an origin sends is judged the same on each database.

QUICK = (
    "header_deadline = 1.5\nmax_redirects = 3\nmax_header_bytes = 8 KiB\nminimum_throughput = 1 MiB\ntotal_time = 1\n"
)
"""Options of [locations] that end slow origins soon."""

ACCEPTED = {"choices", "honest", "interim_once", "chunked", "odd_headers", "two_faced", "changing"}
"""Behaviours whose answer to a plain request is the whole content."""

TOO_LARGE = {"endless"}

ELSEWHERE = {"redirect", "endless_redirect"}
"""Behaviours with targets, which have tests of their own."""


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with Hostile() as server:
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, hostile: Hostile) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("hostile"), QUICK, ports=(80, 443, hostile.port)) as service:
        yield service
        assert service.leftovers() == {}


@pytest.fixture
def artifact(api: Glare, request: pytest.FixtureRequest) -> Json:
    """A drafted artifact of Alice's."""
    return api.alice.create("sample_artifact", name=request.node.name)


def tells_nothing(message: str, hostile: Hostile) -> bool:
    """Whether a message names no address, no port and no URL."""
    return not re.search(rf"\d+\.\d+\.\d+\.\d+|{hostile.port}|://|secret", message)


def refused(api: Glare, artifact: Json, hostile: Hostile, url: str, status: int = 400) -> str:
    """The message of a recording that is refused and leaves nothing."""
    response = api.alice.try_locate(artifact, "blob", url)
    assert response.status_code == status, response.text
    message: str = response.json()["error"]["message"]
    assert tells_nothing(message, hostile), message
    assert api.alice.show(artifact)["blob"] is None
    assert api.leftovers() == {}
    return message


@pytest.mark.parametrize("behaviour", sorted(set(BEHAVIOURS) - ACCEPTED - TOO_LARGE - ELSEWHERE))
def test_an_origin_that_does_not_deliver_its_content_whole_is_refused(
    api: Glare, hostile: Hostile, artifact: Json, behaviour: str
) -> None:
    """Truncated, padded, encoded, slow, silent, lying: 400 soon, with a message of no address, and nothing stored."""
    began = time.monotonic()
    assert "nothing was stored" in refused(api, artifact, hostile, hostile.url(behaviour))
    assert time.monotonic() - began < 5
    assert hostile.visits(behaviour) > 0


@pytest.mark.parametrize("behaviour", sorted(ACCEPTED))
def test_an_odd_origin_that_delivers_its_content_is_recorded(
    api: Glare, hostile: Hostile, artifact: Json, behaviour: str
) -> None:
    """Interim answers, chunks and headers of nonsense do no harm: what is recorded is what was measured."""
    blob = api.alice.locate(artifact, "blob", hostile.url(behaviour))["blob"]
    assert blob["size"] == len(CONTENT)
    expected = "image/qcow2" if behaviour in ("honest", "choices") else "application/octet-stream"
    assert blob["content_type"] == expected


@pytest.mark.parametrize("behaviour", sorted(TOO_LARGE))
def test_an_endless_body_is_cut_at_the_limit(api: Glare, hostile: Hostile, artifact: Json, behaviour: str) -> None:
    """A body that never ends is 413 as soon as the field's maximum is passed."""
    response = api.alice.try_locate(artifact, "small_blob", hostile.url(behaviour))
    assert response.status_code == 413
    assert api.alice.show(artifact)["small_blob"] is None


def test_a_claim_does_not_help_a_changed_origin(api: Glare, hostile: Hostile, artifact: Json) -> None:
    """An origin whose bytes are not the claimed ones is refused, whatever its ETag says."""
    response = api.alice.try_locate(artifact, "blob", hostile.url("changing"), sha256="0" * 64, size=len(CONTENT))
    assert response.status_code == 400
    assert api.alice.show(artifact)["blob"] is None


FORBIDDEN = [
    "http://10.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]/",
    "http://0.0.0.0/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:0a00:0001::]/",
    "http://168.63.129.16/",
    "http://167772161/",
    "http://0x0a000001/",
    "http://012.0.0.1/",
    "http://10.1/",
    "http://two.test.example/",
    "http://private.test.example/",
    "http://unknown.test.example/",
]
"""Addresses, in all spellings, and names that lead to them; and one that does not exist."""


@pytest.mark.parametrize("url", FORBIDDEN)
def test_a_forbidden_address_looks_like_one_that_is_not_there(
    api: Glare, hostile: Hostile, artifact: Json, url: str
) -> None:
    """A forbidden address, an unknown name and a closed port are refused with one message, after the same least
    time.
    """
    began = time.monotonic()
    message = refused(api, artifact, hostile, url)
    floor = api.settings.locations.refusal_floor
    assert time.monotonic() - began >= floor
    assert message == refused(api, artifact, hostile, "http://127.0.0.1:443/")


@pytest.mark.parametrize("url", FORBIDDEN)
@pytest.mark.parametrize("behaviour", sorted(ELSEWHERE))
def test_a_redirect_to_a_forbidden_address_is_not_followed(
    api: Glare, hostile: Hostile, artifact: Json, behaviour: str, url: str
) -> None:
    """Every hop is decided afresh."""
    refused(api, artifact, hostile, hostile.url(behaviour, to=url))


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://user:pw@127.0.0.1/", "http://127.0.0.1:22/", "//"]
)
def test_a_redirect_to_what_is_no_location_is_refused(
    api: Glare, hostile: Hostile, artifact: Json, target: str
) -> None:
    """Other schemes, credentials and closed ports are not reached through a redirect either."""
    refused(api, artifact, hostile, hostile.url("redirect", to=target))


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_an_allowed_redirect_is_followed_and_its_target_not_recorded(
    api: Glare, hostile: Hostile, artifact: Json, status: str
) -> None:
    """Redirects are followed, their bodies never read; what is recorded is the URL that was given."""
    for behaviour in sorted(ELSEWHERE):
        url = hostile.url(behaviour, to=hostile.url("honest", q="secret"), status=status)
        blob = api.alice.locate(artifact, "blob", url)["blob"]
        assert (blob["url"], blob["size"]) == (url, len(CONTENT))
        assert api.alice.download(artifact, "blob").content == CONTENT
        assert api.alice.request("DELETE", f"{path_of(artifact)}/blob").status_code == 200
