"""What is declared of an operation that every registered type has, above its handler: the description has one for each
type, and for each of its blobs and folders (`glare.http.description.paths`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from starlette.responses import Response

from glare.http.call import Call, Handler


class Own(StrEnum):
    """Documents that each type has of its own, made from its fields."""

    NEW = "New"
    ARTIFACT = "Artifact"
    PAGE = "Page"


@dataclass(frozen=True, slots=True)
class TypeAnswer:
    """One successful answer. `document` is one of the type's own or the name of a component, None where there is none:
    then `media_types` are those of data. With a document they are what it may come as, beside JSON. `headers` are those
    beside what every answer has.
    """

    status: int
    description: str
    document: Own | str | None = None
    headers: Sequence[str] = ()
    media_types: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class TypeOperation:
    """`name` follows the type's in the operation's id. In texts `{field}` becomes the name of the blob or folder, and
    `{limit}` its maximum in bytes. `takes` names shared parameters, `parameters` are those that follow from the fields
    of the type, `body` has the documents that may come by media type, None for data. `errors` are statuses beside those
    that every operation may answer. `for_all` is the summary for the type ``all``, None where it has no such operation.
    """

    name: str
    summary: str
    answers: Sequence[TypeAnswer]
    errors: Sequence[int]
    description: str = ""
    takes: Sequence[str] = ()
    body: Mapping[str, Own | str | None] = field(default_factory=dict)
    for_all: str | None = None
    parameters: Sequence[Mapping[str, Any]] = ()

    def __call__(self, handler: Handler) -> OfTypes:
        return OfTypes(self, handler)


@dataclass(frozen=True, slots=True)
class OfTypes:
    """An entry of the table of paths: a handler that serves every type, with its declaration."""

    declared: TypeOperation
    handler: Handler

    async def __call__(self, call: Call) -> Response:
        return await self.handler(call)
