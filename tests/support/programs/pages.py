"""Pages of the documentation, run as they are written.

A page is read block by block. Blocks of kind `sh` are given to one shell, in order; in those of kind `console` the
lines after `$ ` are. A line of `glare-server serve` or `make run` starts the service, as in a terminal of its own. A
`text` or `json` block after commands in the same section, and what a `console` block has between its commands, is what
they print, and is compared with what they did print. Differences that no two runs avoid are none:

- ids, tokens, times and digests of random data, which must be the same ones wherever the page has the same ones,
- the width of columns,
- `…` within a line, which stands for anything, and a line of `...`, which stands for any lines.

An HTML comment before a block says what else to do with it:

- `<!-- file: NAME -->`: the reader saves it under this name;
- `<!-- run by tests/… -->`: this test runs it;
- `<!-- not run: REASON -->`: it cannot be run here;
- `<!-- in any order -->`: its lines of output may come in any order.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pytest

from server_process import free_ports
from support.programs.client import find_commands
from support.programs.command import environment, wait_for
from support.programs.keystone import running_keystone
from support.programs.programs import find_program

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 200.0
"""Seconds that a block may take, and that what a program in the background prints may take to come."""

BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>[\w-]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (file|run by|not run|in any order):?([^>]*?)-->\s*$")
SERVES = re.compile(r"^(?:\w+=\S+ )*(?:glare-server serve|make run)\b.*$", re.MULTILINE)
OUTPUT = ("text", "json")
END = "--8<-- end of block "

PLACEHOLDERS = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?)"
    r"|(?P<request>req-[0-9a-f-]{36})"
    r"|(?P<uuid>\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
    r"|(?P<digest>\b[0-9a-f]{64}\b)"
    r"|(?P<id>(?:\b|(?<=msg_))[0-9a-f]{32}\b)"
    r"|(?P<token>\bglare_[A-Za-z0-9_-]{43,50})"
)
FREE = ("time", "request")
"""Placeholders that are another one each time."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: its kind, its text, its section, and what the comment before it says."""

    kind: str
    text: str
    section: int
    line: int
    mark: str = ""
    value: str = ""

    def commands(self) -> list[tuple[str, str]]:
        """Commands, each with the output that stands below it."""
        if self.kind == "sh":
            return [(self.text, "")]
        found: list[tuple[str, str]] = []
        for piece in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            lines = piece.splitlines()
            count = 1
            while lines[count - 1].endswith("\\") or _open_quote("\n".join(lines[:count])):
                count += 1
            found.append(("\n".join(lines[:count]) + "\n", "\n".join(lines[count:])))
        return found


def _open_quote(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return True
    return False


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page."""
    text = page.read_text("utf-8")
    found = []
    for match in BLOCK.finditer(text):
        before = text[: match.start()]
        mark = MARK.search(before)
        indent = match["indent"]
        found.append(
            Block(
                kind=match["kind"],
                text=re.sub(rf"^{indent}", "", match["text"], flags=re.MULTILINE) if indent else match["text"],
                section=len(re.findall(r"^##? ", BLOCK.sub("", before), re.MULTILINE)),
                line=before.count("\n") + 1,
                mark=mark[1] if mark else "",
                value=" ".join(mark[2].split()) if mark else "",
            )
        )
    return found


@dataclass(frozen=True)
class Scene:
    """What a page takes for granted.

    `replaced` are names of the page and what stands for them here; each must be on the page. `given` are commands that
    the reader has run before, `serve` how the service was started where the page does not, `files` what was saved
    before, `programs` whose environment is first in the path, and `keystone` whether one runs, at its customary port.
    `needs` are programs without which the test is skipped, `refused` the answers of 4xx and 5xx that the page brings
    about, by status.
    """

    replaced: Mapping[str, str] = field(default_factory=dict)
    given: str = ""
    serve: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    programs: str = ""
    keystone: bool = False
    needs: Sequence[str] = ("curl",)
    ports: Sequence[str] = ("9494", "8000", "8001", "8002")
    refused: Mapping[str, int] = field(default_factory=dict)


class Reader:
    """Somebody who does what a page says, in an empty directory, with a terminal for the service and one to type in."""

    def __init__(self, directory: Path, scene: Scene) -> None:
        for name in scene.needs:
            find_program(name)
        self.directory = directory
        self.scene = scene
        self.printed = ""
        self.token = ""
        self._same: dict[str, str] = {}
        self._stack = ExitStack()
        self._ports = dict(zip(scene.ports, map(str, free_ports(len(scene.ports))), strict=True))
        self._service: subprocess.Popen[str] | None = None
        self._used: set[str] = set()
        programs = directory.parent / "programs"
        programs.mkdir()
        _command(programs / "glare-server")
        path = [*_programs(scene.programs), str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        self._variables = {
            **environment(),
            "PATH": ":".join(path),
            "HOME": str(directory),
            "OS_DEFAULT__BIND_PORT": self._ports["9494"],
            **{name: self._adapted(value) for name, value in scene.variables.items()},
        }

    def __enter__(self) -> Self:
        if self.scene.keystone:
            folder, port = self.directory.parent / "keystone", int(self._ports["5000"])
            self._stack.enter_context(running_keystone(folder, port=port, make=False))
        log = self._stack.enter_context((self.directory.parent / "terminal").open("wb"))
        self._log = self.directory.parent / "terminal"
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.directory,
            env=self._variables,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._stack.callback(_end, self._shell)
        for name, text in self.scene.files.items():
            self._save(name, text)
        if self.scene.serve:
            self._serve(self._adapted(self.scene.serve))
        self._type("set -e\n" + self._adapted(self.scene.given), "what the page takes for granted")
        self.printed = ""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def follow(self, page: Path) -> None:
        """Do all that the page says."""
        last: Block | None = None
        for block in blocks_of(page):
            where = f"{page.name}:{block.line}"
            if block.mark in ("run by", "not run"):
                last = None
            elif block.mark == "file":
                self._save(block.value, block.text)
            elif block.kind in ("sh", "console"):
                for command, output in block.commands():
                    self._do(command, output, where, block.mark == "in any order")
                last = block
            elif block.kind in OUTPUT and last is not None and last.section == block.section:
                self._expect(block.text, where, block.mark == "in any order")
        for written in self.scene.replaced:
            assert written in self._used, f"{page.name} no longer has {written!r}"
        assert self._refused() == dict(self.scene.refused), self._service_log()

    def _do(self, command: str, output: str, where: str, unordered: bool) -> None:
        service = SERVES.search(command)
        if service:
            before, after = command[: service.start()], command[service.end() :]
            if before.strip():
                self._type(self._adapted(before), where)
            self._serve(self._adapted(service[0]))
            command = after
        if command.strip():
            self.printed = ""
            self._type(self._adapted(command), where)
        if output.strip():
            self._expect(output, where, unordered)

    def _adapted(self, text: str) -> str:
        for written, meant in self.scene.replaced.items():
            if written in text:
                self._used.add(written)
                text = text.replace(written, meant.replace("$PWD", str(self.directory)))
        for written, meant in self._ports.items():
            text = re.sub(rf"\b{written}\b", meant, text)
        return text.replace("TOKEN=…", f"TOKEN={self.token}")

    def _save(self, name: str, text: str) -> None:
        (self.directory / name).write_text(self._adapted(text), "utf-8")

    def _serve(self, command: str) -> None:
        """Start the service as a reader does, in another terminal."""
        assert self._service is None, "the page starts a second service"
        if "make run" in command:
            command = command.replace("make run", _recipe("run"))
        path = self.directory.parent / "service"
        log = self._stack.enter_context(path.open("wb"))
        self._service = subprocess.Popen(
            ["bash", "-c", f"{command}\n"],
            cwd=self.directory,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        self._stack.callback(_end, self._service)
        try:
            wait_for(f"http://127.0.0.1:{self._ports['9494']}/readyz", self._service)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._service_log()}") from None
        deadline = time.monotonic() + PATIENCE
        while "--quickstart" in command and "Ctrl-C" not in self._service_log():
            assert time.monotonic() < deadline, self._service_log()
            time.sleep(0.05)
        found = re.search(r"\bglare_[A-Za-z0-9_-]{43,50}", self._service_log())
        self.token = found[0] if found else ""

    def _service_log(self) -> str:
        path = self.directory.parent / "service"
        return path.read_text("utf-8") if path.exists() else ""

    def _everything(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def _type(self, command: str, where: str) -> None:
        """Give a block to the shell, and wait until it is done."""
        assert self._shell.stdin is not None
        file = self.directory.parent / "block"
        file.write_text(command + "\n", "utf-8")
        start = len(self._everything())
        self._write(self._shell.stdin, f". {shlex.quote(str(file))} < /dev/null\nprintf '\\n{END}\\n'\n")
        deadline = time.monotonic() + PATIENCE
        while END not in self._everything()[start:]:
            said = self._everything()[start:]
            assert self._shell.poll() is None, f"{where}: a command failed\n{command}\n{said}\n{self._service_log()}"
            assert time.monotonic() < deadline, f"{where}: no end\n{command}\n{said}\n{self._service_log()}"
            time.sleep(0.02)
        self._start = start

    @staticmethod
    def _write(stream: IO[bytes], text: str) -> None:
        stream.write(text.encode())
        stream.flush()

    def _expect(self, output: str, where: str, unordered: bool) -> None:
        """What was printed since the last command, or is printed soon, is what the page shows."""
        deadline = time.monotonic() + PATIENCE
        while True:
            came = self._everything()[self._start :].replace(f"\n{END}\n", "")
            same = dict(self._same)
            if matches(output, self._as_written(came), same, unordered):
                self._same = same
                return
            if time.monotonic() > deadline or (not self._background() and END in self._everything()[self._start :]):
                raise AssertionError(f"{where} shows\n{output}\nand what came is\n{came}\n{self._service_log()}")
            time.sleep(0.1)

    def _background(self) -> bool:
        """Whether the shell has programs in the background, which may yet print."""
        children = Path(f"/proc/{self._shell.pid}/task/{self._shell.pid}/children")
        return not children.exists() or bool(children.read_text().split())

    def _as_written(self, text: str) -> str:
        """What was printed, with the page's names in the place of those of this run."""
        for written, meant in self._ports.items():
            text = re.sub(rf"\b{meant}\b", written, text)
        for written, meant in self.scene.replaced.items():
            text = text.replace(meant.replace("$PWD", str(self.directory)), written)
        return text

    def _refused(self) -> dict[str, int]:
        """The statuses of 4xx and 5xx that the service has sent, as it counts them."""
        if self._service is None:
            return {}
        url = f"http://127.0.0.1:{self._ports['9494']}/metrics"
        with urllib.request.urlopen(url, timeout=20) as response:
            text = response.read().decode()
        counts: Counter[str] = Counter()
        answers = re.findall(r'^glare_http_requests_total\{.*status="([^"]*)"\} ([\d.]+)', text, re.MULTILINE)
        for status, count in answers:
            if status[0] not in "123":
                counts[status] += int(float(count))
        return {status: count for status, count in counts.items() if count}


def matches(page: str, came: str, same: dict[str, str], unordered: bool = False) -> bool:
    """Whether what came is what the page shows. `same` says what stands for each placeholder, and learns it."""
    wanted, found = _lines(page), _lines(came)
    if unordered:
        wanted.sort(key=_shape)
        found.sort(key=_shape)
    return _match(wanted, found, same)


def _match(page: list[str], came: list[str], same: dict[str, str]) -> bool:
    if not page:
        return not came
    if page[0] == "...":
        return any(_match(page[1:], came[start:], same) for start in range(len(came) + 1))
    tried = dict(same)
    if came and _same_line(page[0], came[0], tried) and _match(page[1:], came[1:], tried):
        same.update(tried)
        return True
    return False


def _same_line(page: str, came: str, same: dict[str, str]) -> bool:
    wanted, found = list(PLACEHOLDERS.finditer(page)), list(PLACEHOLDERS.finditer(came))
    shape = "".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", _shape(page)))
    if re.fullmatch(shape, _shape(came)) is None:
        return False
    if len(wanted) != len(found):
        return "…" in page
    for one, other in zip(wanted, found, strict=True):
        if one.lastgroup != other.lastgroup:
            return "…" in page
        if one.lastgroup not in FREE and same.setdefault(one[0], other[0]) != other[0]:
            return False
    return True


def _shape(line: str) -> str:
    return re.sub(r"[ -]{2,}|\t", " ", PLACEHOLDERS.sub(lambda match: f"<{match.lastgroup}>", line)).strip()


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _recipe(target: str) -> str:
    """What `make TARGET` runs once its environment is made."""
    said = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", ".venv/.package", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.strip().replace(".venv/bin/", "")


def _programs(name: str) -> list[str]:
    """The folder of the OpenStack client's commands, where a page is about it."""
    if name != "client":
        return []
    found = find_commands()
    if isinstance(found, Path):
        return [str(found)]
    if os.environ.get("GLARE_TEST_REQUIRE") == "all":
        pytest.fail(found, pytrace=False)
    pytest.skip(found)


def _command(path: Path) -> None:
    """The command of this checkout, also where it is not installed."""
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m glare "$@"\n', "utf-8")
    path.chmod(0o755)


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End what was started, and all that it has started."""
    if process.stdin is not None:
        process.stdin.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
