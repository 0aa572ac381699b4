"""Subscriptions to events, and the log of what was sent."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from glare.documents.parts import NO_NUL, Page, PageQuery, Time, marker
from glare.documents.publishers import PUBLISHER_EVENTS
from glare.documents.tokens import TOKEN_EVENTS

CONFIRMATION: Final = "subscription.confirmation"
"""The message that asks a target whether it wants events. It is about the subscription itself, and cannot be subscribed
to."""

SUSPENDED: Final = "subscription.suspended"

_ACTIONS: Final = (
    *("create", "update", "activate", "deactivate", "reactivate", "publish", "delete"),
    *("share", "communitize", "withdraw"),
    *("upload", "set_location", "delete_blob", "blob_damaged", "blob_recovered"),
)
EVENTS: Final = (
    *(f"artifact.{action}" for action in _ACTIONS),
    "artifact.last_good_location_lost",
    *("location.changed", "location.unreachable", "location.recovered", "location.verified", "location.stale"),
    *("location.promoted", "location.promotion_failed", "location.failed"),
    *("member.added", "member.changed", "member.removed"),
    SUSPENDED,
    *TOKEN_EVENTS,
    *PUBLISHER_EVENTS,
)
"""What can be subscribed to, by the names that subscribers know."""


class SubscriptionState(StrEnum):
    """`pending`: its target has not confirmed yet. `expired`: nor has it in time. `disabled` by its owner, `suspended`
    by the service.
    """

    PENDING = "pending"
    EXPIRED = "expired"
    ACTIVE = "active"
    DISABLED = "disabled"
    SUSPENDED = "suspended"


class DeliveryState(StrEnum):
    """`failed`: given up. `dropped`: never to be sent, for its reason."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"


def _ascii(most: int) -> Meta:
    must_be = f"a string of 1 to {most} ASCII characters"
    return Meta(min_length=1, max_length=most, pattern=r"^[\u0001-\u007f]*$", extra={"must_be": must_be})


class Scope(Struct, forbid_unknown_fields=True, frozen=True):
    type_name: Annotated[str, _ascii(64)] | UnsetType = UNSET
    artifact: Annotated[str, _ascii(36)] | UnsetType = UNSET
    location: Annotated[str, _ascii(32)] | UnsetType = UNSET


Description = Annotated[
    str,
    Meta(max_length=255, pattern=NO_NUL, extra={"must_be": "a string of at most 255 characters without NUL"}),
]
Target = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2048,
        description="Where events are sent to. It has to confirm before it gets any.",
        extra_json_schema={"format": "uri"},
        extra={"must_be": "a string of 1 to 2048 characters: the URL that events are sent to", "secret": True},
    ),
]
Events = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": list(EVENTS)})]],
    Meta(min_length=1, extra={"must_be": "an array of names of events, or null for all of them"}),
]
_ABOUT_EVENTS: Final = Meta(description="Which events; null is all of them.")
_ABOUT_SCOPE: Final = Meta(
    description="What events are about: one type, one artifact or one external location; null is all that the project "
    "may see.",
    extra_json_schema={"maxProperties": 1},
    extra={"must_be": "null, or an object with one of type_name, artifact, location"},
)
Secret = Annotated[
    str,
    Meta(
        pattern="^whsec_[A-Za-z0-9+/]{32,86}={0,2}$",
        description="What messages are signed with: `whsec_` and the base64 of 24 to 64 bytes. Shown once, where it is "
        "made.",
        extra={"must_be": "'whsec_' and the base64 of 24 to 64 bytes; leave it out to get one", "secret": True},
    ),
]


class NewSubscription(Struct, forbid_unknown_fields=True, frozen=True):
    target: Target
    events: Annotated[Events | None, _ABOUT_EVENTS] | UnsetType = UNSET
    scope: Annotated[Scope | None, _ABOUT_SCOPE] | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    secret: Secret | UnsetType = UNSET


class SubscriptionChanges(Struct, forbid_unknown_fields=True, frozen=True):
    target: Target | UnsetType = UNSET
    events: Annotated[Events | None, _ABOUT_EVENTS] | UnsetType = UNSET
    scope: Annotated[Scope | None, _ABOUT_SCOPE] | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: (
        Annotated[
            bool,
            Meta(description="false switches it off; true switches it on, after whatever switched it off."),
        ]
        | UnsetType
    ) = UNSET


class NewSecret(Struct, forbid_unknown_fields=True, frozen=True):
    secret: Secret | UnsetType = UNSET


class Confirmation(Struct, frozen=True):
    token: Annotated[str, Meta(min_length=1, extra={"must_be": "a string, as the target got it", "secret": True})]


class Subscription(Struct, frozen=True):
    id: str
    project: str
    description: str
    target: str
    events: list[str] | None
    scope: Annotated[Scope | None, _ABOUT_SCOPE]
    state: SubscriptionState
    reason: Annotated[str | None, Meta(description="Why it is suspended or expired.")]
    created_at: Time
    updated_at: Time
    confirm_until: Annotated[Time | None, Meta(description="How long the target may take to confirm.")]
    old_secret_until: Annotated[
        Time | None, Meta(description="How long messages are signed with the secret before this one too.")
    ]
    delivered_at: Annotated[Time | None, Meta(description="The last message that the target took.")]
    failing_since: Annotated[Time | None, Meta(description="The first failure after that.")]
    next_try_at: Annotated[Time | None, Meta(description="When the next message is due; null where none waits.")]


class SubscriptionWithSecret(Subscription, frozen=True):
    secret: Secret


class SubscriptionPage(Page):
    subscriptions: list[Subscription]


class Delivery(Struct, frozen=True):
    """What a message is about and what became of it, not what was in it."""

    id: Annotated[str, Meta(description="The `webhook-id` that the target sees, the same at each try.")]
    event: Annotated[str, Meta(description="The `id` of the CloudEvents document.")]
    type: str
    subject: str | None
    time: Time
    state: DeliveryState
    reason: Annotated[
        str | None,
        Meta(
            description="Why the last try failed: unreachable, tls, timeout, broken, redirected, status, gone; or why "
            "it was dropped."
        ),
    ]
    status: Annotated[int | None, Meta(description="The HTTP status of the last answer.")]
    tries: int
    created_at: Time
    tried_at: Time | None
    finished_at: Time | None


class DeliveryPage(Page):
    deliveries: list[Delivery]


class SubscriptionQuery(PageQuery, frozen=True):
    project: Annotated[str | None, Meta(description="Whose; the caller's without it.")] = None
    state: Annotated[SubscriptionState | None, Meta(description="Those in this state only.")] = None
    marker: Annotated[str, marker("^[0-9]{1,18}_[0-9a-f-]{1,36}$")] | None = None


class DeliveryQuery(PageQuery, frozen=True):
    state: Annotated[DeliveryState | None, Meta(description="Those in this state only.")] = None
    marker: Annotated[str, marker("^[0-9]{1,18}$")] | None = None
