"""Options of subscriptions, and of the webhooks that serve them."""

from __future__ import annotations

from pathlib import Path

from glare.settings.declare import (
    Section,
    count_or_unlimited,
    integer,
    path,
    ports,
    seconds,
    section,
    words,
)
from glare.settings.units import DAY


@section("subscriptions")
class SubscriptionsSettings(Section):
    """Webhooks: events that projects have sent to URLs of theirs."""

    secret_key_file: Path = path(
        "$state_dir/subscriptions.key",
        "File of the keys that the secrets of subscriptions are encrypted with: 32 bytes in url-safe base64, one a "
        "line. The first is for new secrets, all are for old ones. `glare-server init` makes it where there is "
        "none; all nodes need the same.",
    )
    allowed_schemes: tuple[str, ...] = words(
        "https",
        "URL schemes of targets. Over http everybody on the way reads the events.",
        allowed=("http", "https"),
        empty=False,
    )
    allowed_ports: tuple[int, ...] = ports(
        "443", "Ports of targets. Which addresses they may have is said in [locations]."
    )
    max_per_project: int = count_or_unlimited("20", "Most subscriptions of one project.")
    confirmation_time: float = seconds(
        "3 d",
        "How long a target may take to confirm that it wants events; without that a subscription expires.",
        at_least=60,
        at_most=365 * DAY,
    )
    delivery_timeout: float = seconds(
        "10 s",
        "Time for one message: name resolution, connection, TLS, sending, and the answer. A target should accept "
        "a message first, and work on it later.",
        at_least=0.1,
        at_most=60,
    )
    delivery_threads: int = integer(
        "4",
        "Targets that one worker process works for at the same time; each target gets its messages one after the "
        "other. Those that Glare waits for do not count.",
        at_least=1,
        at_most=256,
    )
    max_delivery_threads: int = integer(
        "64",
        "Targets that one worker process sends to together, slow ones included. Each has a thread, which costs about "
        "200 KB while it waits.",
        at_least=1,
        at_most=4096,
    )
    project_delivery_threads: int = integer(
        "4", "Targets of one project among them, slow ones included.", at_least=1, at_most=4096
    )
    delivery_slow_after: float = seconds(
        "0.25 s",
        "A target that has been waited for nearly this long gives its place among `delivery_threads` to the next.",
        at_least=0.01,
        at_most=3600,
    )
    retry_delay: float = seconds(
        "5 s",
        "Pause before a message is tried again; it doubles with each try. 0.8 to 1.2 times as much, so that not all "
        "come at once.",
        at_least=0.05,
        at_most=DAY,
    )
    max_retry_delay: float = seconds("2 h", "Longest pause between two tries.", at_least=0.05, at_most=7 * DAY)
    retry_time: float = seconds(
        "24 h",
        "How long a message is tried before it counts as failed, and the next one has its turn. It stays in the log "
        "and can be sent again.",
        at_least=0,
        at_most=30 * DAY,
    )
    max_retry_after: float = seconds(
        "6 h", "Longest pause that a target may ask for with Retry-After.", at_least=0, at_most=7 * DAY
    )
    suspend_after: float = seconds(
        "5 d",
        "A target that has failed for this long gets no more messages, until its owner switches the subscription on "
        "again.",
        at_least=1,
        at_most=365 * DAY,
    )
    secret_overlap: float = seconds(
        "24 h",
        "How long messages carry a signature with the old secret too, after it was replaced.",
        at_least=0,
        at_most=30 * DAY,
    )
    log_retention: float = seconds(
        "30 d",
        "How long messages stay in the log once they are delivered or given up.",
        at_least=60,
        at_most=3650 * DAY,
    )
