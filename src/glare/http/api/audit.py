"""The audit log, for admins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from glare.documents.audit import AuditEntry, AuditPage, AuditQuery
from glare.http.call import Call
from glare.http.operation import Answer, Listing, Tag, allowed
from glare.operations.audit import RULE, list_audit, represent_entry

AUDIT: Final = Tag("audit", "Who changed what.")


@Listing(
    id="audit.list",
    about=AUDIT,
    summary="Who changed what, newest first; for admins",
    query=AuditQuery,
    answer=Answer(200, "One page. `next` is there while there is more.", AuditPage),
    errors=(403,),
    admit=allowed(RULE),
)
def list_page(call: Call, query: AuditQuery) -> tuple[Sequence[AuditEntry], str | None]:
    page = list_audit(call.services, call.actor, query)
    return [represent_entry(entry) for entry in page.entries], page.marker
