"""python-glareclient as its users have it: the two programs and the library, driven in the client's own environment.

``shell.alice.fields("create", "images", "cirros")`` runs `openstack artifact create images cirros` (or `glare create
…`) as Alice, and ``library.alice("artifacts.get", ID, type_name="images")`` calls the library.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

from client_environment import client_environment
from environments import NoEnvironmentError
from support.service import ACTORS, Json

PROGRAMS: Final = ("openstack", "glare")
TRANSPORTS: Final = ("session", "plain")
"""How the library speaks: through a session of keystoneauth, as `openstack` does, or by itself, as `glare` does."""

ERRORS: Final = {
    300: "HTTPMultipleChoices",
    400: "HTTPBadRequest",
    401: "HTTPUnauthorized",
    403: "HTTPForbidden",
    404: "HTTPNotFound",
    409: "HTTPConflict",
    413: "HTTPOverLimit",
    500: "HTTPInternalServerError",
}
"""Exceptions of the client's own transport, which shows no more of a refusal than its status."""


def find_commands() -> Path | str:
    """The folder of the client's commands, or the reason why there is none."""
    try:
        return client_environment(print)
    except NoEnvironmentError as reason:
        return str(reason)


def access(program: str, url: str, token: str) -> dict[str, str]:
    """The variables that a user of a program sets to reach a service without Keystone."""
    if program == "glare":
        return {"OS_GLARE_URL": url, "AUTH_TOKEN": token}
    return {"OS_AUTH_TYPE": "admin_token", "OS_ENDPOINT": url, "OS_TOKEN": token}


def plain_environment(home: Path) -> dict[str, str]:
    """An environment in which nothing of this machine's user has a say."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1"}


class Driver:
    """The process of `client_driver.py`. `folder` is the home of all commands, where they keep what they know of one
    another.
    """

    def __init__(self, commands: Path, folder: Path) -> None:
        self._args = [str(commands / "python"), str(Path(__file__).with_name("client_driver.py"))]
        self.folder = folder

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._args,
            cwd=self.folder,
            env=plain_environment(self.folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)

    def ask(self, action: str, **arguments: Any) -> Any:
        """What one of the driver's actions returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": action, **arguments}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, f"the driver ended with {self._process.wait(30)}"
        return json.loads(answer)

    @cached_property
    def offered(self) -> dict[str, list[str]]:
        """What the installed client offers by `library` and program, see `client_driver.describe`."""
        offered: dict[str, list[str]] = self.ask("describe")
        return offered


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it wrote."""

    status: int
    out: bytes
    err: str

    def __repr__(self) -> str:
        return f"status {self.status}, {self.out[:500]!r}, {self.err!r}"


def spelled(program: str, command: str) -> str:
    """A command in the words of a program: `add tag` is `artifact add tag` or `add-tag`."""
    return f"artifact {command}" if program == "openstack" else command.replace(" ", "-")


@dataclass(frozen=True)
class Person:
    """Somebody at a shell."""

    shell: Shell
    token: str

    def run(self, command: str, *words: str, stdin: bytes = b"") -> Ended:
        """Run a command, however it ends."""
        shell = self.shell
        shell.driven.add(command)
        streams = [shell.folder / "out", shell.folder / "err"]
        status = shell.driver.ask(
            "command",
            program=shell.program,
            arguments=[*spelled(shell.program, command).split(" "), *words],
            folder=str(shell.folder),
            env=plain_environment(shell.driver.folder) | access(shell.program, shell.url, self.token),
            stdin=packed(stdin),
            streams=[str(path) for path in streams],
        )
        return Ended(status, streams[0].read_bytes(), streams[1].read_text("utf-8", "replace"))

    def done(self, command: str, *words: str, stdin: bytes = b"") -> bytes:
        """What a command that succeeds writes."""
        ended = self.run(command, *words, stdin=stdin)
        assert ended.status == 0, ended
        return ended.out

    def table(self, command: str, *words: str, stdin: bytes = b"") -> Any:
        """What a command that succeeds shows, read from its JSON."""
        return json.loads(self.done(command, *words, "-f", "json", stdin=stdin))

    def fields(self, command: str, *words: str) -> Json:
        """The artifact that a command shows, a row each field."""
        return {row["Field"]: row["Value"] for row in self.table(command, *words)}

    def refused(self, status: int, said: str, command: str, *words: str, stdin: bytes = b"") -> None:
        """A command that is refused with an HTTP status; `openstack` shows the sentence of the service too."""
        ended = self.run(command, *words, stdin=stdin)
        assert (ended.status, ended.out) == (1, b""), ended
        assert f"(HTTP {status})" in ended.err, ended
        assert (said if self.shell.program == "openstack" else "") in ended.err, ended
        assert "Traceback" not in ended.err, ended

    def fails(self, said: str, command: str, *words: str) -> None:
        """A command that the client itself refuses."""
        ended = self.run(command, *words)
        assert (ended.status, ended.out) == (1, b""), ended
        assert said in ended.err, ended


@dataclass
class Shell:
    """One of `PROGRAMS`, in a folder, for everybody. `driven` has the commands that were run."""

    program: str
    driver: Driver
    url: str
    folder: Path
    driven: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.alice, self.bob, self.admin = (self.person(ACTORS[name]) for name in ("alice", "bob", "admin"))

    def person(self, token: str) -> Person:
        return Person(self, token)

    def file(self, name: str, data: bytes) -> str:
        """Write a file into the folder of the commands; its name there."""
        (self.folder / name).write_bytes(data)
        return name


class Raised(Exception):
    """What the library raised: the name of the exception's class, and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the library."""

    library: Library
    token: str

    def __call__(self, method: str, *arguments: Any, **options: Any) -> Any:
        """What a method such as ``artifacts.get`` returns; a generator's items, and a blob's bytes.

        Raises:
            Raised: it raised something.
        """
        library = self.library
        library.driven.add(method)
        answer = library.driver.ask(
            "call",
            url=library.url,
            token=self.token,
            transport=library.transport,
            method=method,
            arguments=[packed(argument) for argument in arguments],
            options={name: packed(value) for name, value in options.items()},
        )
        if "raised" in answer:
            raise Raised(answer["raised"], answer["text"])
        returned = answer["returned"]
        if isinstance(returned, dict) and "bytes" in returned:
            data = base64.b64decode(returned["bytes"])
            assert len(data) == returned["length"]
            return data
        return returned

    def refused(self, status: int, said: str, method: str, *arguments: Any, **options: Any) -> None:
        """A call that is refused with an HTTP status; a session brings the sentence of the service too."""
        with pytest.raises(Raised) as refusal:
            self(method, *arguments, **options)
        raised = refusal.value
        if self.library.transport == "plain":
            assert raised.kind == ERRORS[status], raised
        else:
            assert said in raised.text, raised
        assert f"(HTTP {status})" in raised.text, raised


@dataclass
class Library:
    """The library over one of `TRANSPORTS`, for everybody. `driven` has the methods that were called."""

    transport: str
    driver: Driver
    url: str
    driven: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.alice, self.bob, self.admin = (self.caller(ACTORS[name]) for name in ("alice", "bob", "admin"))

    def caller(self, token: str) -> Caller:
        return Caller(self, token)


def packed(value: Any) -> Any:
    """An argument as the driver reads it: bytes, a file by its path, or chunks of bytes without a known length."""
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, Path):
        return {"file": str(value)}
    if isinstance(value, Iterable) and not isinstance(value, str | Sequence | dict):
        return {"chunks": [packed(chunk) for chunk in value]}
    return value
