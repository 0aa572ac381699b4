"""The page for operators names every metric."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from glare.metrics.prometheus import DEPTHS, PrometheusMetrics

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "operate.md").read_text()
LIST = [text.partition(": ")[0] for text in re.findall(r"^- (`glare_.*(?:\n  .*)*)", PAGE, re.MULTILINE)]


def exported() -> set[str]:
    """Every name as Prometheus reads it: counters have a suffix."""
    registry: CollectorRegistry = vars(PrometheusMetrics())["_registry"]
    families = ((family.name, family.type) for family in registry.collect())
    return {f"{name}_total" if kind == "counter" else name for name, kind in families} | set(DEPTHS)


def test_each_metric_has_an_entry() -> None:
    """A metric that is exported stands in the list with its meaning, and nothing stands there that is not exported."""
    named = {name for line in LIST for name in re.findall(r"`(glare_\w+)", line)}
    assert named == exported()


def test_the_labels_are_those_of_the_page() -> None:
    """A gauge with labels is written with them."""
    first = "\n".join(LIST)
    for name, described in DEPTHS.items():
        wanted = f"`{name}{{{','.join(described.labels)}}}`" if described.labels else f"`{name}`"
        assert wanted in first
