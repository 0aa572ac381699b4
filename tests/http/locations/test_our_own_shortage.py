"""What we have too little of is reported as our fault, and never counts against a location, a job or a subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from glare.egress.cancellation import Cancellation
from glare.errors import OutboundBusy
from glare.operations.locations.verify import verify_next
from support.runs.jobs import Working, working

NAME = "mirror.test.example"
DATA = bytes(range(256)) * 9000
DAY = 24 * 3600


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Working]:
    with working(tmp_path) as service:
        yield service


@contextmanager
def no_place(service: Working) -> Iterator[None]:
    """No name look-up gets a place inside the block."""

    def busy(*_: object, **__: object) -> None:
        raise OutboundBusy(retry_after=3)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.glare.services.egress.names, "_begin", busy)
        yield


@pytest.mark.sqlite
def test_a_reader_is_told_to_come_back(service: Working) -> None:
    """503 with Retry-After instead of 502, and the location is as good as it was."""
    image = service.record("/raw", DATA, host=NAME)
    service.clock.forward(3600)
    before = service.column(image, "full_at")
    with no_place(service):
        refused = service.glare.alice.download(image, "image")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
    assert refused.headers["x-glare-error-code"] == "OutboundBusy"
    assert service.column(image, "full_at") == before
    assert service.glare.alice.download(image, "image").content == DATA


@pytest.mark.sqlite
def test_a_recording_is_told_to_come_back(service: Working) -> None:
    """503 with Retry-After instead of 400, and the slot is free again."""
    service.origin.put("/raw", DATA)
    image = service.image()
    with no_place(service):
        refused = service.glare.alice.try_locate(image, "image", service.origin.url("/raw", NAME))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
    service.glare.alice.locate(image, "image", service.origin.url("/raw", NAME))


def test_a_check_counts_for_nothing(service: Working) -> None:
    """The location has no failure more, its host neither, and the check is due again in a moment."""
    image = service.record("/raw", DATA, host=NAME)
    history = service.history(image)
    with no_place(service):
        service.clock.forward(DAY)
        assert verify_next(service.glare.services, Cancellation())
        assert (service.column(image, "failures"), service.history(image)) == (0, history)
    service.later(4)
    assert service.history(image) != history
    assert service.state(image) == "verified"


def test_a_job_is_not_tried(service: Working) -> None:
    """However often it gets no place, the job has all of its tries left."""
    service.origin.put("/raw", DATA)
    image = service.image()
    address = service.ask(image, service.origin.url("/raw", NAME)).headers["location"]
    with no_place(service):
        for _ in range(9):
            assert service.do() == ["wonderland"]
            service.clock.forward(60)
    assert service.rows() == [("record", "waiting", 0)]
    service.do()
    assert service.record_at(address)["state"] == "verified"
