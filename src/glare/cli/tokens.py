"""`glare-server token`: the tokens of the token file."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from glare.cli.audit import token_audit
from glare.cli.configuration import REMEDY, read_settings, say
from glare.cli.tables import print_table
from glare.errors import InvalidParameterValue, NotFound
from glare.identity.kept_token import KeptToken
from glare.identity.token_file import TokenFile, TokenRecord
from glare.settings import Settings
from glare.settings.units import parse_duration

QUICKSTART = "quickstart"
"""Label of the token that `glare-server serve --quickstart` makes, by which people recognise it."""

_LABEL = 40
"""Characters of a label that the list shows: longer ones would break its lines."""

_COLUMNS = ("ID", "PROJECT", "USER", "ROLES", "CREATED", "EXPIRES", "LABEL")


def create(args: Namespace) -> int:
    """`glare-server token create`. The token alone goes to standard output."""
    settings = read_settings(args)
    lifetime = None if args.expires is None else _lifetime(args.expires)
    with token_audit(settings) as audit:
        token, record = _token_file(settings).create(
            args.project, args.user, tuple(args.role) or ("member",), lifetime, args.label
        )
        audit.note("token_create", record)
    expiry = f"valid until {_time(record)}" if record.expires else "valid until it is revoked"
    say(f"token {record.id} for {record.user} of project {record.project} as {', '.join(record.roles)}, {expiry}.")
    say("it is shown here and never again:")
    print(token)
    _tell_if_unused(settings)
    return 0


def list_tokens(args: Namespace) -> int:
    """`glare-server token list`."""
    settings = read_settings(args)
    records = _token_file(settings).list()
    if not print_table(args, _COLUMNS, list(map(_row, records)), list(map(_document, records))):
        say(f"there are no tokens in {settings.identity.token_file}; `glare-server token create` makes one.")
    _tell_if_unused(settings)
    return 0


def revoke(args: Namespace) -> int:
    """`glare-server token revoke`."""
    settings = read_settings(args)
    with token_audit(settings) as audit:
        record = revoke_token(settings, args.id)
        audit.note("token_revoke", record)
    say(f"token {record.id} of {record.user} in project {record.project} is revoked.")
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


def quickstart_token(settings: Settings) -> str | None:
    """A member's token of the project `demo`, the same at each start until it is revoked; None where tokens are not
    asked for.

    It is kept before it is recorded: a process that dies in between leaves a text that the next one records.
    """
    if "token_file" not in settings.pipeline:
        return None
    token = kept(settings).read_or_make()
    with token_audit(settings) as audit:
        record = TokenFile(settings.identity.token_file).record(token, "demo", "demo", ("member",), QUICKSTART)
        if record is not None:
            audit.note("token_create", record)
    return token


def revoke_token(settings: Settings, token_id: str) -> TokenRecord:
    """Revoke a token. The text of quickstart's goes first: what is revoked must not be recorded again by a start."""
    file = _token_file(settings)
    kept(settings).forget(file.find(token_id))
    return file.revoke(token_id)


def kept(settings: Settings) -> KeptToken:
    """The token of quickstart, in the directory of state."""
    return KeptToken(settings.server.state_dir / "quickstart-token")


def _token_file(settings: Settings) -> TokenFile:
    """The token file, which has to be there: one that a command made in a wrong folder would let nobody in."""
    path = settings.identity.token_file
    if not path.exists():
        raise NotFound(f"There is no token file {path} ([identity] token_file); {REMEDY}.")
    return TokenFile(path)


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
    if "token_file" not in settings.pipeline:
        sources = ", ".join(settings.pipeline)
        say(f"warning: the service does not look at these tokens, because [identity] pipeline is {sources}.")


def _row(record: TokenRecord) -> tuple[str, ...]:
    return (
        record.id,
        record.project,
        record.user,
        ",".join(record.roles),
        f"{record.created:%Y-%m-%d %H:%M}Z",
        _time(record) or "never",
        record.label if len(record.label) <= _LABEL else f"{record.label[: _LABEL - 1]}…",
    )


def _document(record: TokenRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "project": record.project,
        "user": record.user,
        "roles": list(record.roles),
        "created": record.created.isoformat(),
        "expires": record.expires.isoformat() if record.expires else None,
        "label": record.label,
    }


def _time(record: TokenRecord) -> str:
    return f"{record.expires:%Y-%m-%d %H:%M}Z" if record.expires else ""
