"""Header fields that say who is calling, and the rule that each comes once and in its one spelling.

A proxy that appends its own field behind the client's instead of replacing it, or one that looks at ``X-Project-Id``
only while a server behind it takes ``X_Project_Id`` for the same, lets callers choose who they are. Such requests are
refused, whoever reads the fields.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from glare.errors import BadRequest

_ABOUT_CALLERS: Final = re.compile(
    r"authorization|x-glare-project|x-(?:auth|service|subject|storage)-token|openstack-system-scope|x-is-admin-project"
    r"|x-service-catalog|x-(?:service-)?(?:identity-status|user|project|tenant|domain|roles?)(?:-.*)?"
)


def is_about_callers(name: str) -> bool:
    """Whether a field says who is calling, in one of its spellings; `name` is in lower case."""
    return _ABOUT_CALLERS.fullmatch(name.replace("_", "-")) is not None


def require_one_of_each(names: Iterable[bytes]) -> None:
    """Raises `BadRequest` where one of the field names that say who is calling comes twice, or with an underscore for a
    dash.

    `names` are those of all fields of the request, in lower case.
    """
    seen: Counter[str] = Counter()
    for raw in names:
        name = raw.decode("latin-1")
        plain = name.replace("_", "-")
        if not _ABOUT_CALLERS.fullmatch(plain):
            continue
        if name != plain:
            raise BadRequest(
                f"The header '{name[:60]}' is not accepted with an underscore; send '{plain[:60]}', or leave it out."
            )
        seen[plain] += 1
        if seen[plain] > 1:
            raise BadRequest(
                f"The header '{plain[:60]}' is given twice; send it once. A proxy has to replace what callers send, "
                "and not to add to it."
            )
