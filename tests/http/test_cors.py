"""Cross-origin requests from browsers."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.service import running

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

DASHBOARD = "https://dashboard.example"


def test_configured_origin_is_let_in(tmp_path: Path) -> None:
    """A page of a configured origin may call the API with a token and read the headers that it needs."""
    with running(tmp_path, f"[cors]\nallowed_origin = {DASHBOARD}\n") as glare:
        asked = glare.stranger.request(
            "OPTIONS",
            "/artifacts/images",
            headers={
                "Origin": DASHBOARD,
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "x-auth-token, if-match",
            },
        )
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == DASHBOARD
        assert "x-auth-token" in asked.headers["access-control-allow-headers"].lower()
        answer = glare.alice.request("GET", "/artifacts/images", headers={"Origin": DASHBOARD})
        assert answer.headers["access-control-allow-origin"] == DASHBOARD
        assert "ETag" in answer.headers["access-control-expose-headers"]
        other = glare.alice.request("GET", "/artifacts/images", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("path", ["/", "/artifacts/images", "/nowhere"])
def test_no_origin_is_let_in_by_default(tmp_path: Path, path: str) -> None:
    """OPTIONS answers 200 with nothing, before anybody is asked for a token, and no cross-origin header is sent."""
    with running(tmp_path) as glare:
        answer = glare.stranger.request("OPTIONS", path, headers={"Origin": DASHBOARD})
    assert (answer.status_code, answer.content) == (200, b"")
    assert not [name for name in answer.headers if name.startswith("access-control")]
