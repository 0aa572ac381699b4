"""Attack a real service, and print what another project sees meanwhile.

    python bench/attacks.py [--only closers,idle] [--seconds 15] [--settle 60]

One `glare-server serve` process with the embedded database and its default settings (only anonymous reading is on, and
loopback is opened for origins). While each attack goes on, a project that has nothing to do with it works: it shows an
artifact every 20 ms, uploads 1 MiB, begins a verified download, records a location and has it checked. The attackers,
the origins and this program are other processes, on the same cores. Wanted: p99 of a show ≤ 50 ms, an upload ≤ 2 s, a
verified download begins in ≤ 1 s, a recording and a check ≤ 10 s; memory ≤ 400 MB, and ≤ 200 MB after `--settle`
seconds; where the attacker's queue is full, it is refused in ≤ 100 ms. It judges nothing by its exit code; Linux only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from processes import free_port, script
from service import Glare, GlareWithTls

_MIB: Final = 1 << 20
_LOCATION: Final = "application/vnd+openstack.glare-custom-location+json"
_PATCH: Final = "application/json-patch+json"
_LONGEST: Final = 30.0
_ORIGINS: Final = [f"127.5.0.{number}" for number in range(1, 41)]
_WANTED: Final = {
    "show p99, ms": 50.0,
    "upload, s": 2.0,
    "verified begins, s": 1.0,
    "recording, s": 10.0,
    "check, s": 10.0,
    "most RSS, MB": 400.0,
    "RSS after, MB": 200.0,
    "refusal p99, ms": 100.0,
}
_REFUSED: Final = ("closers", "listers")
"""Attacks in which the attacker's queue is full, and which measure how soon it is refused."""


class Client:
    """Somebody with a token; a connection for each request, unless `keep`."""

    def __init__(self, glare: Glare, token: str | None, *, keep: bool = False) -> None:
        self._glare = glare
        self._token = token
        self._keep = keep
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json", **extra: str) -> Any:
        """The document of an answer, or its bytes. Raises OSError, `http.client.HTTPException`, ValueError for a
        refusal.
        """
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {"OpenStack-API-Version": "artifact latest", **extra}
        if self._token:
            headers["X-Auth-Token"] = self._token
        if data is not None:
            headers["Content-Type"] = kind
        connection = self._connection or self._glare.connection(_LONGEST)
        self._connection = None
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        content = answer.read()
        if self._keep and not answer.will_close:
            self._connection = connection
        else:
            connection.close()
        if answer.status >= 400:
            raise ValueError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content) if answer.headers.get("content-type", "").startswith("application/json") else content

    def begin(self, path: str) -> float:
        """Seconds until the first byte of a body is there."""
        began = time.perf_counter()
        connection = self._glare.connection(_LONGEST)
        connection.request("GET", path, headers={"X-Auth-Token": self._token or ""})
        answer = connection.getresponse()
        if answer.status != 200 or not answer.read(1):
            raise ValueError(f"GET {path}: {answer.status}")
        took = time.perf_counter() - began
        connection.close()
        return took

    def image(self, name: str, **fields: Any) -> str:
        """The path of a new image."""
        made = self.ask("POST", "/artifacts/images", {"name": name, **fields})
        return f"/artifacts/images/{made['id']}"

    def locate(self, path: str, url: str) -> None:
        self.ask("PUT", path, {"url": url}, _LOCATION)

    def location_of(self, path: str, field: str) -> str:
        """The id of an external blob's location."""
        found = self.ask("GET", f"/locations?artifact={path.rpartition('/')[2]}")
        for location in found["locations"]:
            if location.get("field", field) == field:
                return str(location["id"])
        raise ValueError(f"{path} has no location in {field}")


@dataclass
class Seen:
    """What the victim saw, in seconds; `failures` are what was refused or timed out, by activity."""

    shows: list[float] = field(default_factory=list)
    others: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def failed(self, what: str, error: Exception | str) -> None:
        if what not in self.failures:
            print(f"  {what}: {error!r}"[:300], file=sys.stderr)
        self.failures[what] = self.failures.get(what, 0) + 1

    def figures(self, most: float, after: float) -> dict[str, float]:
        """The cells of a row. What failed, or did not end, counts as infinitely long."""
        shows = sorted(self.shows)
        p99 = shows[int(len(shows) * 0.99)] * 1000 if shows else float("inf")
        worst = {
            name: float("inf") if self.failures.get(name) else max(self.others.get(name, [float("inf")]))
            for name in ("upload", "verified begins", "recording", "check")
        }
        return {
            "show p99, ms": float("inf") if self.failures.get("show") else p99,
            **{f"{name}, s": seconds for name, seconds in worst.items()},
            "most RSS, MB": most,
            "RSS after, MB": after,
        }


class Victim:
    """The project that works while others attack. `url(address, kind, size)` spells an address of an origin."""

    def __init__(self, glare: Glare, url: Callable[[str, str, int], str]) -> None:
        self._glare = glare
        self._token = glare.tokens["second"]
        self._url = url
        self._client = Client(glare, self._token)
        self._image = self._client.image("shown")
        self._located = self._client.image("located")
        self._client.locate(f"{self._located}/image", url("127.5.0.30", "good", 3 * _MIB))
        self._location = self._client.location_of(self._located, "image")
        self._count = 0

    def work(self, until: Callable[[], bool]) -> Seen:
        """Do everything, again and again."""
        seen = Seen()
        described = {
            "port": self._glare.port,
            "token": self._token,
            "path": self._image,
            "tls": self._glare.tls is not None,
        }
        shows = subprocess.Popen(script("shows.py", json.dumps(described)), stdout=subprocess.PIPE, text=True)
        threads = [
            threading.Thread(target=self._repeat, args=(name, work, seen, until))
            for name, work in (
                ("upload", self._upload),
                ("verified begins", self._download),
                ("recording", self._record),
                ("check", self._check),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shows.kill()
        text, _ = shows.communicate()
        for line in text.splitlines():
            took, _, why = line.partition(" ")
            if why:
                seen.failed("show", why)
            else:
                seen.shows.append(float(took) / 1000)
        return seen

    def _repeat(self, name: str, work: Callable[[], float], seen: Seen, until: Callable[[], bool]) -> None:
        while not until():
            try:
                seen.others.setdefault(name, []).append(work())
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                seen.failed(name, error)
            time.sleep(0.5)

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}-{threading.get_ident()}-{time.monotonic_ns()}"

    def _upload(self) -> float:
        began = time.perf_counter()
        self._client.ask("PUT", f"{self._client.image(self._name())}/image", b"u" * _MIB, "application/octet-stream")
        return time.perf_counter() - began

    def _download(self) -> float:
        return self._client.begin(f"{self._located}/image")

    def _record(self) -> float:
        path = self._client.image(self._name())
        began = time.perf_counter()
        url = self._url(f"127.5.0.{31 + self._count % 5}", "good", _MIB)
        self._client.ask("PUT", f"{path}/image", {"url": url}, _LOCATION, Prefer="respond-async")
        while self._client.ask("GET", path)["image"]["status"] != "active":
            _require_time(began, "recording")
            time.sleep(0.05)
        return time.perf_counter() - began

    def _check(self) -> float:
        before = self._seen_at()
        began = time.perf_counter()
        self._client.ask("POST", f"/locations/{self._location}/checks")
        while self._seen_at() == before:
            _require_time(began, "check")
            time.sleep(0.05)
        return time.perf_counter() - began

    def _seen_at(self) -> str:
        return str(self._client.ask("GET", f"/locations/{self._location}")["seen_at"])


def _require_time(began: float, what: str) -> None:
    if time.perf_counter() - began > _LONGEST:
        raise ValueError(f"the {what} did not happen within {_LONGEST:g} s")


class Names:
    """A name server for a service that is started with `wrapper`. It may fall silent about the attackers' names. Needs
    root.

    ``goodN.victim.example`` is the address of origin N, every other name that of the first; there are no IPv6
    addresses.
    """

    def __init__(self, folder: Path) -> None:
        configuration = folder / "resolv.conf"
        configuration.write_text("nameserver 127.5.0.50\n")
        self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.bind(("127.5.0.50", 53))
        self.is_silent = False
        threading.Thread(target=self._serve, daemon=True).start()
        self.wrapper = (
            *("unshare", "--mount", "sh", "-c"),
            *(f'mount --bind {configuration} /etc/resolv.conf && exec "$@"', "sh"),
        )

    @staticmethod
    def possible() -> bool:
        """Whether this user may do it here."""
        return os.geteuid() == 0 and not subprocess.run(["unshare", "--mount", "true"], check=False).returncode

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                question, client = self._server.recvfrom(512)
                answer = self._answer(question)
                if answer is not None:
                    self._server.sendto(answer, client)

    def _answer(self, question: bytes) -> bytes | None:
        """By RFC 1035: the header and the question are said again, and one address is added."""
        end = question.index(b"\0", 12)
        labels, at = [], 12
        while at < end:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        good = labels[-2:] == ["victim", "example"]
        if self.is_silent and not good:
            return None
        asked = question[12 : end + 5]
        has_answer = asked[-4:-2] == b"\0\1"  # Type A.
        address = _ORIGINS[int(labels[0].removeprefix("good"))] if good else _ORIGINS[0]
        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(address) if has_answer else b""
        counts = b"\0\1\0" + bytes([has_answer]) + b"\0\0\0\0"
        return question[:2] + b"\x81\x80" + counts + asked + record


class Range:
    """The service, its origins, and what the attackers need, made once."""

    def __init__(self, folder: Path, stack: ExitStack, *, names: bool, tls: bool = False) -> None:
        self._made = 0
        self._flag = folder / "hostile"
        port = free_port()
        self._origins = subprocess.Popen(
            script("slow_origins.py", str(port), str(self._flag), *_ORIGINS), stdout=subprocess.PIPE
        )
        stack.callback(self._end_origins)
        self._port = port
        if self._origins.stdout is None or not self._origins.stdout.readline():
            raise RuntimeError("the origins do not start")
        self._names = Names(folder) if names else None
        if self._names:
            stack.callback(self._names.close)
        self.glare = (GlareWithTls if tls else Glare)(
            folder / "glare",
            origin=port,
            options="\n[DEFAULT]\nallow_anonymous_access = true\n",
            wrapper=self._names.wrapper if self._names else (),
        )
        stack.callback(self.glare.stop)
        self.victim = Victim(self.glare, self.url)
        self._own = Client(self.glare, self.glare.token, keep=True)
        admin = self.glare._run("token", "create", "--project", "cloud", "--user", "root", "--role", "admin")
        self._admin = Client(self.glare, admin, keep=True)

    def url(self, address: str, kind: str, size: int) -> str:
        """An address at an origin; those of the victim have names where there is a name server that does not answer."""
        self._made += 1
        if self._names and address in _ORIGINS[29:]:
            address = f"good{_ORIGINS.index(address)}.victim.example"
        return f"http://{address}:{self._port}/{kind}/{self._made}?size={size}"

    def _end_origins(self) -> None:
        self._origins.kill()
        self._origins.wait()

    def hostile(self, on: bool) -> None:
        """Let the origins misbehave, or stop."""
        if self._names:
            self._names.is_silent = on
        if on:
            self._flag.touch()
        else:
            self._flag.unlink(missing_ok=True)

    def described(self, attack: str) -> dict[str, Any]:
        """What the attack needs; made while the origins are honest."""
        common = {
            "port": self.glare.port,
            "token": self.glare.token,
            "sources": [f"127.7.{number % 4}.{number}" for number in range(1, 17)],
        }
        return {**common, **getattr(self, f"_for_{attack}", dict)()}

    def _name(self) -> str:
        self._made += 1
        return f"a{self._made}"

    def _published(self, path: str) -> str:
        for operations in (
            [
                {"op": "replace", "path": "/container_format", "value": "bare"},
                {"op": "replace", "path": "/disk_format", "value": "raw"},
            ],
            [{"op": "replace", "path": "/status", "value": "active"}],
            [{"op": "replace", "path": "/visibility", "value": "public"}],
        ):  # fmt: skip
            self._admin.ask("PATCH", path, operations, _PATCH)
        return f"{path}/image"

    def _for_closers(self) -> dict[str, Any]:
        for _ in range(1000):
            self._own.ask(
                "POST", "/artifacts/images", {"name": self._name(), "tags": ["a", "b"], "metadata": {"k": "v"}}
            )
        return {}

    _for_listers = _for_closers

    def _for_unread_files(self) -> dict[str, Any]:
        path = self._admin.image(self._name())
        self._admin.ask("PUT", f"{path}/image", b"p" * (16 * _MIB), "application/octet-stream")
        return {"public": self._published(path)}

    def _for_unread_ranges(self) -> dict[str, Any]:
        path = self._own.image(self._name())
        self._own.locate(f"{path}/image", self.url("127.5.0.1", "good", 16 * _MIB))
        return {"verified": f"{path}/image"}

    def _for_unread_lists(self) -> dict[str, Any]:
        metadata = {f"{number:04d}" + "\u00e9" * 240: "\u00e9" * 255 for number in range(255)}
        for _ in range(100):
            self._own.ask("POST", "/artifacts/heat_templates", {"name": self._name(), "metadata": metadata})
        return {}

    def _for_unread_changes(self) -> dict[str, Any]:
        metadata = {f"{number:04d}" + "\u00e9" * 240: "\u00e9" * 255 for number in range(255)}
        made = self._own.ask("POST", "/artifacts/heat_templates", {"name": self._name(), "metadata": metadata})
        return {"large": f"/artifacts/heat_templates/{made['id']}"}

    def _for_closing_readers(self) -> dict[str, Any]:
        path = self._admin.image(self._name())
        self._admin.ask("PUT", f"{path}/image", b"p" * 200_000, "application/octet-stream")
        return {"small": self._published(path)}

    def _for_small_chunks(self) -> dict[str, Any]:
        return {"drafts": [f"{self._own.image(self._name())}/image" for _ in range(64)]}

    def _for_dripping_uploads(self) -> dict[str, Any]:
        third = Client(self.glare, self.glare.tokens["third"], keep=True)
        drafts = [(f"{self._own.image(self._name())}/image", self.glare.token) for _ in range(32)]
        drafts += [(f"{third.image(self._name())}/image", self.glare.tokens["third"]) for _ in range(32)]
        return {"drafts": drafts}

    def jobs(self, kind: str, hosts: Sequence[str], count: int) -> dict[str, Any]:
        """Recordings and checks at `hosts`."""
        checks = []
        for number in range(count):
            path = self._own.image(self._name())
            self._own.locate(f"{path}/image", self.url(hosts[number % len(hosts)], kind, 5 * _MIB))
            checks.append(f"/locations/{self._own.location_of(path, 'image')}/checks")
        recordings = [
            (f"{self._own.image(self._name())}/image", {"url": self.url(hosts[number % len(hosts)], kind, 900 * _MIB)})
            for number in range(count)
        ]
        return {"recordings": recordings, "checks": checks}

    def _for_dripping_origins(self) -> dict[str, Any]:
        return {"attack": "jobs", **self.jobs("drip", ["127.5.0.2", "127.5.0.3"], 16)}

    def _for_silent_origins(self) -> dict[str, Any]:
        return {"attack": "jobs", **self.jobs("silent", [f"127.5.0.{number}" for number in range(4, 9)], 20)}

    def _for_reflected(self) -> dict[str, Any]:
        path = self._admin.image(self._name())
        self._admin.locate(f"{path}/image", self.url("127.5.0.9", "noranges", 40 * _MIB))
        public = self._published(path)
        return {"attack": "readers", "paths": [public], "reader": None, "count": 20, "extra": "Range: bytes=-1\r\n"}

    def _for_silent_names(self) -> dict[str, Any]:
        paths = []
        for number in range(28):
            path = self._own.image(self._name())
            self._own.locate(f"{path}/image", self.url(f"n{number}.silent{number % 4}.example", "good", _MIB))
            paths.append(f"{path}/image")
        return {"attack": "readers", "paths": paths, "reader": self.glare.token, "count": 28, "extra": ""}

    def _for_crumbs(self) -> dict[str, Any]:
        paths = []
        for number in range(8):
            path = self._own.image(self._name())
            self._own.locate(f"{path}/image", self.url(f"127.5.0.{10 + number}", "crumbs", 16 * _MIB))
            paths.append(f"{path}/image")
        return {"attack": "readers", "paths": paths, "reader": self.glare.token, "count": 8, "extra": ""}


ATTACKS: Final = {
    "nothing": "nobody attacks",
    "closers": "3 000 connections ask for a list and close",
    "listers": "2 000 connections of one project list",
    "unread_files": "4 200 files that nobody reads",
    "unread_ranges": "300 verified ranges that nobody reads",
    "unread_lists": "60 lists of 26 MB that nobody reads",
    "unfinished_heads": "4 200 heads that never end",
    "idle": "4 200 idle connections",
    "dripping_documents": "1 500 documents that drip",
    "dripping_uploads": "64 uploads at 2 KiB/s",
    "dripping_origins": "two origins at 18 KB/s: 16 recordings, 16 checks",
    "silent_origins": "five origins never answer: 20 recordings, 20 checks",
    "silent_names": "28 readers, name server never answers",
    "reflected": "20 readers of the last byte, origin without ranges",
    "crumbs": "8 origins send 112-byte pieces",
    "writers": "24 heavy writers",
    "probes": "400 clients ask for health and numbers",
    "small_chunks": "128 bodies in chunks of 1 and 16 bytes",
    "unread_changes": "1 000 changes whose answers nobody reads",
    "closing_readers": "1 000 last answers that are read by the byte",
    "unfinished_handshakes": "TLS: 4 200 handshakes that never end",
    "handshakes": "TLS: 100 clients shake hands and leave",
}
_TLS: Final = ("unfinished_handshakes", "handshakes")
"""Attacks on a service that has a certificate."""


def attack(field: Range, name: str, seconds: float, settle: float) -> dict[str, float]:
    """One row of the table."""
    described = field.described(name)
    field.hostile(True)
    program = described.pop("attack", name)
    attackers = None
    if name != "nothing":
        attackers = subprocess.Popen(script("attackers.py", program, json.dumps(described)), stderr=subprocess.DEVNULL)
    time.sleep(2.0)
    refusals = _Refusals(described) if name in _REFUSED else None
    sizes: list[float] = []
    over = threading.Event()

    def weigh() -> None:
        while not over.wait(0.5):
            with suppress(OSError, ValueError):
                sizes.append(field.glare.rss())

    weighing = threading.Thread(target=weigh)
    weighing.start()
    until = time.monotonic() + seconds
    try:
        seen = field.victim.work(lambda: time.monotonic() >= until)
    finally:
        over.set()
        weighing.join()
        p99 = refusals.end() if refusals is not None else None
        if attackers is not None:
            attackers.kill()
            attackers.wait()
        field.hostile(False)
    time.sleep(settle)
    figures = seen.figures(max(sizes, default=0.0), field.glare.rss())
    return figures if p99 is None else {**figures, "refusal p99, ms": p99}


class _Refusals:
    """A client of the attacker's project in another network, that sees how soon it is refused: in the attacker's own it
    would wait for its turn behind its like.
    """

    def __init__(self, described: dict[str, Any]) -> None:
        self._program = subprocess.Popen(
            script("attackers.py", "refused", json.dumps({**described, "sources": ["127.8.0.1"]})),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def end(self) -> float:
        """The p99 of its refusals in milliseconds; infinite where there was none."""
        self._program.kill()
        text, _ = self._program.communicate()
        took = sorted(float(line) for line in text.splitlines() if line)
        return took[int(len(took) * 0.99)] if took else float("inf")


def row(name: str, cells: dict[str, float]) -> str:
    """A line of the Markdown table; what misses its bound is bold."""
    texts = [
        f"{value:.3g}" if value <= _WANTED[column] else f"**{value:.3g}**" for column, value in cells.items()
    ]  # fmt: skip
    texts += [""] * (len(_WANTED) - len(texts))
    return f"| {ATTACKS[name]} | {' | '.join(texts)} |"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", help=f"attacks, with commas between them: {', '.join(ATTACKS)}")
    arguments.add_argument("--seconds", type=float, default=15.0, help="how long each goes on")
    arguments.add_argument("--settle", type=float, default=60.0, help="after how many seconds memory is looked at")
    options = arguments.parse_args()
    chosen = options.only.split(",") if options.only else list(ATTACKS)
    if unknown := set(chosen) - set(ATTACKS):
        arguments.error(f"no such attack: {', '.join(sorted(unknown))}; there are {', '.join(ATTACKS)}")
    print(f"| while | {' | '.join(_WANTED)} |\n|{'---|' * (len(_WANTED) + 1)}")
    print(f"| wanted | {' | '.join(f'≤ {wanted:g}' for wanted in _WANTED.values())} |", flush=True)
    for name in chosen:  # Each with a service of its own: what one leaves behind must not help or harm the next.
        names = name == "silent_names"
        if name in _TLS and shutil.which("openssl") is None:
            print(f"| {ATTACKS[name]} | not measured: it needs openssl |", flush=True)
            continue
        if names and not Names.possible():
            print(f"| {ATTACKS[name]} | not measured: it needs root |", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="glare-attacks-") as folder, ExitStack() as stack:
            field = Range(Path(folder), stack, names=names, tls=name in _TLS)
            print(row(name, attack(field, name, options.seconds, options.settle)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
