"""Tokens in a file: how embedded installations kept them before they were in the database.

The file is JSON, changed as a whole under a lock by `glare-server token`. It keeps the sha256 of each token and never
the token.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from glare import durable
from glare.domain.actor import Actor
from glare.errors import GlareError, InvalidParameterValue, NotFound, Unauthorized, Unavailable
from glare.identity.base import Credentials, token_of
from glare.identity.token_text import PREFIX, REMEDY, digest_of, new_token

LOG = logging.getLogger(__name__)


class TokenRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of one token. `expires` is None for a token that lasts until it is revoked; times are in UTC."""

    id: str
    sha256: str
    user: str
    project: str
    roles: tuple[str, ...]
    created: datetime
    expires: datetime | None = None
    label: str = ""


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    tokens: tuple[TokenRecord, ...]


class TokenFile:
    """Reads and changes the file. Any number of processes may do both at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def list(self) -> tuple[TokenRecord, ...]:
        """All tokens, also expired ones, oldest first; none when there is no file.

        Raises `Unavailable` when the file cannot be read, does not have this form, or may be written by others.
        """
        try:
            with self.path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                data = file.read()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise Unavailable(
                f"The token file {self.path} cannot be read ({error.strerror}); mend its permissions."
            ) from error
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Unavailable(
                f"The token file {self.path} may be written by other users (mode {mode:04o}), who could give "
                f"themselves tokens; run: chmod 600 {self.path}"
            )
        if mode & stat.S_IROTH:
            LOG.warning(
                "The token file %s may be read by every user of this machine (mode %04o). It holds no tokens, but "
                "shows who has some; chmod 600 closes it.",
                self.path,
                mode,
            )
        try:
            return msgspec.json.decode(data, type=_Document).tokens
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"The token file {self.path} is damaged: {error}. Restore it, or remove it and make new tokens."
            ) from error

    def make(self) -> None:
        """Make the file without a token in it, where there is none."""
        if not self.path.exists():
            with self._changed():
                pass

    def create(
        self,
        project: str,
        user: str,
        roles: tuple[str, ...] = (),
        expires_in: float | None = None,
        label: str = "",
    ) -> tuple[str, TokenRecord]:
        """Make a token that lasts `expires_in` seconds (None: for ever). The text is shown here and never again.

        Raises `InvalidParameterValue` for a value that cannot be used.
        """
        for what, value in [("project", project), ("user", user), *(("role", role) for role in roles)]:
            check_name(what, value)
        if expires_in is not None and expires_in <= 0:
            raise InvalidParameterValue(
                f"A token cannot expire in {expires_in} seconds; give a positive time, or none."
            )
        token = new_token()
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            expires = None if expires_in is None else now + timedelta(seconds=expires_in)
        except OverflowError:
            raise InvalidParameterValue(
                f"A token cannot expire in {expires_in} seconds; leave the time out for a token that lasts."
            ) from None
        with self._changed() as records:
            record = TokenRecord(
                id=_new_id(records),
                sha256=digest_of(token),
                user=user.strip(),
                project=project.strip(),
                roles=tuple(dict.fromkeys(role.strip() for role in roles)),
                created=now,
                expires=expires,
                label=label,
            )
            records[record.id] = record
        return token, record

    def record(self, token: str, project: str, user: str, roles: tuple[str, ...], label: str) -> TokenRecord | None:
        """Record a token that the caller has made and keeps; None where it is recorded already."""
        digest = digest_of(token)
        if any(known.sha256 == digest for known in self.list()):
            return None
        now = datetime.now(UTC).replace(microsecond=0)
        with self._changed() as records:
            if any(known.sha256 == digest for known in records.values()):
                return None
            made = TokenRecord(_new_id(records), digest, user, project, roles, now, label=label)
            records[made.id] = made
        return made

    def find(self, token_id: str) -> TokenRecord:
        """A token by its id. Raises `NotFound`."""
        for record in self.list():
            if record.id == token_id:
                return record
        raise NotFound(f"There is no token with id {token_id!r}; glare-server token list shows them.")

    def revoke(self, token_id: str) -> TokenRecord:
        """Remove a token by its id. Raises `NotFound`. Running services refuse it about a second later."""
        unknown = NotFound(f"There is no token with id {token_id!r}; glare-server token list shows them.")
        if not self.path.exists():
            raise unknown  # Looking for it under the lock would make the directory.
        with self._changed() as records:
            if token_id not in records:
                raise unknown
            return records.pop(token_id)

    def retire(self) -> Path:
        """Put the file aside, so that it is not looked at any more; returns where it is now."""
        aside = self.path.with_name(f"{self.path.name}.imported")
        try:
            self.path.replace(aside)
        except OSError as error:
            raise Unavailable(
                f"The token file {self.path} cannot be renamed ({error.strerror}); its tokens are in the database, so "
                "remove it by hand."
            ) from error
        return aside

    @contextmanager
    def _changed(self) -> Iterator[dict[str, TokenRecord]]:
        """The records by id, locked; what the block leaves of them is written when it ends without an error."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The file itself is replaced, so a lock on it would be a lock on something that is gone.
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"The token file {self.path} cannot be changed ({error.strerror}); run this as the user of the service."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = {record.id: record for record in self.list()}
            yield records
            self._write(tuple(records.values()))
        finally:
            os.close(lock)

    def _write(self, records: tuple[TokenRecord, ...]) -> None:
        data = msgspec.json.format(msgspec.json.encode(_Document(1, records)), indent=1) + b"\n"
        try:
            durable.replace_file(self.path, data, self._keep_owner)
        except OSError as error:
            raise Unavailable(
                f"The token file {self.path} cannot be written ({error.strerror}); nothing was changed."
            ) from error

    def _keep_owner(self, descriptor: int) -> None:
        """When root changes the file, the user of the service must be able to read it afterwards."""
        if self.path.exists():
            before = self.path.stat()
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        else:
            before = self.path.parent.stat()
        if os.geteuid() == 0:
            os.fchown(descriptor, before.st_uid, before.st_gid)


class TokenFileSource:
    """Takes tokens that begin with `PREFIX`, and looks for them in a file.

    It looks at the file again when `look_every` seconds have passed since the last look, and for a token that it does
    not know. A file that has become unreadable or damaged is logged as an error, and the tokens that were read before
    stay. A file that is gone holds no tokens.
    """

    name = "token_file"
    remedy = REMEDY
    challenges = ('Bearer realm="glare"',)

    def __init__(
        self,
        file: TokenFile,
        *,
        look_every: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._look_every = look_every
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = time.monotonic()
        self._stamp = self._see()
        self._actors = _by_digest(file.list())

    def known(self, credentials: Credentials) -> Actor | None:
        token = token_of(credentials.headers)
        if token is None or not token.startswith(PREFIX):
            return None
        if time.monotonic() - self._looked_at >= self._look_every:
            self._look()
        digest = digest_of(token)
        if digest not in self._actors:
            self._look()  # It may have been made at this moment.
        actor = self._actors.get(digest)
        if actor is not None and actor.expires is not None and self._clock() >= actor.expires:
            raise Unauthorized(f"This token has expired. {REMEDY}")
        return actor

    def decide(self, credentials: Credentials) -> Actor | None:
        return self.known(credentials)

    def again(self, actor: Actor, _: str | None) -> Actor | None:
        if actor.source != self.name or actor.credential is None:
            return None
        if time.monotonic() - self._looked_at >= self._look_every:
            self._look()
        for found in self._actors.values():
            if (found.credential, found.user, found.project) == (actor.credential, actor.user, actor.project):
                return None if found.expires is not None and self._clock() >= found.expires else found
        return None

    def _look(self) -> None:
        with self._lock:
            self._looked_at = time.monotonic()
            stamp = self._see()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._actors = _by_digest(self._file.list())
            except GlareError as error:
                LOG.error("The tokens that were read before stay in force. %s", error.message)

    def _see(self) -> tuple[int, ...] | None:
        """What changes when the file does; None when it cannot be seen."""
        try:
            state = self._file.path.stat()
        except OSError:
            return None
        return (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size, state.st_mode)


def _by_digest(records: tuple[TokenRecord, ...]) -> Mapping[str, Actor]:
    """Actors by the hash of the token."""
    return {
        record.sha256: Actor(
            record.user,
            record.project,
            frozenset(record.roles),
            expires=None if record.expires is None else record.expires.timestamp(),
            source=TokenFileSource.name,
            credential=record.id,
        )
        for record in records
    }


def _new_id(taken: Mapping[str, TokenRecord]) -> str:
    while (token_id := secrets.token_hex(4)) in taken:
        pass
    return token_id


def check_name(what: str, value: str) -> None:
    """Raises `InvalidParameterValue` for what cannot be a member of a token."""
    if not value.strip() or len(value) > 255 or "," in value or not value.isprintable():
        raise InvalidParameterValue(
            f"{value!r} cannot be the {what} of a token: give 1 to 255 printable characters without a comma."
        )
