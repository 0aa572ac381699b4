from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from glare import __version__
from glare.cli.commands import COMMANDS, GROUPS
from glare.cli.main import WIDTH, build_parser, help_pages, main
from support.programs.command import Cli, environment


def test_help_comes_at_once(cli: Cli) -> None:
    """Help imports nothing that a service needs, so that it is there before one has looked away."""
    assert "serve" in cli.program("--help").stdout
    code = "import sys; from glare.cli.main import build_parser; build_parser().format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"httptools", "sqlalchemy", "oslo_config", "starlette", "msgspec", "glare.settings"} & set(loaded)


def test_every_command_explains_itself() -> None:
    """Each command has a summary, a description, an example that calls it, and the exit codes."""
    pages = {page.title: page.text for page in help_pages()}
    assert set(pages) == {
        "glare-server",
        *("glare-server " + " ".join(path) for path in (*GROUPS, *(c.path for c in COMMANDS))),
    }
    for command in COMMANDS:
        words = " ".join(command.path)
        assert command.summary[0].islower(), words
        assert command.description.endswith((".", "1 when it has not.")), words
        assert any(f"glare-server {words}" in example for example in command.examples), words
        assert "exit codes:" in pages[f"glare-server {words}"]


def test_examples_are_understood() -> None:
    """What the examples of the help show is a command line that the parser takes."""
    parser = build_parser()
    for command in COMMANDS:
        for example in command.examples:
            line = re.split(r"\|\||[<>]", example)[0].removeprefix("TOKEN=$(").rstrip(")")
            arguments = shlex.split(line)[1:]
            assert parser.parse_args(arguments).command is command, example


def test_help_fits_a_terminal() -> None:
    """No line of help is wider than 100 columns, whatever terminal it is made in."""
    for page in help_pages():
        assert max(map(len, page.text.splitlines())) <= WIDTH + 2, page.title


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["db", "nonsense"], ["serve", "--nonsense"], ["token", "create"], ["types", "show"]]
)
def test_a_command_line_that_is_not_understood_ends_with_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong command line is refused in one line that points at the help, with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--help" in error


@pytest.mark.parametrize(
    ("arguments", "page"),
    [
        (["--nonsense"], "glare-server --help"),
        (["serve", "--nonsense"], "glare-server serve --help"),
        (["token", "list", "--nonsense"], "glare-server token list --help"),
        (["db", "--nonsense"], "glare-server db --help"),
    ],
)
def test_an_option_that_is_not_understood_points_at_the_help_of_its_command(
    arguments: list[str], page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever misspells an option of a command is sent to the page that lists its options."""
    with pytest.raises(SystemExit):
        main(arguments)
    assert capsys.readouterr().err == f"glare-server: unrecognized arguments: --nonsense; see `{page}`.\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["serv"], "there is no command 'serv'; did you mean serve? See `glare-server --help`."),
        (["tokens", "list"], "there is no command 'tokens'; did you mean token? See `glare-server --help`."),
        (["token", "creat"], "there is no command 'creat'; did you mean create? See `glare-server token --help`."),
        (["zzz"], "there is no command 'zzz'; see `glare-server --help`."),
        (["serve", "--bind-prot", "1"], "unrecognized arguments: --bind-prot 1; did you mean --bind-port? See `glare-"),
    ],
)
def test_what_was_perhaps_meant_is_said(arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt command or option is answered with the one that is like it."""
    with pytest.raises(SystemExit):
        main(arguments)
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["db"], ["token"]])
def test_half_a_command_prints_its_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A group of commands alone prints what can follow, and counts as not understood."""
    assert main(arguments) == 2
    assert "COMMAND" in capsys.readouterr().out


def test_configuration_may_stand_before_and_after_the_command(cli: Cli) -> None:
    """`--config-file` is taken on both sides of the command, and the later file wins."""
    Path(cli.directory / "a.conf").write_text("[DEFAULT]\nstate_dir = a\n")
    Path(cli.directory / "b.conf").write_text("[DEFAULT]\nstate_dir = b\n")
    assert f"sqlite:///{cli.directory}/a/glare.sqlite" in cli.refused("--config-file", "a.conf", "db", "check")
    assert f"sqlite:///{cli.directory}/b/glare.sqlite" in cli.refused(
        "--config-file", "a.conf", "db", "check", "--config-file", "b.conf"
    )


def test_a_wrong_option_is_one_sentence_and_a_traceback_on_demand(cli: Cli) -> None:
    """A wrong option ends a command with exit code 1 and a sentence; with --debug one sees where it comes from."""
    result = cli("db", "check", OS_DEFAULT__BIND_PORT="x")
    assert result.returncode == 1
    assert result.stderr.startswith(
        "glare-server: [DEFAULT] bind_port is 'x' (in the environment, OS_DEFAULT__BIND_PORT), but"
    )
    assert result.stderr.count("\n") == 1
    assert "Traceback" in cli.program("db", "check", "--debug", OS_DEFAULT__BIND_PORT="x").stderr


def test_an_option_that_is_not_known_is_warned_of(cli: Cli) -> None:
    """A warning about the configuration is seen on standard error, and the command goes on."""
    Path(cli.directory / "a.conf").write_text("[DEFAULT]\nbind_prot = 1\n")
    result = cli("types", "list", "--config-file", "a.conf")
    assert result.returncode == 0
    assert (
        f"glare-server: warning: [DEFAULT] bind_prot in {cli.directory}/a.conf is no option; did you mean bind_port?"
        in result.stderr
    )


def test_the_version_is_printed(cli: Cli) -> None:
    """`--version` prints the version of the package alone."""
    assert cli.program("--version").stdout == f"glare-server {__version__}\n"


def test_a_reader_that_leaves_is_no_error(cli: Cli) -> None:
    """`glare-server config sample | head -1` ends quietly."""
    command = f"{sys.executable} -m glare config sample | head -1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")
