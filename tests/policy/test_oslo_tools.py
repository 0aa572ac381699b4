"""Glare's rules in the hands of oslo.policy's own tools."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from glare.policy.entry_points import list_rules
from glare.policy.rules import RULES

BIN = Path(sys.executable).parent


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / command[0]), *command[1:]], cwd=cwd, capture_output=True, text=True, timeout=120)


def test_every_rule_is_offered_with_its_requests() -> None:
    """The entry point gives each rule its default, and the methods and paths of its requests."""
    rules: dict[str, Any] = {rule.name: rule for rule in list_rules()}
    assert {name: rule.check_str for name, rule in rules.items()} == {rule.name: rule.check for rule in RULES}
    assert rules["artifact:create"].operations == [{"method": "POST", "path": "/artifacts/{type}"}]


def test_the_sample_generator_writes_every_rule(tmp_path: Path) -> None:
    """`oslopolicy-sample-generator --namespace glare` works on an installed Glare."""
    done = run("oslopolicy-sample-generator", "--namespace", "glare", "--output-file", "out.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out.yaml").read_text().splitlines()
    text = "\n".join(line.removeprefix("#") for line in lines if line.startswith('#"'))
    assert yaml.safe_load(text) == {rule.name: rule.check for rule in RULES}


def test_the_policy_generator_merges_an_operators_file(tmp_path: Path) -> None:
    """`oslopolicy-policy-generator --namespace glare` shows defaults and what the operator's file overrides."""
    (tmp_path / "policy.yaml").write_text('"artifact:publish": "role:curator"\n')
    (tmp_path / "glare.conf").write_text(f"[oslo_policy]\npolicy_file = {tmp_path / 'policy.yaml'}\n")
    done = run(
        "oslopolicy-policy-generator", "--namespace", "glare", "--config-file", "glare.conf",
        "--output-file", "merged.yaml", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    merged = yaml.safe_load((tmp_path / "merged.yaml").read_text())
    assert set(merged) == {rule.name for rule in RULES}
