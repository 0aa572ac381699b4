"""What an endpoint takes, answers and means, declared above its handler: the description of the API is made of these.

Each kind of operation does for its handler what all handlers of this kind do: it refuses a body that is not wanted, or
parses the one that is; it sends the document that the handler returns, with the declared status.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Generic, TypeVar

from msgspec import Struct
from starlette.responses import Response

from glare.documents.parse import parse, parse_query
from glare.documents.parts import PageQuery
from glare.http.answers import page_in_parts
from glare.http.call import Call, Handler, json_response
from glare.http.media_types import JSON

B = TypeVar("B")
Q = TypeVar("Q", bound=PageQuery)


@dataclass(frozen=True, slots=True)
class Tag:
    """What operations are about. `path` describes the parameters of their paths."""

    name: str
    description: str
    path: Mapping[str, str] = field(default_factory=dict)


SERVICE: Final = Tag(
    "service",
    "Versions, health and this description. Neither credentials nor API versions.",
    path={
        "file": "Name of a style, script or licence.",
        "folder": "`tutorial`, `how-to`, `explanation` or `reference`.",
        "name": "Name of the guide.",
    },
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One successful answer: a document of the type `document`, or of one out of a tuple of types. Without a document
    it is no JSON, or its body is empty.
    """

    status: int
    description: str
    document: Any = None
    media_type: str = JSON

    @property
    def is_empty(self) -> bool:
        return self.document is None and self.media_type == JSON

    @property
    def documents(self) -> tuple[Any, ...]:
        """The types of its document."""
        if isinstance(self.document, tuple):
            return self.document
        return () if self.document is None else (self.document,)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What is said of every operation. `errors` are statuses beside those that every operation may answer; `admit`
    raises where the caller may not do this at all, before anything of the request is read. `more` are answers that it
    gives too, of another status or media type.
    """

    id: str
    about: Tag
    summary: str
    answer: Answer
    more: Sequence[Answer] = ()
    errors: Sequence[int] = ()
    admit: Callable[[Call], object] | None = None
    query: type[Struct] | None = None
    body: Any = None
    public: ClassVar[bool] = False

    @property
    def documents(self) -> Sequence[Any]:
        """The types of all documents that it takes and answers."""
        answered = (one for answer in (self.answer, *self.more) for one in answer.documents)
        return [*answered, *(() if self.body is None else (self.body,))]

    def begin(self, call: Call) -> None:
        """Raises where the caller may not do this."""
        if self.admit is not None:
            self.admit(call)

    def send(self, document: Any) -> Response:
        """The answer with this document; a response as it is."""
        return document if isinstance(document, Response) else json_response(document, self.answer.status)


@dataclass(frozen=True, slots=True)
class Handled:
    """An entry of the table of paths: a handler with its declaration. `run` does what all of its kind do, and calls
    it.
    """

    declared: Declared
    run: Handler
    handler: Callable[..., Any]

    async def __call__(self, call: Call) -> Response:
        return await self.run(call)


@dataclass(frozen=True, kw_only=True)
class Operation(Declared):
    """An operation whose request has no body."""

    def __call__(self, handler: Callable[[Call], Awaitable[Any]]) -> Handled:
        async def run(call: Call) -> Response:
            self.begin(call)
            await call.require_no_body()
            return self.send(await handler(call))

        return Handled(self, run, handler)


@dataclass(frozen=True, kw_only=True)
class Taking(Declared, Generic[B]):
    """An operation whose request has the document `body`."""

    body: type[B]

    def __call__(self, handler: Callable[[Call, B], Awaitable[Any]]) -> Handled:
        async def run(call: Call) -> Response:
            self.begin(call)
            call.require_media_type(JSON)
            asked = await call.aside(parse, self.body, await call.document())
            return self.send(await handler(call, asked))

        return Handled(self, run, handler)


@dataclass(frozen=True, kw_only=True)
class Listing(Declared, Generic[Q]):
    """A list. The handler works in a thread; it returns the entries of one page, and where the next begins (None after
    the last).
    """

    query: type[Q]

    def __call__(self, handler: Callable[[Call, Q], tuple[Sequence[Any], str | None]]) -> Handled:
        def read(call: Call) -> Response:
            return page_in_parts(
                call, self.answer.document, lambda pairs: handler(call, parse_query(self.query, pairs))
            )

        async def run(call: Call) -> Response:
            self.begin(call)
            await call.require_no_body()
            return await call.run_list(read, call)

        return Handled(self, run, handler)


@dataclass(frozen=True, kw_only=True)
class Public(Declared):
    """An operation that needs no credentials and speaks no microversion. Its handler has the request as it is."""

    public: ClassVar[bool] = True

    def __call__(self, handler: Handler) -> Handled:
        return Handled(self, handler, handler)


def allowed(rule: str) -> Callable[[Call], None]:
    """Whether the caller may do what this rule of the policy is about, whatever it is done to."""

    def admit(call: Call) -> None:
        call.services.policy.require(rule, call.actor, {})

    return admit
