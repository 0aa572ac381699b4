"""`glare-server token`: the tokens in the database, and those of a token file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from glare.cli.audit import token_audit
from glare.cli.configuration import REMEDY, read_settings, say
from glare.cli.database import opened, somebody
from glare.cli.tables import print_table
from glare.db.callers import tokens as rows
from glare.db.callers.tokens import Wanted
from glare.documents.tokens import TokenState
from glare.domain import moment
from glare.domain.callers.api_token import ApiToken
from glare.domain.moment import SECOND
from glare.domain.wording import counted
from glare.errors import InvalidParameterValue, NotFound
from glare.identity.kept_token import KeptToken
from glare.identity.token_file import TokenFile, TokenRecord, check_name
from glare.identity.token_text import digest_of, new_token
from glare.operations.services import Services
from glare.operations.tokens.bounds import limits_of, read_network
from glare.operations.tokens.by_operator import find_token, record_token, revoke_ids, revoke_of_user, take_over
from glare.operations.tokens.manage import represent_token
from glare.settings import Settings
from glare.settings.units import parse_duration

QUICKSTART = "quickstart"
"""Label of the token that `glare-server serve --quickstart` makes, by which people recognise it."""

_DATABASE: Final = "tokens"
_FILE: Final = "token_file"
"""Names of the identity sources that look at tokens of ours."""

_LABEL: Final = 40
"""Characters of a label that the list shows: longer ones would break its lines."""

_MOST_TEXT: Final = 255
_PAGE: Final = 1000
_COLUMNS = ("ID", "PROJECT", "USER", "ROLES", "CREATED", "EXPIRES", "USED", "LIMITS", "LABEL")


def create(args: Namespace) -> int:
    """`glare-server token create`. The token alone goes to standard output."""
    settings = read_settings(args)
    lifetime = None if args.expires is None else _lifetime(args.expires)
    made = _create_in_file if settings.keeps_tokens_in_file else _create_in_database
    text, token_id, expires = made(args, settings, lifetime)
    expiry = f"valid until {expires}" if expires else "valid until it is revoked"
    roles = ", ".join(args.role or ["member"])
    say(f"token {token_id} for {args.user.strip()} of project {args.project.strip()} as {roles}, {expiry}.")
    say("it is shown here and never again:")
    print(text)
    _tell_if_unused(settings)
    return 0


def list_tokens(args: Namespace) -> int:
    """`glare-server token list`."""
    settings = read_settings(args)
    listed: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    if not settings.keeps_tokens_in_file:
        with opened(settings) as services:
            now = services.clock()
            listed += [(_row(one), _document(one, now)) for one in _all(services) if one.revoked_at is None]
    if settings.keeps_tokens_in_file or settings.identity.token_file.exists():
        listed += [(_row_of_file(one), _document_of_file(one)) for one in _token_file(settings).list()]
    if not print_table(args, _COLUMNS, [row for row, _ in listed], [document for _, document in listed]):
        say("there are no tokens; `glare-server token create` makes one.")
    _tell_if_unused(settings)
    return 0


def revoke(args: Namespace) -> int:
    """`glare-server token revoke`."""
    settings = read_settings(args)
    if (args.id is None) == (args.user is None):
        raise InvalidParameterValue("Name one token by its id, or give --user to revoke all tokens of a user.")
    if args.user is not None:
        return _revoke_of_user(settings, args.user, args.project)
    user, project = revoke_token(settings, args.id)
    say(f"token {args.id} of {user} in project {project} is revoked.")
    return 0


def show(args: Namespace) -> int:
    """`glare-server token show`: the token of quickstart, the only one that is kept."""
    settings = read_settings(args)
    token = kept(settings).read()
    if token is None:
        raise NotFound(
            f"There is no token in {kept(settings).path}: `glare-server serve --quickstart` keeps one there. Of others "
            "only a hash is kept; `glare-server token create` makes a new one."
        )
    print(token)
    return 0


def take_over_file(args: Namespace) -> int:
    """`glare-server token import`: the tokens of the token file become rows of the database."""
    settings = read_settings(args)
    if _DATABASE not in settings.pipeline:
        raise InvalidParameterValue(
            f"[identity] pipeline is {', '.join(settings.pipeline)}, so nobody would look at tokens in the database; "
            "set it to token_file, tokens on all nodes first."
        )
    file = _token_file(settings)
    records = file.list()
    with opened(settings) as services:
        now = services.clock()
        found = [_of_record(record) for record in records]
        living = [token for token in found if not token.ends_by(now)]
        taken = take_over(services, somebody(), living)
    path = file.retire()
    say(f"taken over: {counted(taken, 'token')}; {len(living) - taken} were there already.")
    if len(found) > len(living):
        say(f"{len(found) - len(living)} have expired, and were left out.")
    say(f"the token file is not looked at any more: it is {path} now, and may be removed.")
    return 0


def quickstart_token(settings: Settings) -> str | None:
    """A member's token of the project `demo`, the same at each start until it is revoked; None where tokens are not
    asked for.

    It is kept before it is recorded: a process that dies in between leaves a text that the next one records.
    """
    if _DATABASE in settings.pipeline:
        return _quickstart_in_database(settings)
    if _FILE not in settings.pipeline:
        return None
    text = kept(settings).read_or_make()
    with token_audit(settings) as audit:
        record = TokenFile(settings.identity.token_file).record(text, "demo", "demo", ("member",), QUICKSTART)
        if record is not None:
            audit.note("token_create", record)
    return text


def _quickstart_in_database(settings: Settings) -> str:
    with opened(settings) as services:
        while True:
            text = kept(settings).read_or_make()
            digest = digest_of(text)
            if any(record.sha256 == digest for record in _records(settings)):
                return text  # Of an older version, whose tokens are not taken over yet.
            record_token(services, somebody(), _demo(services, digest))
            with services.db.read() as connection:
                found = rows.by_digest(connection, digest)
            if found is not None and not found.ends_by(services.clock()):
                return text
            kept(settings).forget(digest)  # It was revoked by other means than the command that removes the text.


def _demo(services: Services, digest: str) -> ApiToken:
    return ApiToken(
        id=services.new_id(),
        sha256=digest,
        project="demo",
        user="demo",
        roles=("member",),
        description=QUICKSTART,
        source=_COMMAND,
        created_at=services.clock(),
    )


_COMMAND: Final = "command"


def revoke_token(settings: Settings, token_id: str) -> tuple[str, str]:
    """Revoke a token; returns its user and project. The text of quickstart's goes first: what is revoked must not be
    recorded again by a start.
    """
    if not settings.keeps_tokens_in_file:
        with opened(settings) as services:
            found = find_token(services, token_id)
            if found is not None:
                kept(settings).forget(found.sha256)
                revoke_ids(services, somebody(), [found.id])
                return found.user, found.project
        if not settings.identity.token_file.exists():
            raise NotFound(f"There is no token with id {token_id!r}; glare-server token list shows them.")
    file = _token_file(settings)
    kept(settings).forget(file.find(token_id).sha256)
    with token_audit(settings) as audit:
        record = file.revoke(token_id)
        audit.note("token_revoke", record)
    if not settings.keeps_tokens_in_file:
        with opened(settings) as services:
            revoke_ids(services, somebody(), [record.id])  # What was made with it.
    return record.user, record.project


def _revoke_of_user(settings: Settings, user: str, project: str | None) -> int:
    number = 0
    if not settings.keeps_tokens_in_file:
        with opened(settings) as services:
            number += len(revoke_of_user(services, somebody(), Wanted(project, user)))
    for record in _records(settings):
        if record.user == user and project in (None, record.project):
            revoke_token(settings, record.id)
            number += 1
    where = "all projects" if project is None else f"project {project}"
    say(f"revoked: {counted(number, 'token')} of {user} in {where}.")
    return 0


def kept(settings: Settings) -> KeptToken:
    """The token of quickstart, in the directory of state."""
    return KeptToken(settings.server.state_dir / "quickstart-token")


def _create_in_database(args: Namespace, settings: Settings, lifetime: float | None) -> tuple[str, str, str]:
    named = [("project", args.project), ("user", args.user), *(("role", role) for role in args.role)]
    for what, value in named:
        check_name(what, value)
    if lifetime is not None and lifetime <= 0:
        raise InvalidParameterValue(f"A token cannot expire in {lifetime:g} seconds; give a positive time, or none.")
    if len(args.label) > _MOST_TEXT:
        raise InvalidParameterValue(f"--label may have {_MOST_TEXT} characters, and has {len(args.label)}; shorten it.")
    text = new_token()
    with opened(settings) as services:
        now = services.clock()
        try:
            expires = None if lifetime is None else now + int(lifetime * SECOND)
            shown = "" if expires is None else f"{_moment(expires)}"
        except (OverflowError, ValueError):
            raise InvalidParameterValue(
                f"A token cannot expire in {lifetime:g} seconds; leave the time out for a token that lasts."
            ) from None
        notice = services.rules.tokens.notice
        token = ApiToken(
            id=services.new_id(),
            sha256=digest_of(text),
            project=args.project.strip(),
            user=args.user.strip(),
            roles=tuple(dict.fromkeys(role.strip() for role in args.role or ["member"])),
            description=args.label,
            limits=limits_of(services, read_only=args.read_only, types=args.type or None, names=args.name or None),
            networks=tuple(map(read_network, args.network)) or None,
            source=_COMMAND,
            created_at=now,
            expires_at=expires,
            notify_at=None if expires is None or not notice or expires - notice <= now else expires - notice,
        )
        record_token(services, somebody(), token)
    return text, token.id, shown


def _create_in_file(args: Namespace, settings: Settings, lifetime: float | None) -> tuple[str, str, str]:
    if args.read_only or args.type or args.name or args.network:
        raise InvalidParameterValue(
            "Tokens of the token file have no limits; set [identity] pipeline to token_file, tokens, which keeps new "
            "ones in the database, or leave the limits out."
        )
    with token_audit(settings) as audit:
        text, record = _token_file(settings).create(
            args.project, args.user, tuple(args.role) or ("member",), lifetime, args.label
        )
        audit.note("token_create", record)
    return text, record.id, "" if record.expires is None else _minute(record.expires)


def _records(settings: Settings) -> Sequence[TokenRecord]:
    """What is in the token file, where that is looked at."""
    return TokenFile(settings.identity.token_file).list() if _FILE in settings.pipeline else ()


def _token_file(settings: Settings) -> TokenFile:
    """The token file, which has to be there: one that a command made in a wrong folder would let nobody in."""
    path = settings.identity.token_file
    if not path.exists():
        raise NotFound(f"There is no token file {path} ([identity] token_file); {REMEDY}.")
    return TokenFile(path)


def _all(services: Services) -> Iterator[ApiToken]:
    after = None
    while True:
        with services.db.read() as connection:
            page = rows.page(connection, Wanted(), services.clock(), _PAGE, after)
        yield from page
        if len(page) < _PAGE:
            return
        after = (page[-1].created_at, page[-1].id)


def _of_record(record: TokenRecord) -> ApiToken:
    return ApiToken(
        id=record.id,
        sha256=record.sha256,
        project=record.project,
        user=record.user,
        roles=record.roles,
        description=record.label[:_MOST_TEXT],
        source=_FILE,
        created_at=int(record.created.timestamp()) * SECOND,
        expires_at=None if record.expires is None else int(record.expires.timestamp()) * SECOND,
    )


def _lifetime(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise InvalidParameterValue(
            f"--expires is {text!r}, but it must be a duration such as 12h, 30d or 52w."
        ) from None
    if not text.strip()[-1:].isalpha():
        raise InvalidParameterValue(
            f"--expires is {text!r}, which does not say of what; write {text.strip()}d for days, {text.strip()}h for "
            f"hours, or {text.strip()}s for seconds."
        )
    return seconds


def _tell_if_unused(settings: Settings) -> None:
    if not {_DATABASE, _FILE} & set(settings.pipeline):
        sources = ", ".join(settings.pipeline)
        say(f"warning: the service does not look at these tokens, because [identity] pipeline is {sources}.")


def _row(token: ApiToken) -> tuple[str, ...]:
    return (
        token.id,
        token.project,
        token.user,
        ",".join(token.roles),
        _moment(token.created_at),
        "never" if token.expires_at is None else _moment(token.expires_at),
        "-" if token.last_used_at is None else _moment(token.last_used_at),
        _limits(token),
        _short(token.description),
    )


def _row_of_file(record: TokenRecord) -> tuple[str, ...]:
    return (
        record.id,
        record.project,
        record.user,
        ",".join(record.roles),
        _minute(record.created),
        _minute(record.expires) if record.expires else "never",
        "-",
        "-",
        _short(record.label),
    )


def _limits(token: ApiToken) -> str:
    limits = token.limits
    parts = [
        *(["read-only"] if limits.read_only else []),
        *(["types"] if limits.types is not None else []),
        *(["names"] if limits.names is not None else []),
        *(["networks"] if token.networks is not None else []),
    ]
    return ",".join(parts) or "-"


def _document(token: ApiToken, now: int) -> dict[str, Any]:
    shown = represent_token(token, now)
    return {
        "id": shown.id,
        "project": shown.project,
        "user": shown.user,
        "roles": shown.roles,
        "created": shown.created_at,
        "expires": shown.expires_at,
        "label": shown.description,
        "read_only": shown.read_only,
        "types": shown.types,
        "names": shown.names,
        "networks": shown.networks,
        "last_used": shown.last_used_at,
        "state": shown.state.value,
        "kept_in": "database",
    }


def _document_of_file(record: TokenRecord) -> dict[str, Any]:
    expired = record.expires is not None and record.expires <= datetime.now(record.expires.tzinfo)
    return {
        "id": record.id,
        "project": record.project,
        "user": record.user,
        "roles": list(record.roles),
        "created": record.created.isoformat(),
        "expires": record.expires.isoformat() if record.expires else None,
        "label": record.label,
        "state": (TokenState.EXPIRED if expired else TokenState.ACTIVE).value,
        "kept_in": "file",
    }


def _short(label: str) -> str:
    return label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}…"


def _moment(micros: int) -> str:
    text = moment.text(micros)
    return f"{text[:10]} {text[11:16]}Z"


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}Z"
