"""The audit log, for admins."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from glare.domain import moment
from glare.domain.audit import RecordedAudit
from glare.http.answers import Pairs, page_in_parts
from glare.http.call import Call
from glare.operations.audit import list_audit


async def list_page(call: Call) -> Response:
    """GET /audit"""
    await call.require_no_body()
    return await call.run_list(_list, call)


def _list(call: Call) -> Response:
    def read(pairs: Pairs) -> tuple[list[Any], str | None]:
        page = list_audit(call.services, call.actor, pairs)
        return [shown(entry) for entry in page.entries], page.marker

    return page_in_parts(call, "audit", read)


def shown(entry: RecordedAudit) -> dict[str, Any]:
    """An entry as the API shows it. Times have microseconds here: they order what one second holds."""
    return {
        "id": entry.id,
        "time": f"{moment.show(entry.occurred_at)[:-1]}.{entry.occurred_at % 1_000_000:06d}Z",
        "request_id": entry.request_id,
        "user": entry.user,
        "project": entry.project,
        "roles": entry.roles,
        "action": entry.action,
        "outcome": entry.outcome,
        "type_name": entry.type_name,
        "artifact": entry.artifact_id,
        "target": entry.target,
        "detail": entry.detail,
    }
