"""What the identity source of API tokens asks the database."""

from __future__ import annotations

from collections.abc import Sequence

from glare.db.callers import tokens as rows
from glare.domain.callers.api_token import ApiToken
from glare.operations.services import Services


class TokenLookup:
    """Its answers. Reads of tokens that come have the connection beside the others, so that unknown tokens in any
    number, and requests that hold all others, do not keep each other up.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def revoked_since(self, revocation: int | None, *, elsewhere: bool = False) -> tuple[int, Sequence[str]]:
        with (self._services.db if elsewhere else self._services.aside).read() as connection:
            number = rows.revocations(connection)
            if revocation is None or number <= revocation:
                return number, ()
            return number, rows.revoked_since(connection, revocation)

    def find(self, digest: str) -> ApiToken | None:
        with self._services.aside.look() as connection:
            return rows.by_digest(connection, digest)

    def fetch(self, token_id: str) -> ApiToken | None:
        with self._services.db.look() as connection:
            return rows.fetch(connection, token_id)

    def used(self, token_id: str, at_most_every: int) -> None:
        now = self._services.clock()
        self._services.db.transact(lambda connection: rows.used(connection, token_id, now, at_most_every))
