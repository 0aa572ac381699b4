"""Options of callers with tokens of OpenID Connect issuers."""

from __future__ import annotations

from pathlib import Path

from glare.settings.declare import Section, integer, optional_path, seconds, section


@section("oidc")
class OidcSettings(Section):
    """Callers with signed tokens of OpenID Connect issuers (`oidc` in `[identity] pipeline`)."""

    issuers: Path | None = optional_path(
        "TOML file of the issuers whose tokens are accepted, and of the rules that turn claims into user, projects and "
        "roles; the how-to about signing in with OIDC describes it."
    )
    leeway: float = seconds(
        "60 s", "How far the clock of an issuer may be from ours, either way.", at_least=0, at_most=300
    )
    timeout: float = seconds(
        "5 s",
        "How long an issuer may take for its discovery document, and as long again for its keys. Meanwhile who needs "
        "new keys waits.",
        at_least=0.5,
        at_most=60,
    )
    key_interval: float = seconds(
        "30 s",
        "Least time between two questions for the keys of one issuer, whatever keys tokens name: forged ones must not "
        "make this service ask without end. A new key is known that much later at worst.",
        at_least=1,
        at_most=3600,
    )
    key_refresh: float = seconds(
        "15 min",
        "After how long the keys of an issuer are fetched anew with the next token: for so long, and for "
        "remembered_time, a key that its issuer has withdrawn goes on.",
        at_least=1,
        at_most=86400,
    )
    key_lifetime: float = seconds(
        "24 h",
        "For how long keys stay in force while their issuer cannot be reached. After that its tokens are answered 503.",
        at_least=60,
        at_most=30 * 86400,
    )
    remembered_tokens: int = integer(
        "10000",
        "Verified tokens that each process remembers, a few KiB each; those used least lately go first.",
        at_least=1,
        at_most=1_000_000,
    )
    remembered_time: float = seconds(
        "5 min",
        "For how long a verified token is not verified again, unless it expires before.",
        at_least=1,
        at_most=3600,
    )
    publisher_time: float = seconds(
        "5 s",
        "For how long a build is taken for the publisher that it was: a deleted one is refused on all nodes after it.",
        at_least=0,
        at_most=60,
    )
    publishers_per_project: int = integer("100", "Publishers that one project may have.", at_least=0, at_most=10_000)
