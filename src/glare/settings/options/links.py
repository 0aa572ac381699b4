"""Options of links."""

from __future__ import annotations

from glare.settings.declare import Section, count_or_unlimited, seconds, section
from glare.settings.units import DAY


@section("links")
class LinkSettings(Section):
    """Links: addresses by which one blob is read without an account. They are signed with the keys in
    `[subscriptions] secret_key_file`.
    """

    max_per_project: int = count_or_unlimited(
        "1000",
        "Most links of one project that have not ended. Once it has twice as many in all, it forgets those that have.",
    )
    retention: float = seconds(
        "7 d",
        "How long links that have expired, or were used up, are still listed. Those that were revoked are not.",
        at_least=0,
        at_most=3650 * DAY,
    )
    default_time: float = seconds(
        "1 d", "How long a link lasts whose maker does not say.", at_least=1, at_most=3650 * DAY
    )
    longest_time: float = seconds("30 d", "How long a link may last.", at_least=1, at_most=3650 * DAY)
