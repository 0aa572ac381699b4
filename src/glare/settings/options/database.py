"""Options of the database."""

from __future__ import annotations

from glare.settings.declare import (
    Section,
    integer,
    seconds,
    section,
    text,
)


@section("database")
class DatabaseSettings(Section):
    """Where metadata lives."""

    connection: str = text(
        "sqlite:///$state_dir/glare.sqlite",
        "SQLAlchemy URL of the database: `sqlite:///FILE`, `postgresql://USER:PASSWORD@HOST/NAME` (install "
        "`glare-server[postgresql]`) or `mysql://USER:PASSWORD@HOST/NAME` for MariaDB and MySQL (install "
        "`glare-server[mysql]`).",
        secret=True,
    )
    max_pool_size: int = integer(
        "20",
        "Most database connections of one process: one for each thread of requests and lists, and a few for the "
        "background work; each server process and each `glare-server worker` takes as many. Where the server grants "
        "fewer, the process works with those, and asks for more now and then.",
        at_least=2,
        at_most=1000,
    )
    pool_timeout: float = seconds(
        "10 s",
        "How long a request waits for a connection or a lock, or tries a change again that others keep undoing, "
        "before it is answered 503.",
        at_least=0.1,
        at_most=600,
    )
    statement_timeout: float = seconds(
        "15 s",
        "Time for one statement, after which a database server stops it and the request is answered 503. SQLite has "
        "no such bound.",
        at_least=0.1,
        at_most=3600,
    )
    answer_timeout: float = seconds(
        "20 s",
        "Time for which nothing may come from a database server that was asked something. The connection is given up "
        "then, and one request at a time tries whether the server answers again, while the others are answered 503 "
        "at once.",
        at_least=1,
        at_most=3600,
    )
