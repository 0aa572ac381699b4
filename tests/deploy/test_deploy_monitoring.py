"""Alerts and the dashboard: what Prometheus says of them, and that all they ask for is what the service tells."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from glare.metrics.prometheus import PrometheusMetrics
from support.programs.programs import find_program
from support.service import running

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "glare.json").read_text())
RULES = [
    rule for group in yaml.safe_load((PROMETHEUS / "glare.rules.yml").read_text())["groups"] for rule in group["rules"]
]
PAGE = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
PROMETHEUS_ADDS = {"job", "instance", "le"}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """All that alerts and panels ask for."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    asked += [variable["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]
    return asked + [rule["expr"] for rule in RULES]


def kept_labels() -> dict[str, set[str]]:
    """The labels of each metric that the service keeps, as the library knows them."""
    metrics = [each for each in vars(PrometheusMetrics()).values() if hasattr(each, "_labelnames")]
    return {each._name: set(each._labelnames) for each in metrics}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every name that `/metrics` of a service tells, as Prometheus reads it, and its labels."""
    labels = kept_labels()
    found: dict[str, set[str]] = {"up": set()}
    with running(tmp_path_factory.mktemp("service")) as glare:
        glare.alice.upload(glare.alice.create("images", name="one"), "image", b"x")
        answer = glare.stranger.request("GET", "/metrics")
        assert answer.status_code == 200
    for family in text_string_to_metric_families(answer.text):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
        seen = {label for sample in family.samples for label in sample.labels} | labels.get(family.name, set())
        found |= {family.name + suffix: seen for suffix in suffixes}
    return found


def test_alerts_and_panels_ask_for_what_there_is(told: dict[str, set[str]]) -> None:
    """Each metric that is named exists in the real answer, and each label that it is chosen by is one of its own."""
    named: set[str] = set()
    for expression in expressions():
        for name, chosen in re.findall(r"\b(glare_\w+|up)\b(?:{([^}]*(?:{\w+}[^}]*)*)})?", expression):
            assert name in told, expression
            labels = set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', chosen))
            assert labels <= told[name] | PROMETHEUS_ADDS, expression
            named.add(name)
        known = set().union(*(told[name] for name in re.findall(r"glare_\w+", expression))) | PROMETHEUS_ADDS
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            assert set(re.split(r",\s*", grouped)) <= known, expression
    assert len(named) > 50


def test_what_is_written_into_texts_is_there() -> None:
    """A legend and a summary name labels that are left once the numbers were put together."""
    for text, expression in [
        *((target["legendFormat"], target["expr"]) for panel in panels() for target in panel["targets"]),
        *((rule["annotations"]["summary"].replace("$labels.", ""), rule["expr"]) for rule in RULES),
    ]:
        grouped = re.findall(r"\bby \(([^)]*)\)", expression)
        wanted = {name for name in re.findall(r"{{ *(\w+) *}}", text) if name != "value"}
        if grouped:
            assert wanted <= {name for group in grouped for name in re.split(r",\s*", group)}, expression
        elif re.match(r"(sum|max|min)\(", expression):
            assert not wanted, expression


@pytest.mark.parametrize("command", ["check", "test"])
def test_prometheus_takes_the_alerts(command: str) -> None:
    """`promtool` finds no mistake in the rules, and they fire and keep silent as their tests say."""
    file = {"check": "glare.rules.yml", "test": "glare.tests.yml"}[command]
    promtool(command, PROMETHEUS / file)


def test_prometheus_takes_the_questions_of_the_dashboard(tmp_path: Path) -> None:
    """Each panel asks in the language of Prometheus."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    path = tmp_path / "dashboard.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", path)


def promtool(command: str, path: Path) -> None:
    program = find_program("promtool")
    done = subprocess.run([program, command, "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_hangs_together() -> None:
    """Panels have ids of their own, lie beside one another, and ask the source that is chosen above them."""
    everything = DASHBOARD["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken = [
        (panel["gridPos"]["y"] + row, panel["gridPos"]["x"] + column)
        for panel in everything
        for row in range(panel["gridPos"]["h"])
        for column in range(panel["gridPos"]["w"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(column for _, column in taken) < 24
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}


def test_each_alert_stands_in_the_page() -> None:
    """The how-to says of each alert what to do, and names none that there is not."""
    assert re.findall(r"^- \*\*(Glare\w+)\*\*", PAGE, re.MULTILINE) == [rule["alert"] for rule in RULES]
    assert {rule["labels"]["severity"] for rule in RULES} == {"critical", "warning"}
