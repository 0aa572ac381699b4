"""A certified OpenID Connect provider for tests: `oidc-provider` of npm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import httpx2

from support.programs.npm import NoProgramError, NpmProgram, give_up

PROVIDER: Final = NpmProgram(
    words="the OpenID Connect provider",
    sources=Path(__file__).with_name("oidc_provider"),
    name=".venv-oidc-provider",
    files=("provider.mjs",),
)
AUDIENCE: Final = "https://glare.example.com"
_SECRET: Final = "a secret of these tests only"


class OidcProvider:
    """The provider, while the block lasts. `url` is its issuer."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.url = ""

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["node", str(PROVIDER.made() / "provider.mjs")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PATH": os.environ["PATH"], "NO_UPDATE_NOTIFIER": "1"},
            )
        said = self._line()
        if not said.startswith("listening "):
            self.__exit__()
            raise NoProgramError(f"the OpenID Connect provider did not start: {self._log.read_text()[-2000:]}")
        self.url = f"http://127.0.0.1:{said.split()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(20)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def rotate(self) -> None:
        """Sign with a new key from now on; the one before stays published."""
        self._say("rotate")

    def withdraw(self) -> None:
        """Sign with a new key from now on, and publish no other."""
        self._say("withdraw")

    def token(self, scope: str = "builders", audience: str = AUDIENCE) -> str:
        """An access token, as a client of the provider gets one."""
        answer = httpx2.post(
            f"{self.url}/token",
            data={"grant_type": "client_credentials", "scope": scope, "resource": audience},
            auth=("builder", _SECRET.replace(" ", "%20")),
        )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._line().startswith("signs with ")

    def _line(self) -> str:
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()).startswith("oidc-provider "):
            pass  # What the library notices for its users.
        return line.strip()


@contextmanager
def running_provider(folder: Path) -> Iterator[OidcProvider]:
    """A provider until the block ends. Where there can be none, the test is skipped, or fails if everything is
    required.
    """
    try:
        provider = OidcProvider(folder / "provider.log").__enter__()
    except NoProgramError as reason:
        give_up(reason)
    try:
        yield provider
    finally:
        provider.__exit__()
