"""Figures, and the table that shows them beside what they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Beside:
    """What was measured beside a figure, in turns with it: its name, its runs, and the ratio that is wanted (None: only
    shown).
    """

    name: str
    runs: Sequence[float]
    wanted: float | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with all its runs. `higher` says which way is better; `target` is absolute, None where a ratio
    decides.
    """

    name: str
    unit: str
    runs: Sequence[float]
    target: float | None = None
    higher: bool = True
    beside: Beside | None = None

    @property
    def best(self) -> float:
        return self._best(self.runs)

    @property
    def ratio(self) -> float | None:
        """Best over best: what else the machine does makes both worse, and neither better. None where the peer was too
        quick to measure.
        """
        beside = 0.0 if self.beside is None else self._best(self.beside.runs)
        return self.best / beside if beside else None

    @property
    def met(self) -> str:
        """Whether every target is met, with a word where only some are; empty without a target."""
        met = {}
        if self.target is not None:
            met["figure"] = self._reaches(self.best, self.target)
        if self.beside is not None and self.beside.wanted is not None and self.ratio is not None:
            met["ratio"] = self._reaches(self.ratio, self.beside.wanted)
        if not met or all(met.values()):
            return "yes" if met else ""
        return "**no**" if not any(met.values()) else f"{next(name for name, reached in met.items() if reached)} only"

    def row(self) -> list[str]:
        """The cells of the table."""
        sign = "≥" if self.higher else "≤"
        beside, ratio, wanted = "", "", ""
        if self.beside is not None and self.ratio is not None:
            beside = f"{self.beside.name}: {_short(self._best(self.beside.runs))}"
            ratio = f"{self.ratio:.2f}"
            wanted = "" if self.beside.wanted is None else f"{sign} {self.beside.wanted:g}"
        target = "" if self.target is None else f"{sign} {_short(self.target)}"
        name = f"{self.name}, {self.unit}"
        return [name, _short(self.best), _short(median(self.runs)), target, beside, ratio, wanted, self.met]

    def _best(self, runs: Sequence[float]) -> float:
        return max(runs) if self.higher else min(runs)

    def _reaches(self, value: float, wanted: float) -> bool:
        return value >= wanted if self.higher else value <= wanted


def table(figures: Sequence[Figure]) -> str:
    """All figures as a Markdown table."""
    head = ["figure", "best", "median", "target", "beside it, best", "ratio", "wanted", "met"]
    rows = [head, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def _short(value: float) -> str:
    """Three digits that say something, and no exponent."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
