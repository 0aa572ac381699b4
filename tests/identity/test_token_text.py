"""The text of tokens, and the expression by which scanners find them."""

from __future__ import annotations

import hashlib
import re
import zlib

import pytest

from glare.identity.token_text import PATTERN, digest_of, is_token, new_token

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def checksum(body: str) -> str:
    """The checksum as the guide tells scanners to compute it."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        digits = ALPHABET[number % 62] + digits
        number //= 62
    return digits


def test_a_token_is_found_by_the_expression_and_proved_by_its_checksum() -> None:
    """In the middle of a text exactly the token is found, and its last characters are the CRC-32 of the others."""
    token = new_token()
    found = re.search(PATTERN, f'password="{token}";')
    assert found is not None
    assert found[0] == token
    assert checksum(token[:-6]) == token[-6:]
    assert is_token(token)


def test_tokens_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the 256 random bits are in the text: the least and the largest number have texts of the same length."""
    assert len({new_token() for _ in range(100)}) == 100
    for number in (0, 2**256 - 1):
        monkeypatch.setattr("secrets.randbits", lambda bits, number=number: number)
        token = new_token()
        assert len(token) == 56
        assert is_token(token)


def test_what_only_looks_like_a_token_is_none() -> None:
    """Each single wrong character is noticed; so is one too many or too few."""
    token = new_token()
    for at in range(len("glare_1"), len(token)):
        wrong = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert not is_token(wrong)
    assert not any(is_token(text) for text in (token[:-1], token + "0", token.upper(), "glare_", "", "glare_1é" * 7))


def test_tokens_of_older_versions_are_tokens() -> None:
    """What older versions made has no checksum, and stays good."""
    assert is_token("glare_" + "aZ09_-" * 7 + "x")
    assert not is_token("glare_" + "aZ09_-" * 7)
    assert digest_of("glare_x") == hashlib.sha256(b"glare_x").hexdigest()
