"""One set of metrics for all processes of a service: files in its state directory, which whoever is asked adds up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from glare.metrics import Metrics
from glare.metrics.files import forget_dead
from glare.settings import Settings

_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


def share_metrics(settings: Settings) -> Path:
    """The directory of the files, made where it is missing. This process and those that it starts will use it.

    The library looks at an environment variable, once, when it is imported: so this comes first.
    """
    directory = (settings.server.state_dir / "metrics").absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ[_VARIABLE] = str(directory)
    return directory


def metrics_of(settings: Settings) -> Metrics:
    """The metrics of this process."""
    if not settings.metrics.enabled:
        return Metrics()
    directory = share_metrics(settings)
    from glare.metrics.prometheus import PrometheusMetrics

    return PrometheusMetrics(directory)


def clean(directory: Path) -> None:
    """Remove what processes that are gone have left there: the numbers begin anew with the service."""
    forget_dead(directory, "*.db")
    forget_dead(directory, "*.alive")
