"""A certified OpenID Connect provider in front of the whole service: discovery, keys, rotation, outage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from support.programs.openid_provider import AUDIENCE, OidcProvider, running_provider
from support.service import Glare, running

pytestmark = pytest.mark.timeout(300)

ISSUERS = """
[issuers.real]
issuer = "{url}"
audience = ["{audience}"]
networks = ["127.0.0.1/32"]
allow_http = true
project_prefix = ""

[[issuers.real.rules]]
when = {{ groups = "builders" }}
project = "images"
roles = ["member"]
"""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with running_provider(tmp_path_factory.mktemp("provider")) as found:
        yield found


@pytest.fixture
def glare(tmp_path: Path, provider: OidcProvider) -> Iterator[Glare]:
    file = tmp_path / "issuers.toml"
    file.write_text(ISSUERS.format(url=provider.url, audience=AUDIENCE))
    with running(tmp_path, f"[identity]\npipeline = oidc\n[oidc]\nissuers = {file}\nkey_interval = 1 s\n") as service:
        yield service


def create(glare: Glare, token: str, name: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return glare.client.post("/artifacts/images", json={"name": name}, headers=headers)


def test_a_token_of_the_provider_lets_in(glare: Glare, provider: OidcProvider) -> None:
    """As its client got it, without a setting that knows this provider."""
    answer = create(glare, provider.token(), "one")
    assert answer.status_code == 201, answer.text
    assert answer.json()["owner"] == "images"
    for wrong in (provider.token("openid"), provider.token(audience="https://nova.example.com")):
        assert create(glare, wrong, "two").status_code == 401
    broken = provider.token()[:-8] + "AAAAAAAA"
    assert create(glare, broken, "three").status_code == 401


def test_keys_are_rotated_without_a_pause(glare: Glare, provider: OidcProvider) -> None:
    """Tokens of the key before stay good while it is published, tokens of the new one are good at once; those of a key
    that was withdrawn end.
    """
    before = provider.token()
    assert create(glare, before, "one").status_code == 201
    time.sleep(1.1)
    provider.rotate()
    assert create(glare, provider.token(), "two").status_code == 201
    assert create(glare, provider.token("builders"), "three").status_code == 201
    old = provider.token()
    time.sleep(1.1)
    provider.withdraw()
    assert create(glare, provider.token(), "four").status_code == 201
    assert create(glare, old, "five").status_code == 401


def test_while_the_provider_is_away_what_is_known_goes_on(tmp_path: Path) -> None:
    """And what is not is 503, with Retry-After."""
    with running_provider(tmp_path) as provider:
        first, second = provider.token(), provider.token()
        provider.rotate()
        other = provider.token()
        file = tmp_path / "issuers.toml"
        file.write_text(ISSUERS.format(url=provider.url, audience=AUDIENCE))
        text = f"[identity]\npipeline = oidc\n[oidc]\nissuers = {file}\nkey_interval = 1 s\n"
        with running(tmp_path, text) as glare:
            assert create(glare, first, "one").status_code == 201
            provider.withdraw()
            unknown = provider.token()
            provider.__exit__()
            for number, token in enumerate((first, second, other)):
                assert create(glare, token, f"more-{number}").status_code == 201
            time.sleep(1.1)
            refused = create(glare, unknown, "two")
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) >= 1
