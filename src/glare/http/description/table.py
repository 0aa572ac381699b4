"""The description of the operations in the table of paths, from what each declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from starlette.routing import BaseRoute, Route

from glare.documents.blobs import Blob, Location
from glare.http.call import Endpoint
from glare.http.description.document_schemas import DocumentSchemas
from glare.http.description.parts import VERSIONED, VERSIONING, Part, headers, parameters, problems
from glare.http.operation import JSON, Answer, Declared, Handled, Tag

_OF_ARTIFACTS: Final = (Blob, Location)
"""Documents of paths that follow from the registered types."""

_NAMES: Final = re.compile(r"{(\w+)}")


class Table:
    """What the operations of these routes say of themselves; handlers without a declaration are left out."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._found = list(_declared(routes))
        operations = [declared for _, _, declared in self._found]
        documents = [one for each in operations for one in (*each.answer.documents, each.body) if one is not None]
        documents += _OF_ARTIFACTS
        self._schemas = DocumentSchemas(documents, [each.query for each in operations if each.query is not None])
        self.tags: Sequence[Tag] = list({each.about.name: each.about for each in operations}.values())

    @property
    def components(self) -> dict[str, Part]:
        """The schemas that have names."""
        return dict(self._schemas.components)

    def paths(self) -> dict[str, Part]:
        """The paths, by address."""
        paths: dict[str, Part] = {}
        for address, method, declared in self._found:
            of_path = [_in_path(name, declared.about.path[name]) for name in _NAMES.findall(address)]
            item = paths.setdefault(address, {"parameters": [*of_path, *parameters(*VERSIONING)]})
            item[method.lower()] = self._operation(declared)
        return paths

    def _operation(self, declared: Declared) -> Part:
        told: Part = {"operationId": declared.id, "tags": [declared.about.name], "summary": declared.summary}
        if declared.query is not None:
            told["parameters"] = self._schemas.parameters_of(declared.query)
        if declared.body is not None:
            content = {JSON: {"schema": self._schemas.of(declared.body)}}
            told["requestBody"] = {"required": True, "content": content}
        answer = declared.answer
        return told | {"responses": {str(answer.status): self._answer(answer)} | problems(*declared.errors)}

    def _answer(self, answer: Answer) -> Part:
        told: Part = {"description": answer.description, "headers": headers(VERSIONED)}
        schemas = [self._schemas.of(document) for document in answer.documents]
        if not schemas:
            return told
        return told | {
            "content": {answer.media_type: {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}}
        }


def _declared(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str, Declared]]:
    for route in routes:
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint):
            for method, handler in route.endpoint.handlers.items():
                if isinstance(handler, Handled):
                    yield route.path, method, handler.declared


def _in_path(name: str, description: str) -> Part:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}
