"""`glare-server identity explain`: what a signed token would be here, and why."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

from glare.app.oidc import oidc_source
from glare.cli.configuration import say, sources_of
from glare.cli.database import services_of
from glare.cli.tables import print_table
from glare.domain.actor import Actor
from glare.errors import InvalidParameterValue, Unavailable
from glare.identity.oidc.mapping import Step
from glare.settings import load

_COLUMNS: Final = ("STEP", "COUNTS", "WHY")
_MOST: Final = 1 << 20
"""Bytes that are read of a token."""


def explain(args: Namespace) -> int:
    """`glare-server identity explain`. Exit code 1 where the token lets nobody in."""
    token = _token(args.token)
    settings = load(sources_of(args)).settings
    with services_of(args) as services:
        if not services.issuers:
            raise Unavailable(
                "No issuers are configured: [identity] pipeline has no oidc. Add it, and name a file in [oidc] issuers."
            )
        steps, actor = oidc_source(settings, services).explain(token, args.project)
    document: list[dict[str, Any]] = [{"step": one.what, "counts": one.counted, "why": one.why} for one in steps]
    print_table(args, _COLUMNS, list(map(_row, steps)), document)
    if actor is None:
        say("this token lets nobody in.")
        return 1
    say(_words(actor))
    return 0


def _token(place: str) -> str:
    """The token in a file, or in standard input (-): on the command line everybody on the machine could read it."""
    try:
        if place == "-":
            text = sys.stdin.read(_MOST)
        else:
            with Path(place).open(encoding="utf-8", errors="replace") as file:
                text = file.read(_MOST)
    except OSError as error:
        raise InvalidParameterValue(
            f"The token cannot be read from {place!r} ({error.strerror}); name a file, or - for standard input."
        ) from None
    scheme, _, rest = text.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else text.strip()


def _row(step: Step) -> tuple[str, ...]:
    return step.what, "yes" if step.counted else "no", step.why


def _words(actor: Actor) -> str:
    roles = f"with the roles {', '.join(sorted(actor.roles))}" if actor.roles else "without a role"
    limits = []
    if actor.limits.types is not None:
        limits.append(f"types {', '.join(sorted(actor.limits.types))}")
    if actor.limits.names is not None:
        limits.append(f"names {', '.join(actor.limits.names)}")
    bounds = f", limited to {' and '.join(limits)}" if limits else ""
    return f"this token is the user {actor.user} of the project {actor.project} {roles}{bounds}."
