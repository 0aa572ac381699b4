"""The driver of python-glareclient: a program for the client's own Python, which runs what it is asked for on standard
input.

Starting the client takes longer than what it does. The driver imports it once, and forks a process for each command,
whose `main` then runs as it would in a program of its own: with its own standard streams, environment, folder and exit
status. Calls of the library are made in the driver itself.

A request is a line of JSON with `do` (a name of `ACTIONS`) and its arguments, an answer is another line. Bytes go as
``{"bytes": base64}``.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import importlib
import importlib.metadata
import inspect
import io
import json
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

PROGRAMS: Final = {"openstack": "openstackclient.shell", "glare": "glareclient.shell"}
"""Module with the `main` of each program."""

PIPE: Final = 65536
"""Bytes that a pipe of Linux holds before its writer waits."""


def command(
    program: str, arguments: Sequence[str], folder: str, env: Mapping[str, str], stdin: Any, streams: Sequence[str]
) -> int:
    """Run a command in a process of its own, whose standard output and error are written into files; its exit
    status.
    """
    child = os.fork()
    if child == 0:
        status = 70
        try:
            status = _main(program, arguments, folder, env, _unpacked(stdin), streams)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _main(
    program: str, arguments: Sequence[str], folder: str, env: Mapping[str, str], stdin: bytes, streams: Sequence[str]
) -> int:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    _pipe_in(stdin)
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    importlib.import_module("cliff.app").App.NAME = program
    sys.argv = [program, *arguments]
    try:
        status = importlib.import_module(PROGRAMS[program]).main(list(arguments))
    except SystemExit as leaving:
        status = leaving.code
    except BaseException:  # noqa: BLE001 - as Python does at the end of a program
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    if isinstance(status, str):
        os.write(2, f"{status}\n".encode())
        return 1
    return int(status or 0)


def _pipe_in(data: bytes) -> None:
    # The original sys.stdin stays, with its name and its buffer, of which nothing has been read; only what is behind it
    # changes.
    if len(data) > PIPE:
        raise ValueError("more than a pipe holds")
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    os.dup2(reader, 0)


def call(
    url: str, token: str, transport: str, method: str, arguments: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    """Call a public method of the library, as ``artifacts.create``; what it returns, or the exception that it
    raises.
    """
    manager, _, name = method.partition(".")
    try:
        client = _client(url, token, transport)
        given = {key: _unpacked(value) for key, value in options.items()}
        return {"returned": _packed(getattr(getattr(client, manager), name)(*map(_unpacked, arguments), **given))}
    except Exception as error:  # noqa: BLE001 - the tests judge what the client raises
        return {"raised": type(error).__name__, "text": str(error)}


def _client(url: str, token: str, transport: str) -> Any:
    make = importlib.import_module("glareclient.client").Client
    if transport == "plain":
        return make("1", endpoint=url, auth_token=token)
    auth = importlib.import_module("keystoneauth1.token_endpoint").Token(url, token)
    session = importlib.import_module("keystoneauth1.session").Session(auth=auth)
    return make("1", session=session, service_type="artifact")


def _packed(value: Any) -> Any:
    if type(value).__name__ == "ResponseBlobWrapper":
        return {"bytes": base64.b64encode(b"".join(value)).decode(), "length": int(value.len)}
    return list(value) if isinstance(value, Iterator) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"bytes"}:
        return base64.b64decode(value["bytes"])
    if isinstance(value, dict) and value.keys() == {"chunks"}:
        return (_unpacked(chunk) for chunk in value["chunks"])
    if isinstance(value, dict) and value.keys() == {"file"}:
        return io.FileIO(value["file"])
    return value


def describe() -> dict[str, list[str]]:
    """What the installed client offers: methods of the library, and commands of the two programs."""
    shell = importlib.import_module(PROGRAMS["glare"]).GlareShell()
    entries = importlib.metadata.entry_points(group="openstack.artifact.v1")
    return {
        "library": sorted(_library()),
        "openstack": sorted(entry.name.replace("_", " ") for entry in entries),
        "glare": sorted(name for name, _ in shell.command_manager),
    }


def _library() -> Iterator[str]:
    package = importlib.import_module("glareclient.v1")
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__:
                for name, _ in inspect.getmembers(kind, inspect.isfunction):
                    if not name.startswith("_"):
                        yield f"{found.name}.{name}"


def _import_everything() -> None:
    """Import what each command imports at its start, and find once what each looks for in the metadata of all
    distributions.
    """
    for module in (*PROGRAMS.values(), "keystoneauth1.session", "glareclient.v1.client"):
        importlib.import_module(module)
    for group in importlib.metadata.entry_points().groups:
        for entry in importlib.metadata.entry_points(group=group) if group.startswith("openstack.") else ():
            # A plugin of another project may need what is not installed; `openstack` passes over it too.
            with contextlib.suppress(ImportError):
                entry.load()
    importlib.import_module("cliff.command")._get_distributions_by_modules()


ACTIONS: Final[Mapping[str, Callable[..., Any]]] = {"command": command, "call": call, "describe": describe}


def main() -> None:
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "w")
    # What a command prints belongs to the command; what is printed here by mistake must not be taken for an answer.
    os.dup2(2, 1)
    _import_everything()
    # What is imported stays shared with the processes that are forked.
    gc.freeze()
    while line := requests.readline():
        request = json.loads(line)
        print(json.dumps(ACTIONS[request.pop("do")](**request)), file=answers, flush=True)


if __name__ == "__main__":
    main()
