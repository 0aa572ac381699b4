"""`glare-server locations`: what operators see of external locations, and checking one now."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from glare.cli.main import main
from support.runs.verifying import Verifying, verifying

pytestmark = pytest.mark.sqlite

DATA = random.Random(5).randbytes(1000)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Verifying]:
    with verifying(tmp_path) as found:
        yield found


@pytest.fixture
def conf(site: Verifying, tmp_path: Path) -> str:
    """The configuration of the same service, as a file that the command reads."""
    path = tmp_path / "glare.conf"
    text = path.read_text()
    path.write_text(text.replace("[locations]\n", f"[locations]\nallowed_ports = {site.origin.port}\n"))
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code of the command, and what it printed."""
    capsys.readouterr()
    code = main(["locations", *arguments])
    return code, capsys.readouterr().out


def test_list_and_show(site: Verifying, conf: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The list has a line a location and can be filtered; one is shown with its history."""
    image = site.record("/a", DATA)
    location = str(site.location_of(image)["id"])
    code, out = run(capsys, "list", "--config-file", conf)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [[location, "verified"]]
    assert run(capsys, "list", "--config-file", conf, "--state", "changed") == (0, "")
    code, out = run(capsys, "show", "--config-file", conf, location)
    assert code == 0
    assert f"url:            {site.origin.url('/a')}" in out
    assert run(capsys, "show", "--config-file", conf, "0" * 32)[0] == 1


def test_check_now(site: Verifying, conf: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A check says what it found and stores it; the exit code tells equal from anything else."""
    image = site.record("/a", DATA)
    location = str(site.location_of(image)["id"])
    code, out = run(capsys, "check", "--config-file", conf, location)
    assert (code, out) == (0, "full: equal; 1000 bytes read; the location is verified\n")
    site.origin.put("/a", DATA[::-1])
    code, out = run(capsys, "check", "--config-file", conf, location)
    assert (code, out) == (1, "full: changed (digest); 1000 bytes read; the location is changed\n")
    _, out = run(capsys, "show", "--config-file", conf, location)
    assert [line.split()[3:5] for line in out.splitlines()[-2:]] == [["full", "changed"], ["full", "equal"]]


def test_nothing_to_list_is_no_error(site: Verifying, conf: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The list without a line is explained, and is a success."""
    assert main(["locations", "list", "--config-file", conf]) == 0
    assert "no external location is recorded" in capsys.readouterr().err


def test_a_check_that_the_configuration_forbids_says_so(
    site: Verifying, conf: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that reads other rules than the service names the option, and the location keeps its state."""
    location = str(site.location_of(site.record("/a", DATA))["id"])
    path = Path(conf)
    path.write_text(path.read_text().replace(f"allowed_ports = {site.origin.port}\n", "allowed_ports = 443\n"))
    capsys.readouterr()
    assert main(["locations", "check", "--config-file", conf, location]) == 1
    said = capsys.readouterr()
    assert said.out == "full: failed (policy); 0 bytes read; the location is verified\n"
    assert "[locations] as this command read it does not allow" in said.err


def test_what_was_never_measured_is_not_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A location that was recorded as it was claimed is listed and shown; a check of it says what it waits for."""
    with verifying(tmp_path, "measure = off\nmeasure_later = false\n") as site:
        conf = str(tmp_path / "glare.conf")
        image = site.glare.alice.create("images", name="claimed")
        site.glare.alice.locate(image, "image", site.origin.url("/a"), md5="0" * 32)
        location = str(site.location_of(image)["id"])
        assert run(capsys, "list", "--config-file", conf)[1].splitlines()[1].split()[:2] == [location, "unverified"]
        assert run(capsys, "show", "--config-file", conf, location)[0] == 0
        assert run(capsys, "check", "--config-file", conf, location) == (1, "")
