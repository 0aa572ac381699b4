"""Options of API tokens."""

from __future__ import annotations

from glare.settings.declare import Section, count_or_unlimited, integer, seconds, section
from glare.settings.units import DAY


@section("tokens")
class TokensSettings(Section):
    """Tokens in the database, which users make at `/tokens` and operators with `glare-server token`."""

    max_per_project: int = count_or_unlimited(
        "100", "Most tokens of one project that are in force, of those that users make. Operators may make more."
    )
    default_lifetime: float = seconds(
        "90 d", "How long a token lasts whose maker does not say it.", at_least=60, at_most=3650 * DAY
    )
    max_lifetime: float = seconds(
        "365 d",
        "How long a token may last that a user makes. One that an operator makes lasts as long as that wants.",
        at_least=60,
        at_most=3650 * DAY,
    )
    expiry_notice: float = seconds(
        "7 d",
        "How long before a token expires its project is told (`token.expiring`). A token that lasts no longer than "
        "that is not told of; 0: none is.",
        at_least=0,
        at_most=365 * DAY,
    )
    retention: float = seconds(
        "90 d", "How long revoked and expired tokens are still listed.", at_least=60, at_most=3650 * DAY
    )
    look_every: float = seconds(
        "1 s",
        "How often a process looks whether tokens were revoked, while it gets requests with tokens. A revoked token is "
        "refused by all after about twice as long.",
        at_least=0.1,
        at_most=2,
    )
    remembered: int = integer(
        "10000",
        "Tokens that one process remembers, so that they cost no look-up, at about 1 KB each; and as many texts that "
        "are no tokens.",
        at_least=100,
        at_most=1_000_000,
    )
    unknown_per_network: int = integer(
        "60",
        "How many tokens that are not known one network (/24 or /64) may have looked up in a minute. Known ones do not "
        "count.",
        at_least=1,
        at_most=1_000_000,
    )
