"""One token kept as text, for the quickstart of an embedded installation: in a file that only its owner can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from glare import durable
from glare.errors import Unavailable
from glare.identity.token_text import digest_of, is_token, new_token


class KeptToken:
    """The file. Any number of processes may read and make it at once: all get the same token."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> str | None:
        """The token; None where there is no file. Raises `Unavailable` for one that others may read, or that is no
        token.
        """
        try:
            with self.path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                token = file.read(1024).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(
                f"The file {self.path} cannot be read ({error.strerror}); run this as the user of the service."
            ) from error
        if mode & 0o077:
            raise Unavailable(
                f"The file {self.path} holds a token, and other users may read it (mode {mode:04o}); revoke that "
                f"token, or run: chmod 600 {self.path}"
            )
        if not is_token(token):
            raise Unavailable(
                f"The file {self.path} holds no token; remove it, and the next quickstart makes a new one."
            )
        return token

    def read_or_make(self) -> str:
        """The token, a new one where there is none."""
        while (token := self.read()) is None:
            self._make()
        return token

    def forget(self, digest: str) -> None:
        """Remove the file if it holds the token that has this hash, whoever may read it."""
        try:
            if digest_of(self.path.read_text("ascii", "replace").strip()) == digest:
                self.path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(
                f"The file {self.path} cannot be removed ({error.strerror}); run this as the user of the service."
            ) from error

    def _make(self) -> None:
        """Put a new token there, whole, unless another process has done so."""
        try:
            durable.make_file(self.path, f"{new_token()}\n".encode())
        except OSError as error:
            raise Unavailable(
                f"The file {self.path} cannot be made ({error.strerror}); name another [DEFAULT] state_dir."
            ) from error
