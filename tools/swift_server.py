"""A real Swift on loopback, with the users of TempAuth, in an environment of its own; gone with its folder."""

from __future__ import annotations

import http.client
import shutil
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from environments import CHECKOUT, TOOLS, Environment, NoEnvironmentError, Say
from server_process import ServerProcess, free_ports

USER: Final = "glare:writer"
READER: Final = "glare:reader"
"""Somebody of the same account who may do nothing but what containers let it."""

SECRET: Final = "secret-of-the-tests"  # noqa: S105 - it opens a server on loopback, which lives as long as a test


def _nothing_more(_: Say) -> None:
    """Its configuration is written where it is started."""


SWIFT: Final = Environment(
    name=".venv-swift",
    purpose="Swift",
    lock=CHECKOUT / "requirements" / "swift.txt",
    scripts=(),
    finish=_nothing_more,
)


class Swift:
    """One Swift, which runs from `__enter__` to `__exit__`; `stop` and `start` end it and start it again between. Its
    data is kept in `folder`.

    Its users are those of its TempAuth, whose tokens are in a memcached of its own. Where there is an `authtoken`, the
    group `[keystone_authtoken]` of its options, they are Keystone's.

    Raises, when entered:
        NoEnvironmentError: there is no environment for it, or no memcached.
    """

    def __init__(self, folder: Path, say: Say = print, *, authtoken: str | None = None) -> None:
        self._say = say
        self._folder = folder
        self._authtoken = authtoken
        self._process = ServerProcess("Swift", folder / "swift.log")
        self._cache = ServerProcess("memcached", folder / "memcached.log")
        self.port, self._cache_port = free_ports(2)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.auth_url = f"{self.endpoint}/auth/v1.0"

    def __enter__(self) -> Self:
        self._python = SWIFT.commands(self._say) / "python"
        memcached = shutil.which("memcached")
        if memcached is None:
            raise NoEnvironmentError("Swift's TempAuth needs memcached, which is not installed")
        self._folder.mkdir(parents=True, exist_ok=True)
        words = [memcached, "-l", "127.0.0.1", "-p", str(self._cache_port), "-m", "16", "-u", "root"]
        self._cache.start(words, self._folder, {}, lambda: _answers(self._cache_port, None))
        try:
            self.start()
        except BaseException:
            self._cache.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._cache.stop()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = [str(self._python), str(TOOLS / "serve_swift.py"), str(self._folder), str(self.port)]
        program += [str(self._cache_port), SECRET]
        if self._authtoken is not None:
            options = self._folder / "authtoken.conf"
            options.write_text(self._authtoken.replace("[keystone_authtoken]", "[filter:authtoken]"), "utf-8")
            program.append(str(options))
        self._process.start(program, self._folder, {}, lambda: _answers(self.port, "/healthcheck"))

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._process.stop()

    def make_container(self, name: str, readers: str = "") -> None:
        """Make a container; `readers` may read and list it."""
        token = self._ask("GET", "/auth/v1.0", {"X-Auth-User": USER, "X-Auth-Key": SECRET})
        self.make_container_with(token, "AUTH_glare", name, readers)

    def make_container_with(self, token: str, account: str, name: str, readers: str = "") -> None:
        """The same with a token of the account."""
        headers = {"X-Auth-Token": token, "X-Container-Read": f"{readers},.rlistings" if readers else ""}
        self._ask("PUT", f"/v1/{account}/{name}", headers)

    def forget_tokens(self) -> None:
        """As if all tokens had ended."""
        connection = _connected(self._cache_port)
        try:
            connection.connect()
            connection.sock.sendall(b"flush_all\r\n")
            if connection.sock.recv(16) != b"OK\r\n":
                raise RuntimeError("memcached forgets nothing")
        finally:
            connection.close()

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> str:
        connection = _connected(self.port)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path} was answered with {answer.status}")
            return answer.headers.get("X-Auth-Token", "")
        finally:
            connection.close()


def _connected(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


def _answers(port: int, path: str | None) -> bool:
    """Whether there is somebody at the port, who says that all is well where a path is given."""
    connection = _connected(port)
    try:
        if path is None:
            connection.connect()
            return True
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
