"""The Keystone of the tests is a real one: it makes tokens, checks them, and forgets nothing when it is stopped."""

from __future__ import annotations

import urllib.error

import pytest

from support.programs.keystone import Account, Keystone, RefusedError


def ask(keystone: Keystone, token: str) -> dict[str, object]:
    """What it says of a token."""
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    found: dict[str, object] = keystone.call("GET", "/auth/tokens", headers=headers)["token"]
    return found


def test_it_makes_and_checks_tokens(keystone: Keystone) -> None:
    """A token of a member tells its project; one that is revoked or invented is none."""
    project = keystone.project("smoke")
    member = keystone.member(project, "member")
    token = keystone.token_of(member, project)
    told = ask(keystone, token)
    assert isinstance(told["project"], dict)
    assert told["project"]["id"] == project
    keystone.revoke(token)
    for wrong in (token, "gAAAAA" + "x" * 178):
        with pytest.raises(RefusedError) as refused:
            ask(keystone, wrong)
        assert refused.value.status == 401
    with pytest.raises(RefusedError):
        keystone.token_of(Account(member.id, member.name, "wrong"), project)


def test_it_can_be_stopped_and_started_again(keystone: Keystone) -> None:
    """While it is stopped nobody answers; afterwards its tokens are those of before."""
    project = keystone.project("stopped")
    token = keystone.token_of(keystone.member(project, "member"), project)
    keystone.stop()
    try:
        with pytest.raises(urllib.error.URLError):
            ask(keystone, token)
    finally:
        keystone.start()
    assert ask(keystone, token)["user"]
