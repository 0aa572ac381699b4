"""API tokens: what programs of a project authenticate with. Since microversion 1.3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from glare.documents import tokens as documents
from glare.domain.microversion import Microversion
from glare.errors import NotFound
from glare.http.call import Call, json_response
from glare.http.operation import Answer, Listing, Operation, Tag, Taking
from glare.operations.tokens import manage
from glare.operations.tokens.access import require_project
from glare.operations.tokens.manage import represent_token, represent_with_text

SINCE: Final = Microversion(1, 3)

TOKENS: Final = Tag(
    "tokens",
    f"What programs authenticate with: as much as the user who makes one, or less. From API version {SINCE} on.",
    path={"token": "Id of a token."},
)


def _known(call: Call) -> None:
    """Older versions do not know these addresses."""
    if call.microversion < SINCE:
        raise NotFound(
            f"There is nothing at '{call.path[:200]}' in API version {call.microversion}; ask for {SINCE} or later "
            f"with the header OpenStack-API-Version: artifact {SINCE}."
        )


def _of_project(call: Call) -> None:
    _known(call)
    require_project(call.actor)


@Listing(
    id="tokens.list",
    about=TOKENS,
    summary="The tokens of a project, newest first: all for who manages it, else your own",
    query=documents.TokenQuery,
    answer=Answer(200, "One page. `next` is there while there is more.", documents.TokenPage),
    errors=(403, 404),
    admit=_known,
)
def list_page(call: Call, query: documents.TokenQuery) -> tuple[Sequence[documents.Token], str | None]:
    page = manage.list_tokens(call.services, call.actor, query)
    now = call.services.clock()
    return [represent_token(one, now) for one in page.entries], page.marker


@Taking(
    id="tokens.create",
    about=TOKENS,
    summary="Make a token",
    body=documents.NewToken,
    answer=Answer(201, "Made. Only here is its text.", documents.TokenWithText),
    errors=(403, 404, 408, 409, 413, 415, 429),
    admit=_of_project,
)
async def create(call: Call, asked: documents.NewToken) -> Response:
    token, text = await call.run(manage.create_token, call.services, call.actor, asked)
    response = json_response(represent_with_text(token, text, call.services.clock()), 201)
    response.headers["Cache-Control"] = "no-store"
    return response


@Taking(
    id="tokens.revoke_of_user",
    about=TOKENS,
    summary="Revoke all tokens of a user in a project, and those made with them",
    body=documents.Revocation,
    answer=Answer(200, "They are refused everywhere within seconds.", documents.Revoked),
    errors=(403, 404, 408, 413, 415),
    admit=_of_project,
)
async def revoke_of_user(call: Call, asked: documents.Revocation) -> documents.Revoked:
    return documents.Revoked(await call.run(manage.revoke_tokens, call.services, call.actor, asked))


@Operation(
    id="tokens.show",
    about=TOKENS,
    summary="One token",
    answer=Answer(200, "The token, without its text.", documents.Token),
    errors=(403, 404),
    admit=_known,
)
async def show(call: Call) -> documents.Token:
    found = await call.run(manage.show_token, call.services, call.actor, _id(call))
    return represent_token(found, call.services.clock())


@Operation(
    id="tokens.revoke",
    about=TOKENS,
    summary="Revoke a token, and those made with it",
    answer=Answer(204, "It is refused everywhere within seconds."),
    errors=(403, 404),
    admit=_known,
)
async def delete(call: Call) -> Response:
    await call.run(manage.revoke_token, call.services, call.actor, _id(call))
    return Response(status_code=204)


def _id(call: Call) -> str:
    return call.parameters["token"]
