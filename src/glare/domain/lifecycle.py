"""The life cycle of an artifact: which status and visibility may follow which, as tables (the contract's §8).

The tables say what is possible at all. Who may do it is the policy's to say, by the rule that the transition names, and
what must be true of the artifact (required fields, no blob being stored) is the operation's to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from glare.domain.artifact import Status, Visibility
from glare.domain.declared.hooks import ChangeKind
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

VISIBILITY_TRANSITIONS: Final[Mapping[tuple[Visibility, Status, Visibility], Transition]] = MappingProxyType(
    {
        (Visibility.PRIVATE, Status.DRAFTED, Visibility.PRIVATE): NOTHING,
        (Visibility.PRIVATE, Status.DEACTIVATED, Visibility.PRIVATE): NOTHING,
        (Visibility.PRIVATE, Status.ACTIVE, Visibility.PRIVATE): NOTHING,
        (Visibility.PRIVATE, Status.ACTIVE, Visibility.PUBLIC): PUBLISH,
        (Visibility.PUBLIC, Status.ACTIVE, Visibility.PUBLIC): PUBLISH,
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
    status = _member(Status, "status", wanted)
    transition = STATUS_TRANSITIONS.get((current, status))
    if transition is None:
        raise Forbidden(
            f"The status of an artifact that is {current} cannot become {status}; possible: "
            f"{_possible_statuses(current)}."
        )
    return transition


def visibility_transition(current: Visibility, status: Status, wanted: object) -> Transition:
    """The step to the visibility that a client wants of an artifact with this status. Raises as `status_transition`
    does.
    """
    if status is Status.DELETED:
        raise Forbidden("The artifact is deleted; its visibility cannot be changed.")
    visibility = _member(Visibility, "visibility", wanted)
    transition = VISIBILITY_TRANSITIONS.get((current, status, visibility))
    if transition is None:
        remedy = (
            "a public artifact stays public"
            if current is Visibility.PUBLIC
            else "activate the artifact first, then publish it"
        )
        raise Forbidden(
            f"The visibility of an artifact that is {current} and {status} cannot be set to {visibility}; {remedy}."
        )
    return transition


def _member(kind: type[_Member], field: str, wanted: object) -> _Member:
    if isinstance(wanted, str) and wanted in list(kind):
        return kind(wanted)
    quoted = repr(wanted)[:100]
    raise BadRequest(f"The value {quoted} of field '{field}' is not known; give one of: {', '.join(kind)}.")


def _possible_statuses(current: Status) -> str:
    return ", ".join(after for before, after in STATUS_TRANSITIONS if before is current)
