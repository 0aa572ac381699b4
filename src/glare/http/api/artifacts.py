"""Artifacts: create, list, show, update, delete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from starlette.responses import Response

from glare.domain.artifact import Artifact
from glare.domain.declared import legacy
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.query import first_link, next_link
from glare.domain.representation import represent, represent_for_all
from glare.errors import PreconditionFailed
from glare.http.answers import PIECE, StreamedJson
from glare.http.call import Call, encode
from glare.http.conditions import Tags, parse_tags
from glare.http.media_types import JSON, JSON_ANSWER, JSON_PATCH
from glare.http.query import query_pairs
from glare.http.type_operation import Own, TypeAnswer, TypeOperation
from glare.operations import access
from glare.operations.access import revision_tag, sees_full_urls
from glare.operations.artifacts.create import create_artifact, require_owner
from glare.operations.artifacts.delete import delete_artifact
from glare.operations.artifacts.list import Listed, further, list_artifacts
from glare.operations.artifacts.show import show_artifact
from glare.operations.artifacts.update import PatchRequest, update_artifact

_WEB: Final = ("http://", "https://")

Operation = Callable[[], tuple[TypeSpec, Artifact]]


@TypeOperation(
    name="create",
    summary="Create an artifact",
    body={JSON: Own.NEW},
    answers=(TypeAnswer(201, "The artifact, drafted and private.", Own.ARTIFACT, ("ETag",)),),
    errors=(403, 404, 408, 409, 413, 415),
)
async def create(call: Call) -> Response:
    call.require_media_type(JSON)
    require_owner(call.actor)
    body = await call.document()
    operation = partial(
        create_artifact, call.services, call.actor, call.parameters["type_name"], body, call.microversion
    )
    return await _write(call, body, operation, 201)


@TypeOperation(
    name="show",
    summary="Show an artifact",
    for_all="Show an artifact of any type",
    takes=("IfNoneMatch",),
    answers=(
        TypeAnswer(200, "The artifact.", Own.ARTIFACT, ("ETag",)),
        TypeAnswer(304, "It is still as If-None-Match says.", None, ("ETag",)),
    ),
    errors=(403, 404),
)
async def show(call: Call) -> Response:
    await call.require_no_body()
    return await call.run(answer, call, partial(show_artifact, call.services, call.actor, *named(call)))


@TypeOperation(
    name="update",
    summary="Change an artifact, or move it through its life cycle",
    takes=("IfMatch",),
    body={JSON_PATCH: "JsonPatch"},
    answers=(TypeAnswer(200, "The artifact as it is now.", Own.ARTIFACT, ("ETag",)),),
    errors=(403, 404, 408, 409, 412, 413, 415),
)
async def update(call: Call) -> Response:
    call.require_media_type(JSON_PATCH)
    await refuse_anonymous(call)
    body = await call.document()
    request = PatchRequest(body, wanted_revisions(call), call.microversion)
    operation = partial(update_artifact, call.services, call.actor, *named(call), request)
    return await _write(call, body, operation)


async def refuse_anonymous(call: Call) -> None:
    """Refuse a change by somebody anonymous, who may change nothing, before a byte of its body is read."""
    if call.actor.anonymous:
        await call.run(access.refuse_anonymous, call.services, call.actor, *named(call))


async def _write(call: Call, body: Any, operation: Operation, status: int = 200) -> Response:
    """Run a change. Where it may follow links it waits for other servers: then its thread is one of those for
    bodies.
    """
    if not await call.aside(_may_follow_links, body):
        return await call.run(answer, call, operation, status)
    async with call.transfer("location"):
        return await call.run_stream(answer, call, operation, status)


def _may_follow_links(body: Any) -> bool:
    """Whether a JSON document holds a web address, or an operation that takes one from another field."""
    waiting = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if value.startswith(_WEB):
                return True
        elif isinstance(value, dict):
            if "from" in value:
                return True
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False


@TypeOperation(
    name="delete",
    summary="Delete an artifact with its stored data",
    takes=("IfMatch",),
    answers=(TypeAnswer(204, "It is gone."),),
    errors=(403, 404, 409, 412),
)
async def delete(call: Call) -> Response:
    await call.require_no_body()
    await call.run(delete_artifact, call.services, call.actor, *named(call), wanted_revisions(call))
    return Response(status_code=204, headers={"content-type": legacy.EMPTY_CONTENT_TYPE})


@TypeOperation(
    name="list",
    summary="List artifacts",
    for_all="Artifacts of all types",
    description="Each field is a filter. Its value is `[and:|or:][operator:]operand`; filters are joined by and, "
    "those marked `or:` among each other by or. `in:` takes a list with commas, whose items may stand in double "
    "quotes.",
    answers=(TypeAnswer(200, "A page of artifacts.", Own.PAGE),),
    errors=(403, 404),
)
async def list_page(call: Call) -> Response:
    await call.require_no_body()
    return await call.run_list(_list, call)


def _list(call: Call) -> Response:
    page = list_artifacts(
        call.services, call.actor, call.parameters["type_name"], query_pairs(call.query), call.microversion
    )
    listed: list[bytes] = []
    size = 0
    for artifact in page.artifacts:
        if size > PIECE:
            page = page.up_to(len(listed))
            break
        listed.append(_listed(call, page.spec, artifact))
        size += len(listed[-1])
    first = b'{"artifacts":[' + b",".join(listed)
    if not page.rest:
        body = first + _end_of_list(call, page, page.artifacts[-1] if page.artifacts else None)
        return Response(body, headers={"content-type": JSON_ANSWER})
    return StreamedJson(call, first, _rest_of_list(call, page))


def _rest_of_list(call: Call, page: Listed) -> Iterator[bytes]:
    last = page.artifacts[-1] if page.artifacts else None
    for artifacts in further(call.services, page):
        if artifacts:
            yield b"".join(b"," + _listed(call, page.spec, artifact) for artifact in artifacts)
            last = artifacts[-1]
    yield _end_of_list(call, page, last)


def _end_of_list(call: Call, page: Listed, last: Artifact | None) -> bytes:
    """What follows the artifacts. The next page begins after the last one that was shown."""
    pairs = query_pairs(call.query)
    end: dict[str, Any] = {
        "type_name": page.spec.name,
        "schema": f"/schemas/{page.spec.name}",
        "total_count": page.total,
        "first": first_link(call.path, pairs),
    }
    if page.is_full and last is not None:
        end["next"] = next_link(call.path, pairs, last.id)
    return b"]," + encode(end)[1:]


def _listed(call: Call, spec: TypeSpec, artifact: Artifact) -> bytes:
    full_urls = sees_full_urls(call.services, call.actor, artifact)
    return encode(_fields(call, spec, artifact, full_urls=full_urls))


def named(call: Call) -> tuple[str, str]:
    """The type's name and the artifact's id in the path."""
    return call.parameters["type_name"], call.parameters["id"]


def answer(call: Call, operation: Operation, status: int = 200) -> Response:
    """Run an operation that returns an artifact, and represent it: all in the worker thread."""
    spec, artifact = operation()
    return represented(call, spec, artifact, status)


def represented(call: Call, spec: TypeSpec, artifact: Artifact, status: int = 200) -> Response:
    """The artifact as the caller may see it, with its ETag; 304 where a GET's If-None-Match holds it already."""
    full_urls = sees_full_urls(call.services, call.actor, artifact)
    tag = entity_tag(call, artifact, full_urls=full_urls)
    headers = {"content-type": JSON_ANSWER, "etag": f'"{tag}"', "cache-control": "private, no-cache"}
    if status == 200 and call.is_read:
        wanted = named_revisions(call)
        if wanted is not None and not wanted & {"*", tag.partition(".")[0]}:
            raise PreconditionFailed("The artifact is not what If-Match names; read it again.")
        known = parse_tags(call.headers.get("if-none-match"))
        if known is not None and known.match_weakly(tag):
            return Response(status_code=304, headers=headers)
    return Response(encode(_fields(call, spec, artifact, full_urls=full_urls)), status, headers)


def _fields(call: Call, spec: TypeSpec, artifact: Artifact, *, full_urls: bool) -> dict[str, Any]:
    if spec is call.services.types.all:
        own = call.services.types.get(artifact.type_name)
        return represent_for_all(spec, own, artifact, microversion=call.microversion, full_urls=full_urls)
    return represent(spec, artifact, microversion=call.microversion, full_urls=full_urls)


def entity_tag(call: Call, artifact: Artifact, *, full_urls: bool) -> str:
    """Names one representation: the revision, the microversion, and whether confidential URLs are shown in full."""
    return f"{revision_tag(artifact)}.{call.microversion}{'.full' if full_urls else ''}"


def wanted_revisions(call: Call) -> frozenset[str] | None:
    """The revisions that If-Match names, None without it. Raises `PreconditionFailed` where If-None-Match forbids a
    change.
    """
    if parse_tags(call.headers.get("if-none-match")) == Tags(frozenset(), frozenset(), any=True):
        raise PreconditionFailed("If-None-Match: * asks that nothing exists at this address; leave it out.")
    return named_revisions(call)


def named_revisions(call: Call) -> frozenset[str] | None:
    """What If-Match names: of an entity tag of an artifact its revision, any other tag as it is. None without the
    header.
    """
    tags = parse_tags(call.headers.get("if-match"))
    if tags is None:
        return None
    return frozenset("*") if tags.any else frozenset(tag.partition(".")[0] for tag in tags.strong)
