"""Which publisher a build is, by the claims of its token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from glare.domain.publisher import Publisher, anchor_of
from glare.identity.oidc.claims import find, texts_of
from glare.identity.oidc.issuers import Issuer
from glare.identity.oidc.mapping import Condition

MAX_ANCHORS = 32
"""Anchors that one token may have."""


def anchors_of(issuer: Issuer, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The anchors that publishers of these claims can have."""
    found = [anchor_of(issuer.name, claim, text) for claim in issuer.anchors for text in texts_of(find(claims, claim))]
    return tuple(found[:MAX_ANCHORS])


def why_not(publisher: Publisher, claims: Mapping[str, Any]) -> str | None:
    """Why a token with these claims is not the publisher's; None where it is."""
    for claim, pattern in publisher.claims.items():
        value = find(claims, claim)
        if not Condition.of(claim, pattern).holds(claims):
            return f"the claim {claim!r} is {'not there' if value is None else repr(value)[:120]}, not {pattern!r}"
    return None


def closest(publishers: Iterable[Publisher], claims: Mapping[str, Any]) -> Publisher | None:
    """Of the publishers of one project the one that the token is: that with the most claims, of these the one with
    the most exact ones, of these the oldest.
    """
    fitting = [publisher for publisher in publishers if why_not(publisher, claims) is None]
    return min(fitting, key=_rank, default=None)


def _rank(publisher: Publisher) -> tuple[int, int, int, str]:
    exact = sum("*" not in pattern for pattern in publisher.claims.values())
    return -len(publisher.claims), -exact, publisher.created_at, publisher.id
