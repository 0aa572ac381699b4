"""A page of a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Page(Generic[E]):
    """One page. `marker` is where the next one begins, None after the last."""

    entries: Sequence[E]
    marker: str | None


def page_of(found: Sequence[E], limit: int, marker: Callable[[E], str]) -> Page[E]:
    """The page of what was found with this limit. Where it is as long as the limit more may follow, after what `marker`
    says of its last entry.
    """
    return Page(found, marker(found[-1]) if found and len(found) == limit else None)
