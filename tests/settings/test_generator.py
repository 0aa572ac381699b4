"""The options for oslo.config's own tools."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from oslo_config import cfg, generator

from glare.settings import Sources, load
from glare.settings.generator import list_opts
from glare.settings.values import all_options


def test_the_entry_point_is_the_function() -> None:
    """An installed Glare offers its options under its name."""
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    module, _, name = pyproject["project"]["entry-points"]["oslo.config.opts"]["glare"].partition(":")
    assert (module, name) == (list_opts.__module__, list_opts.__name__)


def test_the_generator_writes_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has every option with its default, and with the comment signs removed it is a configuration."""
    monkeypatch.setattr(generator, "_get_raw_opts_loaders", lambda _: [("glare", list_opts)])
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    path = tmp_path / "glare.conf"
    conf(["--namespace", "glare", "--output-file", str(path)], default_config_files=[])
    generator.generate(conf)
    lines = path.read_text("utf-8").splitlines()
    for declared in all_options():
        assert f"#{declared.name} = {declared.option.default or '<None>'}" in lines, declared.title
    settings = [line.removeprefix("#") for line in lines if line.startswith("#") and not line.startswith("# ")]
    ours = [line for line in settings if " = " in line and not line.endswith("<None>")]
    assert len(ours) > 100
    assert load(Sources(files=(path,), environment=False, search=False)).unknown == ()


def test_a_wrong_value_is_wrong_there_too() -> None:
    """Values are checked as Glare checks them, and kept as they are written."""
    options = {option.name: option for _, options in list_opts() for option in options}
    assert options["bind_port"].type("80") == "80"
    with pytest.raises(ValueError, match="it must be a whole number from 1 to 65535"):
        options["bind_port"].type("many")
