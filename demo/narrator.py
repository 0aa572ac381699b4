"""What the demonstration prints, and how it notices that something is not as it should be."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class Surprise(Exception):
    """Something came that was not expected. It ends the demonstration."""

    def __init__(self, what: str, expected: object, came: object) -> None:
        super().__init__(f"{what}\n    expected: {expected}\n    came:     {came}")


@dataclass(slots=True)
class Narrator:
    """Prints numbered steps, and keeps the seconds that each took."""

    times: list[tuple[str, float]] = field(default_factory=list)
    checks: int = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One numbered step. Its time is kept when it ends without a surprise."""
        self._print(f"\n{len(self.times) + 1}. {title}")
        start = time.monotonic()
        yield
        self.times.append((title, time.monotonic() - start))

    def note(self, text: str) -> None:
        """A sentence about what happens."""
        self._print(f"   {text}")

    def command(self, text: str) -> None:
        """A command that is about to run."""
        self._print(f"   $ {text}")

    def answer(self, text: str) -> None:
        """The essentials of what a command answered."""
        for line in text.splitlines():
            self._print(f"     {line}")

    def expect(self, what: str, came: object, expected: object) -> None:
        """Go on only if the two are equal.

        Raises:
            Surprise: they differ.
        """
        if came != expected:
            raise Surprise(what, expected, came)
        self.checks += 1
        self._print(f"   ok: {what}: {came}")

    def expect_that(self, what: str, holds: bool, came: object) -> None:
        """Go on only if `what`, a sentence, is true; `came` is what shows whether it is.

        Raises:
            Surprise: it is not true.
        """
        if not holds:
            raise Surprise(what, "that this holds", came)
        self.checks += 1
        self._print(f"   ok: {what}")

    def wait_until(self, what: str, probe: Callable[[], object], expected: object, seconds: float) -> None:
        """Ask `probe` again and again until it returns what is expected.

        Raises:
            Surprise: it does not within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while (came := probe()) != expected and time.monotonic() < deadline:
            time.sleep(0.1)
        self.expect(what, came, expected)

    def summary(self) -> None:
        """Which step took how long."""
        self._print("\nEverything was as expected.")
        self._print("")
        for number, (title, seconds) in enumerate(self.times, 1):
            self._print(f"  {number:2}. {title:<66} {seconds:5.1f} s")
        total = sum(seconds for _, seconds in self.times)
        self._print(f"      {f'{self.checks} checks, no surprise':<66} {total:5.1f} s")

    def surprise(self, failure: BaseException, logs: dict[str, str]) -> None:
        """Why the demonstration ends here, with the ends of the logs of what it had started."""
        self._print(f"\nSURPRISE in step {len(self.times) + 1}: {failure}")
        for name, text in logs.items():
            if text.strip():
                self._print(f"\n    The last lines of {name}:")
                for line in text.splitlines()[-15:]:
                    self._print(f"      {line}")

    def _print(self, text: str) -> None:
        sys.stdout.write(text.rstrip() + "\n")
        sys.stdout.flush()
