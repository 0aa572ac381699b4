"""Secrets of webhooks, how they are kept, signatures, pauses, and what is taken out of a document."""

from __future__ import annotations

import base64
import stat
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from glare.documents.subscriptions import EVENTS
from glare.domain.events import Event
from glare.domain.subscription import name_of
from glare.errors import Unavailable
from glare.events.cloudevents import with_zones, without_urls
from glare.events.webhooks import Retries, SecretBox, asked_pause, is_secret, make_key_file, new_secret, signed_headers

SECOND = 1_000_000


def secret_of(size: int) -> str:
    return "whsec_" + base64.b64encode(b"k" * size).decode()


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        pytest.param(new_secret(), True, id="a new one"),
        (secret_of(24), True),
        (secret_of(64), True),
        (secret_of(23), False),
        (secret_of(65), False),
        (secret_of(32).removeprefix("whsec_"), False),
        (secret_of(32)[:-1], False),
        (secret_of(32).replace("a", "!"), False),
        ("whsec_\u00e4", False),
        ("", False),
    ],
)
def test_what_a_secret_is(text: str, valid: bool) -> None:
    """The prefix, and base64 of 24 to 64 bytes."""
    assert is_secret(text) is valid


def test_signature_is_that_of_the_specification() -> None:
    """The headers of the example that the libraries of Standard Webhooks test themselves with."""
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330 * SECOND,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    """Mode 0600, whole, and left alone when it is there; what one box seals another one of the same file opens."""
    path = tmp_path / "state" / "subscriptions.key"
    make_key_file(path)
    made = path.read_bytes()
    make_key_file(path)
    assert path.read_bytes() == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    sealed = SecretBox(path).seal("secret")
    assert "secret" not in sealed
    assert SecretBox(path).open(sealed) == "secret"


def test_a_key_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Where its directory cannot be, the refusal says so and names the option."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match="secret_key_file"):
        make_key_file(tmp_path / "file" / "keys")


def test_keys_are_rotated_by_lines(tmp_path: Path) -> None:
    """The first line seals, all lines open; without the old line what it sealed cannot be opened, and the message says
    why.
    """
    path = tmp_path / "keys"
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    path.write_text(f"{old}\n")
    before = SecretBox(path).seal("one")
    path.write_text(f"# newest first\n{new}\n\n{old}\n")
    box = SecretBox(path)
    after = box.seal("two")
    assert (box.open(before), box.open(after)) == ("one", "two")
    path.write_text(f"{new}\n")
    assert SecretBox(path).open(after) == "two"
    with pytest.raises(Unavailable, match="secret_key_file"):
        SecretBox(path).open(before)


@pytest.mark.parametrize("content", [None, "no key\n", "", "\u00e4\n"])
def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    """A missing, damaged or empty file is refused in a sentence with its path, when it is first needed."""
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    box = SecretBox(path)
    with pytest.raises(Unavailable, match=str(path)):
        box.seal("x")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("120", 120),
        (" 7 ", 7),
        ("-1", 0),
        ("soon", 0),
        ("9" * 40, 999_999_999_999),
        (formatdate(1_000_060, usegmt=True), 60),
        (formatdate(999_000, usegmt=True), 0),
        ("Mon, 99 Foo 2026 00:00:00 GMT", 0),
    ],
)
def test_what_retry_after_asks_for(text: str | None, seconds: float) -> None:
    """Seconds or a date; nonsense and the past ask for nothing."""
    assert asked_pause(text, 1_000_000 * SECOND) == min(seconds, 1_000_000_000)


def test_pauses_double_up_to_the_longest_and_end() -> None:
    """Each within a fifth of what it is to be; none after `total` seconds since the first try."""
    retries = Retries(first=5, longest=100, total=1000, asked=50)
    for tries, pause in ((1, 5), (2, 10), (3, 20), (6, 100), (5000, 100)):
        again = retries.next_try(tries, 0, 0, None)
        assert again is not None
        assert 0.8 * pause <= again / SECOND <= 1.2 * pause
    assert retries.next_try(1, 0, 0, "10000") == 50 * SECOND
    assert retries.next_try(3, 0, 999 * SECOND, None) is not None
    assert retries.next_try(3, 0, 1000 * SECOND, None) is None


@pytest.mark.parametrize(
    ("value", "document"),
    [
        ("https://user:pw@Host.example:8443/path?sig=1", "https://host.example"),
        ("HTTP://[2001:db8::1]:80/x", "http://[2001:db8::1]"),
        ("https://open.example/x", "https://open.example/x"),
        ("ftp://x/y", "ftp://x/y"),
        ("text with https://inside.example/x", "text with https://inside.example/x"),
        ({"a": ["https://h.example/?t=1", 1, None]}, {"a": ["https://h.example", 1, None]}),
    ],
)
def test_urls_are_cut_to_scheme_and_host(value: Any, document: Any) -> None:
    """At any depth, but for those that may be shown; other values stay."""
    assert without_urls(value, {"https://open.example/x"}.__contains__) == document


def test_times_get_their_zone() -> None:
    """Those of notifications, which have none; what has one, and other text, stays."""
    payload = {
        "created_at": "2030-01-01T00:00:00.000001",
        "activated_at": None,
        "name": "2030-01-01T00:00:00.000001",
        "location": {"proven_at": "2030-01-01T00:00:00Z"},
    }
    reported = with_zones(payload)
    assert reported == payload | {"created_at": "2030-01-01T00:00:00.000001Z"}


def test_names_of_events() -> None:
    """Actions of artifacts get their subject, others have it already."""
    event = Event("upload", "p", "images", "1", {}, 0)
    assert name_of(event.type) in EVENTS
    assert name_of("location.changed") == "location.changed"
    assert name_of("artifact.last_good_location_lost") in EVENTS
