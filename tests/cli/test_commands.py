from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from glare.identity.token_text import PATTERN
from support.programs.command import Cli, sentence
from support.service import running


def test_the_database_is_made_checked_and_undone(cli: Cli) -> None:
    """The database goes from absent to fitting and back, and each step says where it is."""
    database = cli.directory / "var" / "glare.sqlite"
    for words in (("db", "check"), ("db", "upgrade"), ("db", "downgrade", "base", "--yes")):
        assert f"sqlite:///{database} does not exist; run `glare-server init`" in cli.refused(*words)
    assert not (cli.directory / "var").exists()
    cli.done("init")
    cli.done("init")
    cli.done("init")
    cli.done("db", "check")
    assert "add --yes" in cli.refused("db", "downgrade", "base")
    cli.done("db", "check")
    cli.done("db", "downgrade", "base", "--yes")
    assert "has no tables yet" in cli.refused("db", "check")
    assert "'nonsense'" in cli.refused("db", "upgrade", "nonsense")


def test_state_is_for_its_owner_only(cli: Cli) -> None:
    """Directories of state are made so that other users of the machine cannot look into them."""
    cli.done("init")
    assert stat.S_IMODE((cli.directory / "var").stat().st_mode) == 0o700
    assert stat.S_IMODE((cli.directory / "var" / "glare.sqlite").stat().st_mode) == 0o600


def test_a_service_without_its_database_is_refused(cli: Cli, free_port: int) -> None:
    """`serve` and `worker` do not make a database by themselves: they say how it is made."""
    assert "run `glare-server init`" in sentence(cli.program("serve", "--bind-port", str(free_port)))
    assert "run `glare-server init`" in sentence(cli.program("worker"))


NOWHERE = (
    ("serve",),
    ("worker",),
    ("scrub",),
    ("fsck",),
    ("db", "upgrade"),
    ("db", "check"),
    ("token", "create", "--project", "p", "--user", "u"),
    ("token", "list"),
    ("token", "show"),
    ("token", "revoke", "4f1c2a"),
    ("audit", "list"),
    ("locations", "list"),
    ("takedown", "list"),
    ("takedown", "add", "host", "files.example.org", "--reason", "x"),
    ("stores", "list"),
    ("stores", "adopt", "file"),
)


@pytest.mark.parametrize("words", NOWHERE, ids=" ".join)
def test_a_command_in_the_wrong_folder_makes_nothing(cli: Cli, words: tuple[str, ...]) -> None:
    """Where nothing was set up, a command says in one sentence what is missing, by its whole path, and leaves
    nothing.
    """
    said = sentence(cli.program(*words))
    assert f"{cli.directory}/var" in said
    assert "glare-server init" in said or "quickstart" in said
    assert list(cli.directory.iterdir()) == []


def test_what_is_set_up_is_said_and_stays(cli: Cli) -> None:
    """`init` names all that it made by whole paths; a second one changes nothing."""
    said = cli.program("init")
    assert said.returncode == 0
    state = cli.directory / "var"
    for name in ("glare.sqlite", "subscriptions.key"):
        assert str(state / name) in said.stderr, said.stderr
    assert "tokens are in the database" in said.stderr
    assert not (state / "tokens.json").exists()
    before = {path.name: path.read_bytes() for path in state.iterdir() if path.is_file()}
    assert cli.program("init").returncode == 0
    after = {path.name: path.read_bytes() for path in state.iterdir() if path.is_file()}
    assert after["subscriptions.key"] == before["subscriptions.key"]


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_node_without_its_keys_is_refused(cli: Cli, free_port: int, command: str) -> None:
    """A node that lacks the others' keys makes none of its own: it says where they belong."""
    cli.done("init")
    keys = cli.directory / "var" / "subscriptions.key"
    keys.unlink()
    said = sentence(cli.program(command, OS_DEFAULT__BIND_PORT=str(free_port)))
    assert f"There is no key file {keys}" in said
    assert "copy it from another node" in said
    assert not keys.exists()


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_store_that_is_not_at_its_place_is_refused(cli: Cli, free_port: int, command: str) -> None:
    """Where the database knows blobs and the store's directory is empty, nothing starts, and nothing is made there."""
    with running(cli.directory) as glare:
        glare.alice.upload(glare.alice.create("images", name="kept"), "image", b"bytes")
        place = glare.settings.glance_store.filesystem_store_datadir
    place.rename(cli.directory / "away")
    arguments = [command, "--config-file", str(cli.directory / "glare.conf")]
    variables = {"OS_DEFAULT__BIND_PORT": str(free_port)}
    said = sentence(cli.program(*arguments, **variables))
    assert f"Store 'file' has blobs, but {place} has neither its marker (glare-store)" in said
    assert "Mount the volume" in said
    assert not place.exists()


def test_a_damaged_token_file_is_refused_before_the_service_starts(cli: Cli, free_port: int) -> None:
    """One sentence names the file and the remedy, where each server process would else fail with a traceback."""
    cli.done("init")
    tokens = cli.directory / "var" / "tokens.json"
    tokens.write_text("{oops")
    tokens.chmod(0o600)
    assert "tokens.json is damaged" in sentence(cli.program("serve", "--bind-port", str(free_port)))


def test_a_token_is_printed_alone_listed_and_revoked(cli: Cli) -> None:
    """`$(glare-server token create …)` is the token; the list shows whose it is and never the token; revoking removes
    it.
    """
    cli.done("init")
    printed = cli.done(
        *("token", "create", "--project", "demo", "--user", "alice", "--role", "member"),
        *("--role", "reader", "--expires", "30d", "--label", "nightly build"),
    )
    assert re.fullmatch(PATTERN, printed.strip())
    listed = cli.done("token", "list")
    header, row = listed.splitlines()
    assert header.split() == ["ID", "PROJECT", "USER", "ROLES", "CREATED", "EXPIRES", "USED", "LIMITS", "LABEL"]
    assert re.fullmatch(
        r"([\w-]+)  demo     alice  member,reader  \S+ \S+Z  \S+ \S+Z  -     -       nightly build", row
    )
    assert printed.strip() not in listed
    assert printed.strip().encode() not in (cli.directory / "var" / "glare.sqlite").read_bytes()
    cli.done("token", "revoke", row.split()[0])
    assert cli.done("token", "list") == ""
    assert "no token with id" in cli.refused("token", "revoke", row.split()[0])


def test_a_long_label_is_cut_in_the_list(cli: Cli) -> None:
    """The list keeps its lines short, whatever a label is."""
    cli.done("init")
    cli.done("token", "create", "--project", "p", "--user", "u", "--label", "long " * 50)
    row = cli.done("token", "list").splitlines()[1]
    assert row.endswith("  " + ("long " * 50)[:39] + "…")


def test_a_token_without_a_role_is_a_members(cli: Cli) -> None:
    """Nobody becomes an administrator by leaving something out."""
    cli.done("init")
    cli.done("token", "create", "--project", "p", "--user", "u")
    assert cli.done("token", "list").splitlines()[1].split()[3] == "member"


def test_a_lifetime_that_is_none_is_refused(cli: Cli) -> None:
    """`--expires` takes durations with a unit, and says so: five days are not five seconds."""
    cli.done("init")
    sentence = cli.refused("token", "create", "--project", "p", "--user", "u", "--expires", "soon")
    assert "--expires is 'soon'" in sentence
    said = cli.refused("token", "create", "--project", "p", "--user", "u", "--expires", "5")
    assert "--expires is '5', which does not say of what; write 5d for days" in said
    assert "positive" in cli.refused("token", "create", "--project", "p", "--user", "u", "--expires=-1d")


def test_a_token_that_nobody_reads_is_warned_of(cli: Cli) -> None:
    """Where the service looks at something else than tokens, making one says so."""
    cli.done("init")
    result = cli("token", "create", "--project", "p", "--user", "u", OS_IDENTITY__PIPELINE="test_token")
    assert result.returncode == 0
    assert "does not look at these tokens" in result.stderr


def test_types_are_listed_and_shown(cli: Cli) -> None:
    """The list tells what is enabled; a type is shown as its JSON Schema."""
    rows = {line.split()[0]: line.split()[1] for line in cli.done("types", "list").splitlines()}
    assert rows["images"] == "enabled"
    assert rows["secrets"] == "disabled"
    schema = json.loads(cli.done("types", "show", "images"))
    assert (schema["name"], schema["type"]) == ("images", "object")
    assert "images" in cli.refused("types", "show", "imges")


def test_a_module_of_types_is_checked(cli: Cli) -> None:
    """`types check` says that a module is fine, or everything that is wrong with it."""
    (cli.directory / "good.py").write_text(
        "from glare.types import ArtifactType, String\n\n\nclass Chart(ArtifactType):\n    name = 'charts'\n    "
        "chart = String()\n"
    )
    (cli.directory / "bad.py").write_text(
        "from glare.types import ArtifactType, String\n\n\n"
        "class One(ArtifactType):\n    name = 'ones'\n    id = String()\n\n\n"
        "class Two(ArtifactType):\n    name = 'images'\n"
    )
    (cli.directory / "typo.py").write_text("from glare.types import String\n\nfield = String(max_lenght=5)\n")
    (cli.directory / "empty.py").write_text("from glare.types.images import *\n")
    assert cli.program("types", "check", "good").stdout == "charts: fine, 1 field of its own (good.Chart)\n"
    result = cli.program("types", "check", "bad", "empty", "absent", "typo")
    assert result.returncode == 1
    for part in (
        "'ones'",
        "'id'",
        "'images'",
        "'empty' declares no artifact type",
        "'absent' of artifact types cannot",
    ):
        assert part in result.stderr
    assert f"{cli.directory / 'typo.py'} line 3" in result.stderr
    assert "Traceback" not in result.stderr


def test_options_of_a_type_are_checked_before_the_service_starts(cli: Cli, free_port: int) -> None:
    """An option that a type does not declare, or a type that nothing defines, is refused with one sentence."""
    cli.done("init")
    conf = cli.directory / "a.conf"
    serve = ("serve", "--config-file", "a.conf", "--bind-port", str(free_port))
    conf.write_text("[artifact_type:images]\ncolour = blue\n")
    assert "[artifact_type:images] colour is no option of this type" in sentence(cli.program(*serve))
    conf.write_text("[DEFAULT]\nenabled_artifact_types = images, charts\n")
    assert "'charts' is enabled but nothing defines it" in sentence(cli.program(*serve))


def test_samples_are_printed(cli: Cli) -> None:
    """The samples are files that can be written as they come."""
    text = cli.done("config", "sample")
    assert "\n#bind_host = 127.0.0.1\n" in text
    Path(cli.directory / "glare.conf").write_text(text)
    assert cli("types", "list", "--config-file", "glare.conf").stderr == ""
    assert "artifact:create" in cli.done("policy", "sample")


def test_a_limited_token_is_made_and_shown_with_its_limits(cli: Cli) -> None:
    """What a token may not do is in the list, and whole in JSON; a wrong limit is refused."""
    cli.done("init")
    command = ("token", "create", "--project", "p", "--user", "u")
    cli.done(*command, "--read-only", "--type", "images", "--name", "nightly-*", "--network", "192.0.2.0/24")
    assert "read-only,types,names,networks" in cli.done("token", "list")
    [document] = json.loads(cli.done("token", "list", "--output", "json"))
    assert {name: document[name] for name in ("read_only", "types", "names", "networks", "state", "kept_in")} == {
        "read_only": True,
        "types": ["images"],
        "names": ["nightly-*"],
        "networks": ["192.0.2.0/24"],
        "state": "active",
        "kept_in": "database",
    }
    assert "is no type here" in cli.refused(*command, "--type", "imges")
    assert "is no network" in cli.refused(*command, "--network", "here")
    in_file = cli.program("token", "create", "--project", "p", "--user", "u", "--read-only", **FILE_ONLY)
    assert "There is no token file" in in_file.stderr or "have no limits" in in_file.stderr


FILE_ONLY = {"OS_IDENTITY__PIPELINE": "token_file"}


def test_all_tokens_of_a_user_are_revoked(cli: Cli) -> None:
    """One command ends all that a user has, of one project or of all."""
    cli.done("init")
    for project, user in (("p", "u"), ("q", "u"), ("p", "v")):
        cli.done("token", "create", "--project", project, "--user", user)
    cli.done("token", "revoke", "--user", "u", "--project", "q")
    left = [(one["project"], one["user"]) for one in json.loads(cli.done("token", "list", "--output", "json"))]
    assert sorted(left) == [("p", "u"), ("p", "v")]
    cli.done("token", "revoke", "--user", "u")
    assert len(json.loads(cli.done("token", "list", "--output", "json"))) == 1
    assert "Name one token by its id" in cli.refused("token", "revoke")
    assert "Name one token by its id" in cli.refused("token", "revoke", "4f1c2a", "--user", "u")


def test_a_token_file_is_taken_over_by_one_command(cli: Cli) -> None:
    """Tokens that an older version kept in its file go on in the database, under their ids; the file is put aside, and
    doing it again changes nothing.
    """
    assert cli.program("init", **FILE_ONLY).returncode == 0
    command = ("token", "create", "--project", "p", "--user", "u", "--role", "reader", "--label", "old")
    assert cli.program(*command, **FILE_ONLY).returncode == 0
    [before] = json.loads(cli.done("token", "list", "--output", "json"))
    assert before["kept_in"] == "file"
    said = cli.program("token", "import", **FILE_ONLY)
    assert "nobody would look at tokens in the database" in said.stderr
    cli.done("token", "import")
    [after] = json.loads(cli.done("token", "list", "--output", "json"))
    same = ("id", "project", "user", "roles", "label")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert after["kept_in"] == "database"
    state = cli.directory / "var"
    assert not (state / "tokens.json").exists()
    (state / "tokens.json.imported").rename(state / "tokens.json")
    cli.done("token", "revoke", after["id"])
    cli.done("token", "import")
    assert json.loads(cli.done("token", "list", "--output", "json")) == []
