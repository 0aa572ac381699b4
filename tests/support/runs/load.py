"""Clients that work all the time, as people's programs do: each asks once more where a request was not answered, or
with 502, 503 or 504, and no third time. Where an upload that was broken off still counts as one, they wait for its end.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from support.service import ACTORS, BYTES, PATCH

_TWICE: Final = frozenset({502, 503, 504})
_PAUSE: Final = 1.0
"""Seconds before the second try."""

_PATIENCE: Final = 30.0
"""Seconds for which an upload is waited for that somebody else has begun, or a node that is gone."""


@dataclass
class Load:
    """So many `clients` of the service behind `url`, from the beginning of the block to its end. Each makes an image,
    uploads it, activates it, shows it and downloads it, and begins anew.

    `promised` is what the service has said to be active, by id, with its bytes; `failures` are requests that failed
    twice, and wrong answers; `repeated` counts second tries, `answered` all answers.
    """

    url: str
    clients: int = 4
    promised: dict[str, bytes] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    repeated: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(self.clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        with httpx2.Client(base_url=self.url, timeout=20, trust_env=False) as client:
            while not self._stop.is_set():
                try:
                    self._one(
                        client,
                        f"{number}-{next(self._numbers)}",
                        chance.randbytes(chance.choice((1000, 100_000, 3_000_000))),
                    )
                except _FailedError as failed:
                    with self._lock:
                        self.failures.append(str(failed))

    def _one(self, client: httpx2.Client, name: str, data: bytes) -> None:
        # What was done and not answered is done when it is asked for again.
        members = {"name": name, "container_format": "bare", "disk_format": "raw"}
        answer = self._ask(client, "POST", "/artifacts/images", json=members, done=(409,)).json()
        if "id" not in answer:
            [answer] = self._ask(client, "GET", f"/artifacts/images?name={name}").json()["artifacts"]
        made = str(answer["id"])
        place = f"/artifacts/images/{made}"
        self._upload(client, f"{place}/image", data)
        step = [{"op": "replace", "path": "/status", "value": "active"}]
        self._ask(client, "PATCH", place, json=step, headers={"Content-Type": PATCH}, done=(400, 409))
        shown = self._ask(client, "GET", place).json()
        if shown["status"] != "active":
            raise _FailedError(f"{place} is {shown['status']}")
        with self._lock:
            self.promised[made] = data
        if self._ask(client, "GET", f"{place}/image").content != data:
            raise _FailedError(f"{place} has other bytes")

    def _upload(self, client: httpx2.Client, place: str, data: bytes) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            answer = self._ask(client, "PUT", place, content=data, headers={"Content-Type": BYTES}, done=(409,))
            if answer.is_success:
                return
            if "is being stored by another request" not in answer.text or time.monotonic() > until:
                raise _FailedError(f"PUT {place}: {answer.status_code} {answer.text[:300]}")
            time.sleep(_PAUSE)

    def _ask(
        self, client: httpx2.Client, method: str, path: str, *, done: tuple[int, ...] = (), **options: Any
    ) -> httpx2.Response:
        """The answer, of which `done` are statuses that are none of a failure at a second try."""
        headers = {"X-Auth-Token": ACTORS["alice"], **options.pop("headers", {})}
        said = ""
        for second in (False, True):
            try:
                answer = client.request(method, path, headers=headers, **options)
            except httpx2.TransportError as error:
                said = repr(error)
            else:
                with self._lock:
                    self.answered += 1
                if answer.is_success or ((second or method == "PUT") and answer.status_code in done):
                    return answer
                said = f"{answer.status_code} {answer.text[:300]}"
                if answer.status_code not in _TWICE:
                    break
            if not second:
                with self._lock:
                    self.repeated += 1
                time.sleep(_PAUSE)
        raise _FailedError(f"{method} {path}: {said}")


class _FailedError(Exception):
    """A request that failed twice, or an answer that cannot be."""
