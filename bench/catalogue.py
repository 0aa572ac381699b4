"""List queries against the database itself: what a page costs among many artifacts, compared with a thousand."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from figures import Beside, Figure
from list_million import GUARANTEED, SMALL, Bench, best, build

from glare.domain.declared.compile import compile_type
from glare.domain.visibility import ListScope
from glare.types.images import Image

PLACES = (0.0, 0.5, 0.995)
OWNER = "project-0"


def list_costs(folder: Path, count: int) -> list[Figure]:
    """The guaranteed shapes at `count` artifacts. The databases are kept in `folder`, since a large one takes minutes
    to make.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spec = compile_type(Image)
    benches = []
    for number in (SMALL, count):
        path = folder / f"list-{number}.db"
        if not path.exists():
            build(path, number, spec)
        benches.append(Bench(path, spec, [spec], ListScope.of_project(OWNER)))
    small, large = benches
    plain = _dearest(small, large, "")
    costs = {query: _dearest(small, large, query) for query in GUARANTEED if query}
    # Where a thousand artifacts do not fill a page, the page is compared with one that they fill.
    fair = {query: (max(few, plain[0]), many) for query, (few, many) in costs.items()}
    worst = max(fair, key=lambda query: fair[query][1] / fair[query][0])
    mean = (sum(few for few, _ in fair.values()) / len(fair), sum(many for _, many in fair.values()) / len(fair))
    return [
        _figure(f"page of 25 among {count}, plain list", plain),
        _figure(f"page of 25 among {count}, mean of {len(fair)} filters and sorts", mean),
        _figure(f"page of 25 among {count}, the worst: {worst}", fair[worst]),
    ]


def _dearest(small: Bench, large: Bench, query: str) -> tuple[float, float]:
    """Milliseconds of the dearest of the first, middle and last page, among few and among many."""
    pages = []
    for place in PLACES:
        at = [(bench, bench.marker(query, place)) for bench in (small, large)]
        pages.append(best(*(partial(bench.page, query, marker) for bench, marker in at), seconds=0.2))
    few, many = zip(*pages, strict=True)
    return max(few), max(many)


def _figure(name: str, costs: tuple[float, float]) -> Figure:
    return Figure(name, "ms", [costs[1]], higher=False, beside=Beside(f"among {SMALL}", [costs[0]], 1.5))
