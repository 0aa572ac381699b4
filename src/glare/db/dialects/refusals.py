"""Why a database cannot be reached, for the operator: what the driver says, with the option and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sqlalchemy import URL, make_url

OPTION: Final = "[database] connection"

_USER: Final = re.compile(
    r"password authentication failed|no password supplied|authentication failed|role .* does not exist"
    r"|no pg_hba\.conf entry|Access denied for user|not permitted to log in",
    re.IGNORECASE,
)
_DATABASE: Final = re.compile(r"database .* does not exist|Unknown database", re.IGNORECASE)
_DRIVERS: Final = ("psycopg", "pymysql", "MySQLdb")


def why_unreachable(connection: str, error: BaseException) -> str | None:
    """The sentence for an error that came of connecting to a server; None for any other error, and for SQLite."""
    url = make_url(connection)
    if url.get_backend_name() == "sqlite":
        return None
    said = next((_said(each, url) for each in _chain(error) if _is_of_connecting(each)), None)
    if said is None:
        return None
    place = f"{url.host or 'this machine'}{f' port {url.port}' if url.port else ''}"
    if _USER.search(said):
        return (
            f"The database server at {place} refuses user {url.username!r} of {OPTION} ({said}); correct the user or "
            "the password in the URL, or the rights on the server."
        )
    if _DATABASE.search(said):
        return (
            f"The database server at {place} has no database {url.database!r}, which {OPTION} names ({said}); make it, "
            "or correct the URL."
        )
    return (
        f"The database server at {place}, which {OPTION} names, cannot be reached ({said}); start it, or correct the "
        "URL."
    )


def _is_of_connecting(error: BaseException) -> bool:
    """Whether it is the driver's, and says that there is no connection: the server's other errors have a state."""
    if not type(error).__module__.startswith(_DRIVERS) or type(error).__name__ not in (
        "OperationalError",
        "ConnectionTimeout",
    ):
        return False
    code = error.args[0] if error.args else None
    if isinstance(code, int):
        return code in (1044, 1045, 1049, 1698, 2002, 2003, 2005)
    return getattr(error, "sqlstate", None) is None or str(getattr(error, "sqlstate", "")).startswith(
        ("28", "3D", "08")
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came of."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__context__, each.__cause__, getattr(each, "orig", None)]


def _said(error: BaseException, url: URL) -> str:
    """What the driver says, on one line, without the password."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    text = " ".join(text.split("\n")[0].split())
    text = re.sub(r"^connection failed: |^.*FATAL: +", "", text)
    return text.replace(str(url.password), "***") if url.password and len(str(url.password)) > 3 else text
