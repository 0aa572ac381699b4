"""Every persona that Keystone has, at every path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from glare.identity.base import Credentials
from glare.identity.pipeline import Pipeline
from support.identities import decided
from support.personas import PERSONAS, judge, peopled
from support.programs.keystone import Account, Keystone, MakeSource

KNOWN: Final = [name for name, actor in PERSONAS.items() if actor.roles]
"""Keystone gives nobody a token of a project or the system without a role in it."""


def account_of(keystone: Keystone, persona: str, project: str | None) -> Account:
    """Somebody who has just the roles of the persona."""
    account = keystone.user()
    for role in PERSONAS[persona].roles:
        keystone.grant(account, role, project)
    return account


@pytest.mark.parametrize("persona", KNOWN)
def test_a_persona_of_keystone_may_do_what_the_table_says(
    persona: str, keystone: Keystone, make_source: MakeSource, tmp_path: Path
) -> None:
    """Keystone's token becomes the actor of the persona, and each request of the table ends as the table says."""
    wanted = PERSONAS[persona]
    ids: dict[str | None, str | None] = {
        actor.project: actor.project and f"{actor.project}-elsewhere" for actor in PERSONAS.values()
    }
    if wanted.project is not None:
        ids[wanted.project] = keystone.project(f"{wanted.project}-{persona}")
    project = ids[wanted.project]
    account = account_of(keystone, persona, project)
    if project is None:
        token = keystone.token(account.name, account.password, scope={"system": {"all": True}})
    else:
        token = keystone.token_of(account, project)
    headers = {"X-Auth-Token": token}
    if wanted.service_roles:
        theirs = keystone.project(f"services of {persona}")
        headers["X-Service-Token"] = keystone.token_of(keystone.member(theirs, *wanted.service_roles), theirs)
    personas = {
        name: replace(
            actor,
            project=ids[actor.project],
            user=account.id if (actor.user, actor.system) == (wanted.user, wanted.system) else actor.user,
        )
        for name, actor in PERSONAS.items()
    }
    with peopled(tmp_path, personas) as world:
        identity = Pipeline([make_source()])
        found = decided(identity, Credentials({name.lower(): text for name, text in headers.items()}, "127.0.0.1"))
        assert (found.user, found.project, found.system) == (account.id, project, wanted.system)
        assert (wanted.roles <= found.roles, found.service_roles) == (True, wanted.service_roles)
        judge(world, world.caller(identity, headers), persona)
