"""How much a client can make the service log."""

from __future__ import annotations

import pytest

from support.service import Glare

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.


@pytest.mark.parametrize(
    ("method", "headers", "status"), [("GET", {"CDN-Loop": "glare"}, 508), ("PROPFIND", {}, 501)], ids=["508", "501"]
)
def test_what_a_client_provokes_is_one_line(
    glare: Glare, caplog: pytest.LogCaptureFixture, method: str, headers: dict[str, str], status: int
) -> None:
    """An error that a client can ask for at will is one line in the log, without a traceback."""
    assert glare.alice.request(method, "/nowhere", headers=headers).status_code == status
    [record] = [record for record in caplog.records if record.message == "request turned away"]
    assert record.exc_info is None
