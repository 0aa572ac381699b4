"""Redirects to origins: only where the operator allows them, and never with somebody's credentials on the way."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.runs.verifying import HOUR, V2, Verifying, verifying
from support.service import LOCATION, Json, path_of

pytestmark = pytest.mark.sqlite

DATA = b"somebody else's bytes" * 1000
ALLOWED = "redirect = true\n[DEFAULT]\nallow_anonymous_access = true\n"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Verifying]:
    with verifying(tmp_path, ALLOWED) as found:
        yield found


def public(site: Verifying, target: str = "/a", **members: object) -> Json:
    site.origin.put(target, DATA)
    image = site.glare.alice.create("images", name=target, container_format="bare", disk_format="raw")
    site.glare.alice.locate(image, "image", site.origin.url(target), **members)
    site.glare.alice.activate(image)
    return site.glare.admin.publish(image)


def test_a_stranger_is_sent_to_the_origin(site: Verifying) -> None:
    """Without credentials the answer is a 302 that nobody may keep, with the digest to check; HEAD says the same."""
    image = public(site)
    url = f"{path_of(image)}/image"
    for method in ("GET", "HEAD"):
        answer = site.glare.stranger.request(method, url)
        assert (answer.status_code, answer.headers["location"]) == (302, site.origin.url("/a"))
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["digest"] == f"SHA-256={base64.b64encode(hashlib.sha256(DATA).digest()).decode()}"
        assert answer.content == b""
    assert site.origin.count("/a") == 1


def test_credentials_are_never_sent_along_unless_asked_for(site: Verifying) -> None:
    """A request with a token, an authorization or a cookie gets the bytes, unless it asks for the redirect; anybody may
    decline it.
    """
    image = public(site)
    url = f"{path_of(image)}/image"
    assert site.glare.alice.request("GET", url).content == DATA
    for name in ("Authorization", "Cookie"):
        assert site.glare.stranger.request("GET", url, headers={name: "x"}).content == DATA
    assert site.glare.alice.request("GET", f"{url}?redirect=true").status_code == 302
    assert site.glare.stranger.request("GET", f"{url}?redirect=false").content == DATA


def test_confidential_and_changed_locations_are_not_given_away(site: Verifying) -> None:
    """A confidential URL is served by proxy; one that has changed is 409, and with a good replica that one is named."""
    secret = public(site, "/secret", confidential=True)
    assert site.glare.stranger.request("GET", f"{path_of(secret)}/image").content == DATA
    image = public(site)
    site.origin.put("/a", DATA[::-1])
    site.later(7 * HOUR)
    assert site.glare.stranger.request("GET", f"{path_of(image)}/image").status_code == 409
    many = site.glare.alice.create("images", name="many", container_format="bare", disk_format="raw")
    for key in ("eu", "us"):
        site.origin.put(f"/{key}", DATA)
        body = json.dumps({"url": site.origin.url(f"/{key}")}).encode()
        path = f"{path_of(many)}/locations/{key}"
        site.glare.alice.request("PUT", path, content=body, headers={"Content-Type": LOCATION, **V2})
    site.glare.alice.activate(many)
    site.glare.admin.publish(many)
    site.origin.put("/eu", DATA[::-1])
    site.later(7 * HOUR)
    answer = site.glare.stranger.request("GET", f"{path_of(many)}/locations/eu", headers=V2)
    assert (answer.status_code, answer.headers["location"]) == (302, site.origin.url("/us"))


def test_it_is_off_unless_allowed_for_the_type(tmp_path: Path) -> None:
    """By default nobody is redirected, not even who asks; a type's own option wins over the global one."""
    with verifying(tmp_path, "[DEFAULT]\nallow_anonymous_access = true\n") as site:
        image = public(site)
        assert site.glare.stranger.request("GET", f"{path_of(image)}/image?redirect=true").content == DATA
    folder = tmp_path / "typed"
    folder.mkdir()
    with verifying(folder, "[artifact_type:images]\nredirect = true\n") as site:
        image = public(site)
        assert site.glare.alice.request("GET", f"{path_of(image)}/image?redirect=true").status_code == 302
