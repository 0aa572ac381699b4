"""`glare-server token`: the tokens of the token file."""

from __future__ import annotations

from argparse import Namespace

from glare.cli.audit import token_audit
from glare.cli.configuration import read_settings, say
from glare.cli.tables import table
from glare.errors import InvalidParameterValue
from glare.identity.token_file import TokenFile, TokenRecord
from glare.settings import Settings
from glare.settings.units import parse_duration

QUICKSTART = "quickstart"
"""Label of the token that `glare-server serve --quickstart` makes, by which the next start finds and replaces it."""

_LABEL = 40
"""Characters of a label that the list shows: longer ones would break its lines."""

_COLUMNS = ("ID", "PROJECT", "USER", "ROLES", "CREATED", "EXPIRES", "LABEL")


def create(args: Namespace) -> int:
    """`glare-server token create`. The token alone goes to standard output."""
    settings = read_settings(args)
    lifetime = None if args.expires is None else _lifetime(args.expires)
    with token_audit(settings) as audit:
        token, record = TokenFile(settings.identity.token_file).create(
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
    records = TokenFile(settings.identity.token_file).list()
    if records:
        print("\n".join(table([_COLUMNS, *map(_row, records)])))
    else:
        say(f"there are no tokens in {settings.identity.token_file}; `glare-server token create` makes one.")
    _tell_if_unused(settings)
    return 0


def revoke(args: Namespace) -> int:
    """`glare-server token revoke`."""
    settings = read_settings(args)
    with token_audit(settings) as audit:
        record = TokenFile(settings.identity.token_file).revoke(args.id)
        audit.note("token_revoke", record)
    say(f"token {record.id} of {record.user} in project {record.project} is revoked.")
    return 0


def quickstart_token(settings: Settings) -> str | None:
    """A fresh member's token of the project `demo`, in place of those of earlier starts; None where tokens are not
    asked for.
    """
    if settings.pipeline != "token_file":
        return None
    file = TokenFile(settings.identity.token_file)
    earlier = [record.id for record in file.list() if record.label == QUICKSTART]
    with token_audit(settings) as audit:
        token, record = file.create("demo", "demo", ("member",), label=QUICKSTART)
        audit.note("token_create", record)
        for token_id in earlier:
            audit.note("token_revoke", file.revoke(token_id))
    for token_id in earlier:
        say(
            f"token {token_id} of an earlier quickstart is replaced and no longer valid, also for a service that "
            f"still runs on {settings.server.state_dir}; `glare-server token create` makes tokens that stay."
        )
    return token


def _lifetime(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise InvalidParameterValue(
            f"--expires is {text!r}, but it must be a duration such as 12h, 30d or 52w."
        ) from None


def _tell_if_unused(settings: Settings) -> None:
    if settings.pipeline != "token_file":
        say(f"warning: the service does not look at tokens, because [identity] pipeline is {settings.pipeline}.")


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


def _time(record: TokenRecord) -> str:
    return f"{record.expires:%Y-%m-%d %H:%M}Z" if record.expires else ""
