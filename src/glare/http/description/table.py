"""The description of the operations in the table of paths, from what each declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from starlette.routing import BaseRoute, Route

from glare.documents.blobs import Blob, Folder, Location
from glare.documents.errors import Error, VersionError
from glare.documents.patches import JsonPatch
from glare.http.call import Endpoint
from glare.http.description.document_schemas import DocumentSchemas
from glare.http.description.parts import ANSWERED, VERSIONED, VERSIONING, Part, headers, parameters, problems
from glare.http.media_types import JSON
from glare.http.operation import Answer, Declared, Handled, Tag

_SHARED: Final = (Error, VersionError, Blob, Folder, Location, JsonPatch)
"""Documents of errors, and of paths that follow from the registered types."""

_PATCH: Final = "JsonPatch"
"""What `JsonPatch` is called: a list has no name of its own."""

_OF_PUBLIC: Final = (500, 508)
"""What every operation may answer that needs no credentials."""

_NAMES: Final = re.compile(r"{(\w+)}")


class Table:
    """What the operations of these routes say of themselves; handlers without a declaration are left out."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._found = list(_declared(routes))
        operations = [declared for _, _, declared in self._found]
        documents = [one for each in operations for one in each.documents]
        documents += _SHARED
        self._schemas = DocumentSchemas(documents, [each.query for each in operations if each.query is not None])
        self.tags: Sequence[Tag] = list({each.about.name: each.about for each in operations}.values())

    @property
    def components(self) -> dict[str, Part]:
        """The schemas that have names."""
        return {**self._schemas.components, _PATCH: self._schemas.of(JsonPatch)}

    def paths(self) -> dict[str, Part]:
        """The paths, by address."""
        paths: dict[str, Part] = {}
        for address, method, declared in self._found:
            of_path = [_in_path(name, declared.about.path[name]) for name in _NAMES.findall(address)]
            shared = [*of_path, *parameters(*(() if declared.public else VERSIONING))]
            item = paths.setdefault(address, {"parameters": shared} if shared else {})
            item[method.lower()] = self._operation(declared)
        return paths

    def _operation(self, declared: Declared) -> Part:
        described: Part = {"operationId": declared.id, "tags": [declared.about.name], "summary": declared.summary}
        if declared.query is not None:
            described["parameters"] = self._schemas.parameters_of(declared.query)
        if declared.body is not None:
            content = {JSON: {"schema": self._schemas.of(declared.body)}}
            described["requestBody"] = {"required": True, "content": content}
        if declared.public:
            described["security"] = []
        return described | {"responses": self._answers(declared) | _problems(declared)}

    def _answers(self, declared: Declared) -> Part:
        """The successful answers by status; one status may come in several media types."""
        known = headers(ANSWERED if declared.public else VERSIONED)
        answers: dict[str, Part] = {}
        for answer in (declared.answer, *declared.more):
            described = answers.setdefault(str(answer.status), {"description": answer.description, "headers": known})
            if not answer.is_empty:
                described["content"] = described.get("content", {}) | {answer.media_type: self._content(answer)}
        return answers

    def _content(self, answer: Answer) -> Part:
        schemas = [self._schemas.of(document) for document in answer.documents]
        if not schemas:
            return {}
        return {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}


def _problems(declared: Declared) -> Part:
    return problems(*declared.errors, common=_OF_PUBLIC) if declared.public else problems(*declared.errors)


def _declared(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str, Declared]]:
    for route in routes:
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint):
            for method, handler in route.endpoint.handlers.items():
                if isinstance(handler, Handled):
                    yield route.path, method, handler.declared


def _in_path(name: str, description: str) -> Part:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}
