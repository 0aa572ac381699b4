"""Threads for work that waits: who has a place, whose turn it is, and that slow work costs nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from glare.context import PARTY
from glare.operations.crew import Crew, CrewBounds, Member, Task
from glare.shares import SERVICE, Party

BOUNDS = CrewBounds(places=2, most=6, of_project=3, slow_after=1.0)


class Work:
    """A crew whose clock a test moves; tasks last until `release`, and use the processor where they are `busy`."""

    def __init__(self, bounds: CrewBounds = BOUNDS) -> None:
        self.now = 0.0
        self.busy: set[str] = set()
        self.asked: list[tuple[frozenset[str], frozenset[str]]] = []
        self._release = threading.Event()
        self.crew = Crew("test", bounds, clock=lambda: self.now, used=self._used)

    def _used(self, member: Member) -> float:
        return self.now if member.project in self.busy else 0.0

    def begin(self, project: str) -> bool:
        """Whether work of `project` was begun, if it may have more."""

        def claim(full: frozenset[str], present: frozenset[str]) -> Task | None:
            self.asked.append((full, present))
            return None if project in full else Task(project, self._until_released)

        return self.crew.begin(claim)

    def _until_released(self) -> None:
        self._release.wait(30)

    def release(self) -> None:
        self._release.set()


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.release()
    work.crew.stop()


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")


def test_work_that_waits_gives_its_place(work: Work) -> None:
    """Two slow origins hold both places for as long as it takes to see it, and then none."""
    assert work.begin("a")
    assert work.begin("b")
    assert not work.begin("victim")
    work.now = 1.0
    assert work.begin("victim")
    assert work.crew.under_way == (1, 2)


def test_work_that_works_keeps_its_place(work: Work) -> None:
    """Whose thread uses the processor is not slow, however long it takes; when it stops to, it is."""
    work.busy = {"a", "b"}
    assert work.begin("a")
    assert work.begin("b")
    for _ in range(5):
        work.now += 1.0
        assert not work.begin("victim")
    work.busy = {"b"}
    work.now += 1.0
    assert work.begin("victim")


def test_a_project_has_a_bound_for_all_that_it_has(work: Work) -> None:
    """Slow work counts against its project, whose next piece waits, and another project's does not."""
    for _ in range(3):
        assert work.begin("a")
        work.now += 1.0
    assert not work.begin("a")
    assert work.asked[-1] == (frozenset({"a"}), frozenset({"a"}))
    assert work.begin("b")


def test_turns_are_given_by_time_and_not_by_number(work: Work) -> None:
    """Of two projects that both have more to do, the one whose work takes long waits until the other has had as much
    time, or has nothing more; one that had none lately comes before both.
    """
    waiting = ["slow", "quick", "new"]

    def claim(full: frozenset[str], present: frozenset[str]) -> Task | None:
        for but in (full | present, full):
            for project in waiting:
                if project not in but:
                    begun.append(project)
                    return Task(project, lambda: None)
        return None

    begun: list[str] = []
    work.crew._time.add("slow", 100.0, work.now)
    work.crew._time.add("quick", 1.0, work.now)
    assert work.crew.begin(claim)
    waiting.remove("new")
    for _ in range(3):
        until(lambda: work.crew.under_way == (0, 0))
        assert work.crew.begin(claim)
    waiting.remove("quick")
    until(lambda: work.crew.under_way == (0, 0))
    assert work.crew.begin(claim), "who is alone does not wait"
    assert begun == ["new", "quick", "quick", "quick", "slow"]


def test_time_that_was_used_long_ago_is_forgotten(work: Work) -> None:
    """Half of it after a minute, and all of it some time; and no more projects are remembered than a few."""
    time_used = work.crew._time
    time_used.add("slow", 8.0, 0.0)
    assert time_used.lately(60.0) == {"slow": 4.0}
    time_used.add("slow", 1.0, 60.0)
    assert time_used.lately(60.0) == {"slow": 5.0}
    assert time_used.lately(3600.0) == {}
    for number in range(2000):
        time_used.add(f"p{number}", 1.0, 3600.0)
    assert len(time_used.lately(3600.0)) == 1000


def test_what_is_under_way_counts_as_time(work: Work) -> None:
    """Work that has gone on for long makes its project wait before it has ended."""
    assert work.begin("slow")
    work.now = 50.0
    assert work.begin("quick")
    work.now = 51.0
    assert work.begin("new")
    assert (frozenset({"slow"}), frozenset({"slow", "quick"})) in work.asked


def test_all_together_are_bounded(work: Work) -> None:
    """Threads do not grow without end, however many projects wait."""
    for at in range(6):
        assert work.begin(f"p{at}")
        work.now += 1.0
    assert not work.begin("another")


def test_the_end_of_work_makes_room_at_once() -> None:
    """`run` looks again when something has ended, and not only after its period."""
    crew = Crew("test", CrewBounds(places=1, most=1, of_project=1, slow_after=1000.0))
    left = [1, 2, 3, 4, 5]
    done: list[int] = []

    def claim(*_: frozenset[str]) -> Task | None:
        if not left:
            return None
        number = left.pop()
        return Task("p", lambda: done.append(number))

    thread = threading.Thread(target=crew.run, args=(claim, 1000.0), daemon=True)
    thread.start()
    until(lambda: len(done) == 5)
    crew.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_errors_end_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """A claim or a task that raises is reported, and the next one is done."""
    crew = Crew("test", CrewBounds(places=1, most=1, of_project=1, slow_after=1.0))
    rounds = iter(["claim", "task", "well"])
    done = threading.Event()

    def fail() -> None:
        raise ValueError("task")

    def claim(*_: frozenset[str]) -> Task | None:
        what = next(rounds, None)
        if what == "claim":
            raise ValueError("claim")
        return None if what is None else Task("p", fail if what == "task" else done.set)

    thread = threading.Thread(target=crew.run, args=(claim, 0.01), daemon=True)
    thread.start()
    assert done.wait(30)
    crew.stop()
    thread.join(30)
    assert sum(record.message == "background work failed" for record in caplog.records) == 2


def test_the_work_is_its_projects() -> None:
    """Whatever waits in line below it does so as the project, or as the service where it is nobody's."""
    crew = Crew("test", CrewBounds(places=2, most=2, of_project=2, slow_after=1.0))
    seen: list[Party] = []
    for project in ("p", ""):
        assert crew.begin(lambda *_, project=project: Task(project, lambda: seen.append(PARTY.get())))
        until(lambda: crew.under_way == (0, 0))
    assert seen == [Party.project("p"), SERVICE]


def test_real_threads_tell_who_waits() -> None:
    """A thread that sleeps is slow, and one that computes is not."""
    crew = Crew("test", CrewBounds(places=2, most=4, of_project=4, slow_after=0.2))
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(range(1000))

    def sleep() -> None:
        ended.wait(30)

    assert crew.begin(lambda *_: Task("sleeper", sleep))
    assert crew.begin(lambda *_: Task("worker", compute))
    try:
        until(lambda: not crew.begin(lambda *_: None) and crew.under_way == (1, 1))
    finally:
        ended.set()
        crew.stop()
