"""Checks of origins that misbehave: no lie makes changed bytes look equal to a full check, and none costs much."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from glare.db import checks
from glare.db.checks import Target
from glare.digest import BLOCK
from glare.domain.verification import CheckKind, Outcome
from glare.egress.cancellation import Cancellation
from glare.operations.locations.check import check
from support.origins.hostile import BEHAVIOURS, CONTENT, Hostile
from support.service import Glare, running

pytestmark = pytest.mark.sqlite

QUICK = (
    "header_deadline = 0.6\nmax_redirects = 3\nmax_header_bytes = 8 KiB\nminimum_throughput = 1 MiB\ntotal_time = 1\n"
    "[verification]\nspot_blocks = 1\n"
)
WHOLE = {"choices", "no_length", "honest", "interim_once", "chunked", "odd_headers", "two_faced"}
"""Behaviours whose answer to a plain request is the whole content."""

SLOW = {"drip_headers", "drip_body", "stall", "interim_drip", "silent"}
"""One of each kind of waiting is enough."""


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with Hostile() as server:
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, hostile: Hostile) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("checks"), QUICK, ports=(80, 443, hostile.port)) as service:
        yield service


@pytest.fixture(scope="module")
def target(api: Glare, hostile: Hostile) -> Target:
    """What an honest origin was recorded with."""
    artifact = api.alice.create("sample_artifact", name="checked")
    api.alice.locate(artifact, "blob", hostile.url("honest"))
    [location] = api.alice.request("GET", "/locations").json()["locations"]
    with api.services.db.read() as connection:
        found = checks.find(connection, location["id"])
    assert found is not None
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()
    return found


@pytest.mark.parametrize("behaviour", sorted(set(BEHAVIOURS) - {"redirect", "endless_redirect"}))
def test_only_the_whole_content_is_proof(api: Glare, hostile: Hostile, target: Target, behaviour: str) -> None:
    """A full check is equal where every byte came, and else failed or changed, having read no more than the content and
    a little.
    """
    asked = replace(target, url=hostile.url(behaviour))
    if behaviour == "changing":
        assert check(api.services, asked, CheckKind.FULL, Cancellation()).outcome is Outcome.EQUAL
    finding = check(api.services, asked, CheckKind.FULL, Cancellation())
    assert (finding.outcome is Outcome.EQUAL) == (behaviour in WHOLE), finding
    assert finding.outcome in (Outcome.EQUAL, Outcome.CHANGED, Outcome.FAILED)
    assert (finding.reason is None) == (finding.outcome is Outcome.EQUAL)
    assert finding.bytes <= len(CONTENT) + BLOCK


@pytest.mark.parametrize("behaviour", sorted(set(BEHAVIOURS) - SLOW - {"redirect", "endless_redirect"}))
def test_cheap_checks_never_decide(api: Glare, hostile: Hostile, target: Target, behaviour: str) -> None:
    """Whatever an origin answers to them, they end with equal, suspect or failed, and read a block at most."""
    for kind in (CheckKind.CONDITIONAL, CheckKind.SPOT):
        finding = check(api.services, replace(target, url=hostile.url(behaviour)), kind, Cancellation())
        assert finding.outcome in (Outcome.EQUAL, Outcome.SUSPECT, Outcome.FAILED), finding
        assert finding.bytes <= BLOCK


def test_an_origin_with_two_faces_is_caught_by_blocks(api: Glare, hostile: Hostile, target: Target) -> None:
    """One that serves checkers the truth and readers of ranges something else is suspect to a spot check, which asks as
    readers do.
    """
    finding = check(api.services, replace(target, url=hostile.url("two_faced")), CheckKind.SPOT, Cancellation())
    assert (finding.outcome, finding.reason) == (Outcome.SUSPECT, "digest")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        *(
            ("missing", "gone"),
            ("short", "incomplete"),
            ("hang_up", "connect"),
            ("silent", "timeout"),
            ("stall", "timeout"),
        ),
        *(("gzipped", "protocol"), ("not_http", "protocol"), ("loop", "protocol"), ("long", "protocol")),
    ],
)
def test_reasons_say_what_was_wrong(api: Glare, hostile: Hostile, target: Target, behaviour: str, reason: str) -> None:
    """An operator reads why a check failed, or in what the origin differs."""
    finding = check(api.services, replace(target, url=hostile.url(behaviour)), CheckKind.FULL, Cancellation())
    assert finding.reason == reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://private.test.example/x", "policy"),
        ("http://unknown.test.example/x", "dns"),
        ("http://169.254.169.254/latest/meta-data", "policy"),
        ("http://127.0.0.1:1/x", "policy"),
    ],
)
def test_a_check_goes_nowhere_that_a_recording_may_not(api: Glare, target: Target, url: str, reason: str) -> None:
    """The egress policy of today holds, whatever was allowed when the location was recorded."""
    finding = check(api.services, replace(target, url=url), CheckKind.FULL, Cancellation())
    assert (finding.outcome, finding.reason) == (Outcome.FAILED, reason)
