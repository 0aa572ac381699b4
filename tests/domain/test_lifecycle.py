"""The life cycle: the contract's tables, and what follows from them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from glare.domain.artifact import Status, Visibility
from glare.domain.declared.hooks import ChangeKind
from glare.domain.lifecycle import STATUS_TRANSITIONS, VISIBILITY_TRANSITIONS, status_transition, visibility_transition
from glare.domain.microversion import SHARING, Microversion
from glare.errors import BadRequest, Forbidden

# As the contract's §8 has them: the policy rule that is asked, "-" where nothing is, or the HTTP status of the refusal.
STATUS_TABLE = """
             drafted  active      deactivated  deleted  other
drafted      -        activate    403          403      400
active       403      activate    deactivate   403      400
deactivated  403      reactivate  deactivate   403      400
deleted      403      403         403          403      403
"""
VISIBILITY_TABLE = """
                     private  public   other
private/drafted      -        403      400
private/deactivated  -        403      400
private/active       -        publish  400
private/deleted      403      403      403
public/drafted       403      403      400
public/active        403      publish  400
public/deactivated   403      403      400
public/deleted       403      403      403
"""
# Since API version 1.3.
SHARING_TABLE = """
                       private   shared  community    public   other
private/drafted        -         403     403          403      400
private/deactivated    -         403     403          403      400
private/active         -         share   communitize  publish  400
private/deleted        403       403     403          403      403
shared/drafted         403       403     403          403      400
shared/active          withdraw  share   communitize  publish  400
shared/deactivated     withdraw  -       403          403      400
shared/deleted         403       403     403          403      403
community/drafted      403       403     403          403      400
community/active       withdraw  share   communitize  publish  400
community/deactivated  withdraw  403     -            403      400
community/deleted      403       403     403          403      403
public/drafted         403       403     403          403      400
public/active          403       403     403          publish  400
public/deactivated     403       403     403          403      400
public/deleted         403       403     403          403      403
"""
TABLES = [(Microversion(1, 2), VISIBILITY_TABLE), (SHARING, SHARING_TABLE)]

OTHERS: list[Any] = [None, "", "Active", "PUBLIC", "queued", 5, True, [], {}, ["active"], "active "]


def cells(table: str) -> list[tuple[str, str, str]]:
    """Row, column and content of each cell."""
    head, *rows = (line.split() for line in table.strip().splitlines())
    return [(row[0], column, content) for row in rows for column, content in zip(head, row[1:], strict=True)]


@pytest.mark.parametrize(("current", "wanted", "expected"), cells(STATUS_TABLE))
def test_the_status_follows_the_table(current: str, wanted: str, expected: str) -> None:
    """Every step from every status is what the contract's table says, with the policy rule of the step."""
    for value in OTHERS if wanted == "other" else [wanted, Status(wanted)]:
        if expected in ("400", "403"):
            with pytest.raises(BadRequest if expected == "400" else Forbidden) as raised:
                status_transition(Status(current), value)
            assert "status" in raised.value.message
            continue
        transition = status_transition(Status(current), value)
        assert transition.visibility is None
        if expected == "-":
            assert (transition.kind, transition.rule, transition.status) == (None, None, None)
        else:
            assert transition.kind is ChangeKind(expected)
            assert transition.rule == f"artifact:{expected}"
            assert transition.status is Status(wanted)


@pytest.mark.parametrize(
    ("since", "current", "wanted", "expected"), [(since, *cell) for since, table in TABLES for cell in cells(table)]
)
def test_the_visibility_follows_the_table(since: Microversion, current: str, wanted: str, expected: str) -> None:
    """Every step from every visibility and status is what the contract's table says."""
    visibility, status = current.split("/")
    unknown = [*OTHERS, "shared", "community"] if since < SHARING else OTHERS
    for value in unknown if wanted == "other" else [wanted, Visibility(wanted)]:
        if expected in ("400", "403"):
            with pytest.raises(BadRequest if expected == "400" else Forbidden) as raised:
                visibility_transition(Visibility(visibility), Status(status), value, since)
            assert "visibility" in raised.value.message
            continue
        transition = visibility_transition(Visibility(visibility), Status(status), value, since)
        assert transition.status is None
        if expected == "-":
            assert (transition.kind, transition.rule, transition.visibility) == (None, None, None)
        else:
            assert transition.kind is ChangeKind(expected)
            assert transition.rule == f"artifact:{expected}"
            assert transition.visibility is Visibility(wanted)


def test_the_tables_of_the_program_hold_no_more_than_the_contract_s() -> None:
    """Whatever is possible is in the contract's table."""
    assert len(STATUS_TRANSITIONS) == sum(content not in ("400", "403") for _, _, content in cells(STATUS_TABLE))
    assert len(VISIBILITY_TRANSITIONS) == sum(content not in ("400", "403") for _, _, content in cells(SHARING_TABLE))


def test_a_refusal_says_what_is_possible() -> None:
    """The sentence names the present value, the wanted one, and the way out."""
    with pytest.raises(Forbidden, match="is active cannot become drafted; possible: active, deactivated"):
        status_transition(Status.ACTIVE, "drafted")
    with pytest.raises(Forbidden, match="activate the artifact first"):
        visibility_transition(Visibility.PRIVATE, Status.DRAFTED, "public")
    with pytest.raises(BadRequest, match=r"'queued' of field 'status'.*drafted, active, deactivated, deleted"):
        status_transition(Status.DRAFTED, "queued")


class Life(RuleBasedStateMachine):
    """An artifact that asks for any step, at any time, any number of times."""

    def __init__(self) -> None:
        super().__init__()
        self.status = Status.DRAFTED
        self.visibility = Visibility.PRIVATE
        self.was_active = False
        self.was_public = False
        self.is_deleted = False

    @rule(wanted=st.sampled_from([*Status, "queued", None]))
    def set_status(self, wanted: object) -> None:
        before = self.status
        try:
            transition = status_transition(self.status, wanted)
        except (BadRequest, Forbidden):
            return
        self.status = transition.status or self.status
        assert self.status == wanted
        assert (transition.rule is None) == (transition.kind is None)
        assert transition.rule is not None or before is self.status
        self.was_active |= self.status is Status.ACTIVE

    @rule(wanted=st.sampled_from([*Visibility, "secret", None]))
    def set_visibility(self, wanted: object) -> None:
        try:
            transition = visibility_transition(self.visibility, self.status, wanted)
        except (BadRequest, Forbidden):
            return
        self.visibility = transition.visibility or self.visibility
        assert self.visibility == wanted
        self.was_public |= self.visibility is Visibility.PUBLIC

    @precondition(lambda self: not self.is_deleted)
    @rule()
    def delete(self) -> None:
        self.status, self.is_deleted = Status.DELETED, True

    @invariant()
    def nothing_comes_back(self) -> None:
        """Active once is never drafted again, public once is public for ever, deleted stays deleted."""
        assert not (self.was_active and self.status is Status.DRAFTED)
        assert self.was_public == (self.visibility is Visibility.PUBLIC)
        assert self.is_deleted == (self.status is Status.DELETED)

    @invariant()
    def only_what_was_active_is_public_or_deactivated(self) -> None:
        assert self.was_active or (self.visibility is Visibility.PRIVATE and self.status is not Status.DEACTIVATED)


TestLife = Life.TestCase
