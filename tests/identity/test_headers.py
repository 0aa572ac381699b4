"""Header fields that say who is calling come once, in one spelling."""

from __future__ import annotations

import pytest

from glare.errors import BadRequest
from glare.identity.headers import require_one_of_each

ABOUT_CALLERS = (
    *(
        "authorization",
        "x-auth-token",
        "x-service-token",
        "x-identity-status",
        "x-user-id",
        "x-user-name",
        "x-project-id",
    ),
    *(
        "x-tenant-id",
        "x-tenant",
        "x-roles",
        "x-role",
        "x-project-domain-id",
        "x-domain-id",
        "x-service-catalog",
        "x-user",
    ),
    *("x-service-user-id", "x-service-roles", "openstack-system-scope", "x-is-admin-project"),
)


@pytest.mark.parametrize("name", ABOUT_CALLERS)
def test_a_second_field_is_refused(name: str) -> None:
    """One of each is fine, two of one are refused, by name."""
    require_one_of_each([name.encode(), b"accept", b"accept"])
    with pytest.raises(BadRequest, match=f"'{name}' is given twice"):
        require_one_of_each([name.encode(), b"host", name.encode()])


@pytest.mark.parametrize("name", [name for name in ABOUT_CALLERS if "-" in name])
def test_another_spelling_is_refused(name: str) -> None:
    """With underscores a name is refused even alone: some programs take both for one, and some proxies see only one of
    them.
    """
    for spelled in (name.replace("-", "_"), name.replace("-", "_", 1)):
        with pytest.raises(BadRequest, match="underscore"):
            require_one_of_each([spelled.encode()])


def test_other_fields_may_repeat() -> None:
    """What says nothing of the caller is none of this rule's business."""
    require_one_of_each([b"x_custom", b"x-userland", b"via", b"via", b"x-forwarded-for", b"x-forwarded-for", b"\xe9"])
