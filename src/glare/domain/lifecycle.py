"""The life cycle of an artifact: which status and visibility may follow which, as tables (the contract's §8).

The tables say what is possible at all. Who may do it is the policy's to say, by the rule that the transition names, and
what must be true of the artifact (required fields, no blob being stored) is the operation's to check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from glare.domain.artifact import Status, Visibility
from glare.domain.declared.hooks import ChangeKind
from glare.domain.microversion import NEWEST, Microversion
from glare.domain.visibility import shown_visibility
from glare.errors import BadRequest, Forbidden

_Member = TypeVar("_Member", Status, Visibility)


@dataclass(frozen=True, slots=True)
class Transition:
    """A step that is possible.

    `kind` (what hooks and events call it) and `rule` (the policy rule to ask) are None for a step that means nothing,
    such as drafted to drafted. A repetition, such as active to active, changes nothing either, but is asked for by the
    rule of the step that it repeats. `status` or `visibility` is what the artifact has afterwards, None for the one
    that the step does not concern.
    """

    kind: ChangeKind | None
    rule: str | None
    status: Status | None = None
    visibility: Visibility | None = None


NOTHING: Final = Transition(None, None)
ACTIVATE: Final = Transition(ChangeKind.ACTIVATE, "artifact:activate", status=Status.ACTIVE)
DEACTIVATE: Final = Transition(ChangeKind.DEACTIVATE, "artifact:deactivate", status=Status.DEACTIVATED)
REACTIVATE: Final = Transition(ChangeKind.REACTIVATE, "artifact:reactivate", status=Status.ACTIVE)
SHARE: Final = Transition(ChangeKind.SHARE, "artifact:share", visibility=Visibility.SHARED)
COMMUNITIZE: Final = Transition(ChangeKind.COMMUNITIZE, "artifact:communitize", visibility=Visibility.COMMUNITY)
WITHDRAW: Final = Transition(ChangeKind.WITHDRAW, "artifact:withdraw", visibility=Visibility.PRIVATE)
PUBLISH: Final = Transition(ChangeKind.PUBLISH, "artifact:publish", visibility=Visibility.PUBLIC)

STATUS_TRANSITIONS: Final[Mapping[tuple[Status, Status], Transition]] = MappingProxyType(
    {
        (Status.DRAFTED, Status.DRAFTED): NOTHING,
        (Status.DRAFTED, Status.ACTIVE): ACTIVATE,
        (Status.ACTIVE, Status.ACTIVE): ACTIVATE,
        (Status.ACTIVE, Status.DEACTIVATED): DEACTIVATE,
        (Status.DEACTIVATED, Status.ACTIVE): REACTIVATE,
        (Status.DEACTIVATED, Status.DEACTIVATED): DEACTIVATE,
    }
)
"""(present, wanted) → the step. What is not here is forbidden."""

_TAKEN_BACK: Final = (Visibility.PRIVATE, Visibility.SHARED, Visibility.COMMUNITY)
"""What an artifact can be and stop being. Public it stays."""

VISIBILITY_TRANSITIONS: Final[Mapping[tuple[Visibility, Status, Visibility], Transition]] = MappingProxyType(
    {
        (Visibility.PRIVATE, Status.DRAFTED, Visibility.PRIVATE): NOTHING,
        (Visibility.PRIVATE, Status.DEACTIVATED, Visibility.PRIVATE): NOTHING,
        (Visibility.PRIVATE, Status.ACTIVE, Visibility.PRIVATE): NOTHING,
        (Visibility.SHARED, Status.DEACTIVATED, Visibility.SHARED): NOTHING,
        (Visibility.COMMUNITY, Status.DEACTIVATED, Visibility.COMMUNITY): NOTHING,
        **{(current, Status.ACTIVE, Visibility.PUBLIC): PUBLISH for current in Visibility},
        **{(current, Status.ACTIVE, Visibility.SHARED): SHARE for current in _TAKEN_BACK},
        **{(current, Status.ACTIVE, Visibility.COMMUNITY): COMMUNITIZE for current in _TAKEN_BACK},
        **{
            (current, status, Visibility.PRIVATE): WITHDRAW
            for current in (Visibility.SHARED, Visibility.COMMUNITY)
            for status in (Status.ACTIVE, Status.DEACTIVATED)
        },
    }
)
"""(present, status, wanted) → the step. What is not here is forbidden."""


def status_transition(current: Status, wanted: object) -> Transition:
    """The step to the status that a client wants.

    Raises `BadRequest` for what is no status, and `Forbidden` for a step that the table does not have. A deleted
    artifact does not change at all, so whatever is wanted of it is forbidden.
    """
    if current is Status.DELETED:
        raise Forbidden("The artifact is deleted; its status cannot be changed.")
    status = _member(list(Status), "status", wanted)
    transition = STATUS_TRANSITIONS.get((current, status))
    if transition is None:
        raise Forbidden(
            f"The status of an artifact that is {current} cannot become {status}; possible: "
            f"{_possible_statuses(current)}."
        )
    return transition


def visibility_transition(
    current: Visibility, status: Status, wanted: object, microversion: Microversion = NEWEST
) -> Transition:
    """The step to the visibility that a client of this microversion wants of an artifact with this status, which it
    sees as that. Raises as `status_transition` does.
    """
    current = shown_visibility(current, microversion)
    choices = list(dict.fromkeys(shown_visibility(one, microversion) for one in Visibility))
    if status is Status.DELETED:
        raise Forbidden("The artifact is deleted; its visibility cannot be changed.")
    visibility = _member(choices, "visibility", wanted)
    transition = VISIBILITY_TRANSITIONS.get((current, status, visibility))
    if transition is None:
        remedy = (
            "a public artifact stays public"
            if current is Visibility.PUBLIC
            else f"activate the artifact first, then {_STEPS.get(visibility, 'publish')} it"
        )
        raise Forbidden(
            f"The visibility of an artifact that is {current} and {status} cannot be set to {visibility}; {remedy}."
        )
    return transition


def _member(choices: Sequence[_Member], field: str, wanted: object) -> _Member:
    for choice in choices:
        if isinstance(wanted, str) and wanted == choice:
            return choice
    quoted = repr(wanted)[:100]
    raise BadRequest(f"The value {quoted} of field '{field}' is not known; give one of: {', '.join(choices)}.")


_STEPS: Final = {Visibility.SHARED: "share", Visibility.COMMUNITY: "share"}


def _possible_statuses(current: Status) -> str:
    return ", ".join(after for before, after in STATUS_TRANSITIONS if before is current)
