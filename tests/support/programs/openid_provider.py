"""A certified OpenID Connect provider for tests: `oidc-provider` of npm, in a folder of its own that is made once.

The packages come by `package-lock.json`, which names each by its digest and no place that it comes from. No script of a
package runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import httpx2
import pytest

HERE: Final = Path(__file__).with_name("oidc_provider")
FOLDER: Final = Path(__file__).resolve().parents[3] / ".venv-oidc-provider"
AUDIENCE: Final = "https://glare.example.com"
_SOURCES: Final = ("package.json", "package-lock.json", "provider.mjs")
_SECRET: Final = "a secret of these tests only"


class NoProviderError(Exception):
    """There can be no provider here."""


def made() -> Path:
    """The folder with the provider and its packages; made where it is not there or out of date. Raises
    `NoProviderError`.
    """
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        raise NoProviderError(f"missing: {', '.join(missing)}")
    stamp = FOLDER / ".made-of"
    wanted = hashlib.sha256(b"\0".join((HERE / name).read_bytes() for name in _SOURCES)).hexdigest()
    with (HERE / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return FOLDER
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        for name in _SOURCES:
            shutil.copy(HERE / name, FOLDER / name)
        words = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(words, cwd=FOLDER, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoProviderError(f"the packages of the OpenID Connect provider cannot be had: {done.stderr[-2000:]}")
        stamp.write_text(wanted)
    return FOLDER


class OidcProvider:
    """The provider, while the block lasts. `url` is its issuer."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.url = ""

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["node", str(made() / "provider.mjs")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PATH": os.environ["PATH"], "NO_UPDATE_NOTIFIER": "1"},
            )
        said = self._line()
        if not said.startswith("listening "):
            self.__exit__()
            raise NoProviderError(f"the OpenID Connect provider did not start: {self._log.read_text()[-2000:]}")
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
    except NoProviderError as reason:
        if os.environ.get("GLARE_TEST_REQUIRE") == "all":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
    try:
        yield provider
    finally:
        provider.__exit__()
